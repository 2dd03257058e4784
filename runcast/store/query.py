"""Which runs, in which order: filters and orders, and how they are written.

    config.lr >= 0.01 and state = running and tags contains "night shift"
    summary.val/acc.max > 0.9 and config.optimizer in (adam, sgd) and config.resume exists

A field is `id`, `name`, `project`, `state`, `group`, `job_type`, `notes`, `host`, `created`, `ended`, `duration`, `tags`, `config.<path>` (nested keys with
dots) or `summary.<tag>`, of which `.last` is meant unless it ends in `.min` or `.max`. Quotes keep together what has spaces.
Times are seconds since the epoch, or dates (`created >= 2026-11-01`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, cast

from runcast.errors import QueryError

__all__ = ["Field", "Filter", "Order", "parse_filters", "parse_order"]

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains", "exists"]
Value = float | str
Part = Literal["last", "min", "max"]

TEXTS = frozenset({"id", "name", "project", "state", "group", "job_type", "notes", "host"})
TIMES = frozenset({"created", "ended"})
DURATION = "duration"
"""Seconds from when a run was created to its end, or its last sign of life."""

NUMBERS = TIMES | {DURATION}
TREES = frozenset({"config", "summary"})
PARTS = ("last", "min", "max")

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<operator><=|>=|!=|==|=|<|>)
        |(?P<mark>[(),])
        |(?P<word>(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'()<>=!,])+)
    )""",
    re.VERBOSE,
)
_QUOTED = re.compile(r"""["']((?:[^\\]|\\.)*?)["']""")
_ESCAPE = re.compile(r"\\(.)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)


class Field(NamedTuple):
    """What is compared: a column of the run, or `config` or `summary` and the path in it."""

    kind: str
    path: str = ""
    part: Part = "last"

    @classmethod
    def parse(cls, text: str) -> Field:
        """Read a field as it is written. Raises `QueryError`."""
        plain = _unquoted(text)
        kind, _, path = plain.partition(".")
        if kind in TREES and path:
            stem, _, part = path.rpartition(".")
            if kind == "summary" and part in PARTS and stem and not text.endswith(('"', "'")):
                return cls(kind, stem, cast("Part", part))
            return cls(kind, path)
        if plain in TEXTS | NUMBERS | {"tags"}:
            return cls(plain)
        raise QueryError(
            f"runs have no field {plain!r}: write config.<key>, summary.<tag>, "
            f"or one of {', '.join(sorted(TEXTS | NUMBERS | {'tags'}))}"
        )

    def __str__(self) -> str:
        ending = f".{self.part}" if self.part != "last" else ""
        return f"{self.kind}.{self.path}{ending}" if self.path else self.kind


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a run. `!=` is the contrary of `=`, so it holds for runs that have no such value.

    Numbers are compared with numbers, texts with texts; true and false are 1 and 0. `value` is a tuple for `in`. `contains` finds a
    part of a text regardless of case, or an element of a list. `exists` needs no value.
    """

    field: Field
    operator: Operator
    value: Value | tuple[Value, ...] | None = None

    def __post_init__(self) -> None:
        kind, operator = self.field.kind, self.operator
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if kind == "tags" and operator not in {"=", "!=", "in", "contains"}:
            raise QueryError(f"`tags {operator}` means nothing: use `tags contains …`")
        if kind in TIMES and operator != "exists" and not all(isinstance(each, float) for each in values):
            raise QueryError(
                f"{kind} is compared with times, such as 2026-11-01 or 1700000000; not with {self.value!r}"
            )
        if kind == DURATION and operator != "exists" and not all(isinstance(each, float) for each in values):
            raise QueryError(f"duration is compared with seconds, such as 3600; not with {self.value!r}")
        if operator == "in" and not values:
            raise QueryError(f"`{self.field} in ()` would find nothing: name some values")

    def __str__(self) -> str:
        """Return the condition as `parse_filters` reads it."""
        if self.value is None:
            return f"{_written(self.field)} {self.operator}"
        if isinstance(self.value, tuple):
            return f"{_written(self.field)} {self.operator} ({', '.join(map(_literal, self.value))})"
        return f"{_written(self.field)} {self.operator} {_literal(self.value)}"


@dataclass(frozen=True, slots=True)
class Order:
    """What runs are ordered by. Those that have no such value come last, newest first."""

    field: Field
    descending: bool = True


NEWEST = Order(Field("created"))


def parse_order(text: str) -> Order:
    """Read an order: `-created`, `name`, `-summary.val/acc.max`, `config.lr`; a minus is for descending. Raises `QueryError`."""
    field = Field.parse(text.strip().lstrip("+-"))
    if field.kind not in {*TREES, *NUMBERS, "name", "host"}:
        raise QueryError(
            f"runs cannot be ordered by {field}: use created, ended, duration, name, host, config.… or summary.…"
        )
    return Order(field, text.strip().startswith("-"))


def parse_filters(text: str) -> tuple[Filter, ...]:
    """Read conditions that are joined by `and`. Raises `QueryError`, which says where it stopped."""
    return _Parser(text).filters()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise self._wrong("cannot read on", len(text) - len(text[at:].lstrip()))
            self._tokens.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
            at = found.end()
        self._at = 0

    def filters(self) -> tuple[Filter, ...]:
        found: list[Filter] = []
        while self._at < len(self._tokens):
            if found:
                self._and()
            found.append(self._filter())
        return tuple(found)

    def _and(self) -> None:
        kind, text, at = self._next("`and`")
        if (kind, text.lower()) != ("word", "and"):
            raise self._wrong(f"expected `and` instead of {text!r}", at)

    def _filter(self) -> Filter:
        _, written, _ = self._next("a field", "word")
        field = Field.parse(written)
        kind, operator, at = self._next("an operator")
        operator = {"==": "="}.get(operator, operator.lower())
        value: Value | tuple[Value, ...] | None = None
        if kind == "operator" or operator == "contains":
            value = self._value(field, text=operator == "contains" and field.kind == "tags")
        elif operator == "in":
            value = self._values(field)
        elif operator != "exists":
            raise self._wrong(
                f"expected =, !=, <, <=, >, >=, in, contains or exists instead of {operator!r}", at
            )
        return Filter(field, cast("Operator", operator), value)

    def _values(self, field: Field) -> tuple[Value, ...]:
        self._mark("(")
        values = [self._value(field)]
        while self._mark(",)") == ",":
            values.append(self._value(field))
        return tuple(values)

    def _mark(self, marks: str) -> str:
        _, text, at = self._next(f"`{marks[0]}`")
        if text not in marks:
            raise self._wrong(
                f"expected {' or '.join(f'`{mark}`' for mark in marks)} instead of {text!r}", at
            )
        return text

    def _value(self, field: Field, *, text: bool = False) -> Value:
        _, written, _ = self._next("a value", "word")
        plain = _unquoted(written)
        if plain != written or text or field.kind in TEXTS or field.kind == "tags":
            return plain
        if field.kind in TIMES and (time := _time(plain)) is not None:
            return time
        if plain.lower() in {"true", "false"}:
            return float(plain.lower() == "true")
        return float(plain) if _NUMBER.fullmatch(plain) else plain

    def _next(self, what: str, kind: str = "") -> tuple[str, str, int]:
        if self._at == len(self._tokens):
            raise self._wrong(f"expected {what}", len(self._text))
        token = self._tokens[self._at]
        if kind and token[0] != kind:
            raise self._wrong(f"expected {what} instead of {token[1]!r}", token[2])
        self._at += 1
        return token

    def _wrong(self, what: str, at: int) -> QueryError:
        return QueryError(
            f"the filter {self._text!r} cannot be understood: {what} at character {at + 1}; "
            "write such as: config.lr >= 0.01 and state = running"
        )


def _unquoted(word: str) -> str:
    return _QUOTED.sub(lambda quoted: _ESCAPE.sub(r"\1", quoted[1]), word)


def _time(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _written(field: Field) -> str:
    """Return a field in quotes, so that its path may hold anything."""
    whole = _in_quotes(f"{field.kind}.{field.path}" if field.path else field.kind)
    return f"{whole}.{field.part}" if field.part != "last" else whole


def _literal(value: Value) -> str:
    return _in_quotes(value) if isinstance(value, str) else repr(value)


def _in_quotes(text: str) -> str:
    return '"' + re.sub(r'(["\\\\])', r"\\\1", text) + '"'
