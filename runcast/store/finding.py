"""From a `RunQuery` to statements: which runs, in which order, page by page.

A page is read along an index, each run that comes being looked at, until there are enough: that is soon where many runs fit. Where few do
(which a look into the filter's own index tells, cut off at `FEW`), those are taken and sorted.

Runs that have no value to be ordered by come last, and numbers before texts. Each of these is a stage of its own, so that the first,
almost always the only one needed, can follow an index.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, asc, case, desc, false, func, literal, null, or_, select, true

from runcast.errors import QueryError
from runcast.store import schema
from runcast.store.fields import element, name_of, text_key
from runcast.store.query import DURATION, NEWEST, TIMES, Field, Filter, Order, parse_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Select

    from runcast.store.protocol import RunQuery

__all__ = ["Found", "find", "is_stale"]

FEW = 900
"""Runs that are sorted rather than looked for along an index."""

_run = schema.run.c
_pulse = schema.pulse.c
_field = schema.field.c
_metric = schema.metric.c

_DURATION = func.coalesce(_run.ended, _pulse.heartbeat) - _run.created

_ROWS = select(schema.run, _pulse.heartbeat).join(schema.pulse, _pulse.run == _run.id)


class Found(NamedTuple):
    """A page's rows of `run`, with `heartbeat`, and the cursor of what follows; None at the end."""

    rows: Sequence[Any]
    next: str | None


class _Stage(NamedTuple):
    """Some of the runs: what they are joined with, the condition that makes them these, and what they are ordered by."""

    table: Any
    condition: ColumnElement[bool]
    value: ColumnElement[Any]
    descending: bool


def is_stale(oldest: float) -> ColumnElement[bool]:
    """Whether a run says that it is running but was not alive since `oldest`; for statements joined with `pulse`."""
    return and_(_run.state == "running", func.coalesce(_pulse.heartbeat, _run.created) < oldest)


def find(connection: Connection, query: RunQuery, oldest: float) -> Found:
    """Return the runs that a query asks for. Raises `QueryError`."""
    finding = _Finding(connection, query, oldest)
    order = parse_order(query.order) if query.order else NEWEST
    stages = list(finding.stages(order))
    reached, value, run = _read_cursor(query)
    rows: list[Any] = []
    stage_of: list[int] = []
    for number, stage in enumerate(stages):
        if number < reached or (query.limit is not None and len(rows) > query.limit):
            continue
        statement = finding.statement(stage)
        if number == reached and run is not None:
            reached_at = finding.followed(stage.value)
            statement = statement.where(_after(reached_at, stage.descending, value, run))
        if query.limit is not None:
            statement = statement.limit(query.limit + 1 - len(rows))
        found = connection.execute(statement).all()
        rows += found
        stage_of += [number] * len(found)
    if query.limit is None or len(rows) <= query.limit or not query.limit:
        return Found(rows[: query.limit], None)
    last = rows[query.limit - 1]
    return Found(rows[: query.limit], _cursor(order, stage_of[query.limit - 1], last.ordered_by, last.id))


class _Finding:
    def __init__(self, connection: Connection, query: RunQuery, oldest: float) -> None:
        self._connection = connection
        self._query = query
        self._stale = is_stale(oldest)
        self._few = False
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._projects: Sequence[str] | None = None
        filters = [self._condition(each) for each in self._filters()]  # they decide how the rest is written
        self._where = [*self._conditions(), *filters]

    def statement(self, stage: _Stage) -> Select[Any]:
        """Return the statement that reads a stage's runs."""
        value = self.followed(stage.value)
        direction = desc if stage.descending else asc
        statement = _ROWS.add_columns(value.label("ordered_by"))
        if stage.table is not None:
            statement = statement.join(stage.table, stage.table.c.run == _run.id)
        return statement.where(stage.condition, *self._where).order_by(direction(value), direction(_run.id))

    def stages(self, order: Order) -> Iterator[_Stage]:
        """Yield the stages of an order."""
        field, descending = order.field, order.descending
        if field.kind == "created":
            yield _Stage(None, true(), _run.created, descending)
            return
        if field.kind == "name":
            yield _Stage(None, true(), _run.name, descending)
            return
        if field.kind == "ended":
            yield _Stage(None, _run.ended.is_not(None), _run.ended, descending)
            yield _Stage(None, _run.ended.is_(None), _run.created, True)
            return
        if field.kind == DURATION:
            yield _Stage(None, _DURATION.is_not(None), _DURATION, descending)
            yield _Stage(None, _DURATION.is_(None), _run.created, True)
            return
        names = self._names(str(field._replace(part="last")))
        if field.kind == "summary":
            column = _metric[field.part]
            yield _Stage(
                schema.metric,
                and_(_is_one_of(self.followed(_metric.name), names), column.is_not(None)),
                column,
                descending,
            )
            known = select(1).where(
                _metric.run == _run.id, _is_one_of(_metric.name, names), column.is_not(None)
            )
        else:
            for column in (_field.number, _field.text):
                condition = and_(_is_one_of(self.followed(_field.name), names), column.is_not(None))
                yield _Stage(schema.field, condition, column, descending)
            known = select(1).where(
                _field.run == _run.id,
                _is_one_of(_field.name, names),
                or_(_field.number.is_not(None), _field.text.is_not(None)),
            )
        yield _Stage(None, ~known.exists(), _run.created, True)

    def _conditions(self) -> Iterator[ColumnElement[bool]]:
        query = self._query
        trashed = self.followed(_run.trashed)
        yield trashed.is_not(None) if query.trashed else trashed.is_(None)
        project = self.followed(_run.project)
        if query.project is not None:
            yield project == query.project
        if query.projects is not None:
            yield project.in_(sorted(query.projects))
        if query.state is not None:
            yield self._state(query.state)

    def _filters(self) -> Iterator[Filter]:
        query = self._query
        yield from (Filter(Field("tags"), "contains", tag) for tag in query.tags)
        if query.group is not None:
            yield Filter(Field("group"), "=", query.group)
        yield from query.filters

    def followed(self, column: Any) -> Any:
        """Return a column whose index may be followed, unless few runs pass a filter: SQLite would not know better."""
        return func.coalesce(column, null()) if self._few and self._is_sqlite else column

    def _state(self, state: str) -> ColumnElement[bool]:
        if state == "running":
            return and_(_run.state == "running", ~self._stale)
        return or_(_run.state == state, self._stale) if state == "crashed" else _run.state == state

    def _condition(self, filtered: Filter) -> ColumnElement[bool]:
        kind, operator = filtered.field.kind, filtered.operator
        if operator == "!=":
            equal = self._condition(Filter(filtered.field, "=", filtered.value))
            return ~func.coalesce(equal, false())
        if kind == "state" and operator in {"=", "in"}:
            values = filtered.value if isinstance(filtered.value, tuple) else (filtered.value,)
            return or_(*(self._state(str(each)) for each in values))
        if kind == "state":
            state = case((self._stale, literal("crashed")), else_=_run.state)
            return _compare(state, filtered)
        if kind in {"id", "name", "project", *TIMES}:
            return _compare(_run[kind], filtered)
        if kind == DURATION:
            return _compare(_DURATION, filtered)
        return self._any(self._rows_of(filtered))

    def _rows_of(self, filtered: Filter) -> Iterator[tuple[Any, ColumnElement[bool]]]:
        """Yield where a filter finds its runs: a table that is derived from them, and a condition on its rows."""
        kind, operator, value = filtered.field.kind, filtered.operator, filtered.value
        path = str(filtered.field._replace(part="last"))
        if kind == "tags":
            for tag in value if isinstance(value, tuple) else (value,):
                yield schema.field, _is_one_of(_field.name, self._names(element("tags", str(tag))))
            return
        here = _is_one_of(_field.name, self._names(path))
        if operator == "exists":
            yield schema.field, here
            if kind == "summary":
                yield schema.metric, _is_one_of(_metric.name, self._names(path))
            return
        values = value if isinstance(value, tuple) else (value,)
        numbers = tuple(each for each in values if isinstance(each, float))
        texts = tuple(
            text_key(each) if operator in {"=", "in"} else each for each in values if isinstance(each, str)
        )
        if operator == "contains":
            if texts:
                yield schema.field, and_(here, _contains(_field.text, texts[0]))
            if kind == "config" and value is not None:
                yield schema.field, _is_one_of(_field.name, self._names(element(path, value)))
            return
        if numbers:
            wanted = numbers if operator == "in" else numbers[0]
            table, column, named = schema.field, _field.number, here
            if kind == "summary":
                table, column = schema.metric, _metric[filtered.field.part]
                named = _is_one_of(_metric.name, self._names(path))
            yield table, and_(named, _compare(column, Filter(filtered.field, operator, wanted)))
        if texts:
            wanted_text = texts if operator == "in" else texts[0]
            yield (
                schema.field,
                and_(here, _compare(_field.text, Filter(filtered.field, operator, wanted_text))),
            )

    def _any(self, lookups: Iterable[tuple[Any, ColumnElement[bool]]]) -> ColumnElement[bool]:
        """Return the condition that a run has one of the rows: those runs, if they are few."""
        few: set[str] = set()
        many = []
        for table, condition in lookups:
            some = self._connection.scalars(select(table.c.run).where(condition).limit(FEW + 1)).all()
            if len(some) <= FEW:
                few.update(some)
            else:
                one = select(literal(1)).where(table.c.run == _run.id, condition).correlate(schema.run)
                many.append(one.limit(1).scalar_subquery().is_not(None))  # EXISTS, but looked up run by run
        if many:
            return or_(*many, _run.id.in_(sorted(few)))
        self._few = True
        return _run.id.in_(sorted(few))

    def _names(self, path: str) -> list[int]:
        """Return the numbers of a field's name, in each project that is asked for."""
        if self._projects is None:
            query = self._query
            if query.project is not None:
                self._projects = [query.project]
            elif query.projects is not None:
                self._projects = sorted(query.projects)
            else:
                self._projects = self._connection.scalars(select(_run.project).distinct()).all()
        return [name_of(project, path) for project in self._projects]


def _compare(column: Any, filtered: Filter) -> ColumnElement[bool]:
    value: Any = filtered.value
    comparisons: dict[str, Callable[[], Any]] = {
        "=": lambda: column == value,
        "<": lambda: column < value,
        "<=": lambda: column <= value,
        ">": lambda: column > value,
        ">=": lambda: column >= value,
        "in": lambda: column.in_(value),
        "contains": lambda: _contains(column, str(value)),
        "exists": lambda: column.is_not(None),
    }
    found: ColumnElement[bool] = comparisons[filtered.operator]()
    return found


def _contains(column: Any, text: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = func.lower(column).contains(text.lower(), autoescape=True)
    return found


def _is_one_of(name: Any, names: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that a name is one of several; of one alone, PostgreSQL reads an index in its order."""
    found: ColumnElement[bool] = name == names[0] if len(names) == 1 else name.in_(names)
    return found


def _after(column: Any, descending: bool, value: Any, run: str) -> ColumnElement[bool]:
    """Return the condition of what comes after a run, in a form that lets an index begin there."""
    if descending:
        return and_(column <= value, or_(column < value, _run.id < run))
    return and_(column >= value, or_(column > value, _run.id > run))


def _cursor(order: Order, stage: int, value: Any, run: str) -> str:
    said = json.dumps([f"{'-' if order.descending else ''}{order.field}", stage, value, run])
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _read_cursor(query: RunQuery) -> tuple[int, Any, str | None]:
    """Return the stage, the value and the run that a query goes on after."""
    if query.after is None:
        return 0, None, None
    unknown = QueryError("`after` is none that a page of runs ended with: begin with the first page")
    try:
        of, stage, value, run = json.loads(
            base64.urlsafe_b64decode(query.after + "=" * (-len(query.after) % 4))
        )
    except (ValueError, TypeError) as error:
        raise unknown from error
    order = parse_order(query.order) if query.order else NEWEST
    if of != f"{'-' if order.descending else ''}{order.field}":
        raise QueryError(
            "`after` goes on with another order than the one asked for: begin with the first page"
        )
    if not isinstance(stage, int) or not isinstance(value, (int, float, str)) or not isinstance(run, str):
        raise unknown
    return stage, value, run
