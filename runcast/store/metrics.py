"""Keeping the table `metric` in step with `part`: what a transaction wrote of scalar series, runs can be ordered by."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from runcast.store import schema
from runcast.store.bounds import Bounds
from runcast.store.fields import PUT_METRIC, SCALARS, SUMMARY, Named, metric_names, name_of, refill, said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from sqlalchemy import Connection

    from runcast.store.memory import RunMemory

__all__ = ["write_metrics"]

_run = schema.run.c
_part = schema.part.c
_series = schema.series.c

_SERIES = select(_series.id, _series.root, _series.source, _series.tag, _series.plugin).where(
    _series.run == bindparam("of_run")
)
_RUNS = select(_run.id, _run.project, _run.facts).where(_run.id.in_(bindparam("several", expanding=True)))
_BOUNDS = ("count", "first_step", "last_step", "last_wall_time", "last", "min", "max")
_PARTS = select(_part.run, _part.series, *(_part[name] for name in _BOUNDS)).where(
    _part.run == bindparam("of_run"),
    _part.series.in_(bindparam("several", expanding=True)),
)
_DROP = schema.metric.delete().where(
    schema.metric.c.run == bindparam("of_run"), schema.metric.c.name == bindparam("of_name")
)


def write_metrics(
    connection: Connection, touched: Mapping[str, AbstractSet[int]], memories: Mapping[str, RunMemory]
) -> None:
    """Write the values of series of which parts were written in this transaction."""
    puts: list[dict[str, object]] = []
    drops: list[dict[str, object]] = []
    rows: dict[str, Any] = {}
    for run, series in touched.items():
        memory = memories[run]
        if memory.names is None or not series <= memory.names.keys():
            before = memory.names
            if run not in rows:  # of all at once
                rows = {row.id: row for row in connection.execute(_RUNS, {"several": list(touched)})}
            memory.names, plain = _names(connection, rows[run], memory)
            if not plain or (before and any(memory.names[each] != name for each, name in before.items())):
                refill(connection, [run])
                continue
        bounds: defaultdict[int, Bounds] = defaultdict(Bounds)
        wanted = {number: name for number in series if (name := memory.names.get(number)) is not None}
        if not wanted:
            continue
        if memory.numbers is not None:
            for source in memory.sources.values():
                for (_, number), part in source.parts.items():
                    bounds[number] |= part.bounds
        else:
            for row in connection.execute(_PARTS, {"of_run": run, "several": list(wanted)}):
                bounds[row.series] |= Bounds.from_row(row)
        for number, name in wanted.items():
            if (found := bounds[number]).count:
                values = {"last": found.last, "min": found.min, "max": found.max}
                puts.append({"run": run, "name": name, **values})
            else:
                drops.append({"of_run": run, "of_name": name})
    if puts:
        connection.execute(PUT_METRIC.on(connection), puts)
    if drops:
        connection.execute(_DROP, drops)


def _names(connection: Connection, run: Any, memory: RunMemory) -> tuple[dict[int, int | None], bool]:
    """Return the numbers of the names of a run's series, and whether no two would have the same key; `run` is its row.

    None is for those whose value is not kept: the user's summary has it, or it is no scalar.
    """
    if memory.numbers is not None:
        found = [
            (number, root, source, tag, plugin)
            for (root, source), known in memory.sources.items()
            for tag, plugins in known.plugins.items()
            for plugin, number in plugins.items()
        ]
    else:
        found = [tuple(row) for row in connection.execute(_SERIES, {"of_run": run.id})]
    series = [Named(*each[:4]) for each in found if each[4] == SCALARS]
    user = said(json.loads(run.facts))
    keys = metric_names(series)
    names: dict[int, int | None] = dict.fromkeys(each[0] for each in found)
    for number, key in keys.items():
        if key not in user:
            names[number] = name_of(run.project, f"{SUMMARY}.{key}")
    return names, all(keys.get(each.id) == each.key for each in series)
