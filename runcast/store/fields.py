"""What runs are found and ordered by: their config, summary and labels (table `field`), and the values of their series (`metric`).

Both tables are derived. Each row has a number for a name: the hash of the project and the field's path, so that an index on
(name, value) is one project's, and small, and needs no list of names that writers would have to share.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, bindparam, select

from runcast.run.record import OWN_ROOT
from runcast.run.trials import config_with
from runcast.store import schema
from runcast.store.bounds import Bounds
from runcast.store.upsert import Upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

__all__ = [
    "CONFIG",
    "LABELS",
    "PUT_FIELD",
    "PUT_METRIC",
    "SUMMARY",
    "Named",
    "element",
    "field_rows",
    "fill",
    "metric_names",
    "metric_rows",
    "name_of",
    "refill",
    "said",
    "text_key",
]

CONFIG = "config"
SUMMARY = "summary"

MOST_FIELDS = 1000
"""Values of a run that it can be found by; there is no end to what a config may hold."""

MOST_ELEMENTS = 100
"""Elements of a list that a run can be found by."""

MOST_CHARACTERS = 255
"""Of a text that are searched; PostgreSQL's indexes take 2,700 bytes."""

SCALARS = "scalars"
LABELS = ("group", "job_type", "notes", "host")

_run = schema.run.c
_part = schema.part.c
_series = schema.series.c

_RUNS = select(_run.id, _run.project, _run.config, _run.facts).where(
    _run.id.in_(bindparam("several", expanding=True))
)
_PARTS = (
    select(_series.run, *(_series[name] for name in ("id", "root", "source", "tag")), *_part)
    .join(schema.part, and_(_part.run == _series.run, _part.series == _series.id))
    .where(_series.run.in_(bindparam("several", expanding=True)), _series.plugin == SCALARS)
    .order_by(_series.run, _series.id)
)
DROP_METRICS = schema.metric.delete().where(schema.metric.c.run == bindparam("of_run"))
DROP_FIELDS = schema.field.delete().where(schema.field.c.run == bindparam("of_run"))
PUT_METRIC = Upsert(schema.metric)
PUT_FIELD = Upsert(schema.field)


class Named(NamedTuple):
    """A series, as far as its name goes."""

    id: int
    root: str
    source: str
    tag: str

    @property
    def key(self) -> str | None:
        """The summary's key where no other series has it too; None for what is not in the summary."""
        if (self.root, self.source) == (OWN_ROOT, "system"):
            return None
        plain = self.source == "." or (self.root, self.source) == (OWN_ROOT, "log")
        return self.tag if plain else f"{self.source}/{self.tag}"


def name_of(project: str, path: str) -> int:
    """Return the number of a field's name: `config.…`, `summary.…`, `tags`, `group`, `job_type`, `notes`, `host`."""
    digest = hashlib.blake2b(f"{project}\0{path}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def element(path: str, value: Any) -> str:
    """Return the path of an element of a list, by which a run is found that has it."""
    if isinstance(value, (bool, int, float)):
        value = float(value)
    return f"{path}\0{value!r}"


def text_key(text: str) -> str:
    """Return what is kept of a text, to be equal for equal texts: of a long one the beginning and a checksum."""
    if len(text) <= MOST_CHARACTERS:
        return text
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{text[: MOST_CHARACTERS - 16]}{digest}"


def metric_names(series: Iterable[Named]) -> dict[int, str]:
    """Return the summary's key of each scalar series.

    It is the tag, after the source and a slash where the source is not the logdir itself; what `run.log` wrote has the tag
    alone. Where two series would have one key, their roots come before it. System metrics are left out.
    """
    keys = defaultdict(list)
    for each in series:
        if each.key is not None:
            keys[each.key].append(each)
    found = {}
    for key, same in keys.items():
        rooted = {f"{each.root}/{key}" for each in same}
        for each in same:
            if len(same) == 1:
                found[each.id] = key
            elif len(rooted) == len(same):
                found[each.id] = f"{each.root}/{key}"
            else:
                found[each.id] = f"{each.root}/{each.source}/{each.tag}"
    return found


def field_rows(run: str, project: str, config: Mapping[str, Any], facts: Mapping[str, Any]) -> list[Any]:
    """Return a run's rows of the table `field`; `config` is the effective one."""
    values: dict[str, tuple[float | None, str | None]] = {}
    for path, value in _leaves(CONFIG, config):
        values.setdefault(path, _value(value))
    summary = facts.get(SUMMARY)
    for path, value in _leaves(SUMMARY, summary if isinstance(summary, dict) else {}):
        values.setdefault(path, _value(value))
    for label in LABELS:
        if facts.get(label):
            values[label] = _value(str(facts[label]))
    tags = facts.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        values[element("tags", str(tag))] = (None, None)
    return [
        {"run": run, "name": name_of(project, path), "number": number, "text": text}
        for path, (number, text) in list(values.items())[: MOST_FIELDS + len(LABELS)]
    ]


def refill(connection: Connection, runs: Sequence[str]) -> None:
    """Write all rows of runs anew."""
    parts: defaultdict[str, dict[Named, Bounds]] = defaultdict(dict)
    for row in connection.execute(_PARTS, {"several": runs}):
        series = Named(row.id, row.root, row.source, row.tag)
        of_run = parts[row.run]
        of_run[series] = of_run.get(series, Bounds()) | Bounds.from_row(row)
    of = [{"of_run": run} for run in runs]
    connection.execute(DROP_METRICS, of)
    connection.execute(DROP_FIELDS, of)
    metrics: list[dict[str, Any]] = []
    fields: list[dict[str, Any]] = []
    for row in connection.execute(_RUNS, {"several": runs}).all():
        facts = json.loads(row.facts)
        fields += field_rows(row.id, row.project, config_with(json.loads(row.config), facts), facts)
        names = metric_names(parts[row.id])
        found = {names[each.id]: bounds for each, bounds in parts[row.id].items() if each.id in names}
        metrics += metric_rows(row.id, row.project, found, said(facts))
    for statement, rows in ((PUT_METRIC, metrics), (PUT_FIELD, fields)):
        if rows:
            connection.execute(statement.on(connection), rows)


def said(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that the user's own summary says, which win over those of the series."""
    summary = facts.get(SUMMARY)
    if not isinstance(summary, dict):
        return {}
    found = {path.partition(".")[2]: _value(value)[0] for path, value in _leaves(SUMMARY, summary)}
    return {path: number for path, number in found.items() if number is not None}


def metric_rows(
    run: str, project: str, bounds: Mapping[str, Bounds], user: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return a run's rows of the table `metric`, given the bounds of series by their summary's key."""
    values = {key: (each.last, each.min, each.max) for key, each in bounds.items() if each.count}
    values |= {key: (number,) * 3 for key, number in user.items()}
    return [
        {
            "run": run,
            "name": name_of(project, f"{SUMMARY}.{key}"),
            "last": last,
            "min": least,
            "max": greatest,
        }
        for key, (last, least, greatest) in values.items()
    ]


def fill(connection: Connection) -> None:
    """Write all rows of all runs anew."""
    runs = connection.scalars(select(_run.id)).all()
    for at in range(0, len(runs), 100):
        refill(connection, runs[at : at + 100])


def _leaves(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield what is in nested dicts by its path, inner dicts themselves too, and the elements of lists."""
    if isinstance(value, dict) and depth < 16:
        if depth:
            yield path, None
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner, depth + 1)
        return
    yield path, value
    if isinstance(value, list):
        for each in value[:MOST_ELEMENTS]:
            if isinstance(each, (bool, int, float, str)):
                yield element(path, each), None


def _value(value: Any) -> tuple[float | None, str | None]:
    """Return a value's number and text; what is neither is text as JSON."""
    if value is None:
        return None, None
    if isinstance(value, (bool, int, float)):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf if value > 0 else -math.inf
        return number, None
    return None, text_key(value if isinstance(value, str) else json.dumps(value, separators=(",", ":")))
