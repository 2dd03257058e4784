"""Runs as JSON. The shapes are pinned in docs/design.md: scripts read them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runcast.run.metrics import FACT, Metrics, Values
from runcast.run.record import OWN_ROOT
from runcast.run.strict import strict
from runcast.run.trials import summary_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runcast.run.metrics import Metric
    from runcast.run.record import RunRecord
    from runcast.store.protocol import FileRecord, SeriesRecord, SeriesValues, Store

    Summarized = SeriesRecord | SeriesValues
    Logged = Callable[[Summarized], Sequence[float]]

__all__ = [
    "dumps",
    "file_shape",
    "number",
    "run_shape",
    "series_shape",
    "series_summary",
    "summary",
    "whole_summary",
]


def run_shape(run: RunRecord, series: Sequence[SeriesRecord], store: Store | None = None) -> dict[str, Any]:
    """Return a run as JSON values; without the store, means and first values that were asked for are NaN in its summary."""
    return {
        "id": run.id,
        "project": run.project,
        "name": run.name,
        "state": run.state,
        "created": run.created,
        "ended": run.ended,
        "tags": list(run.tags),
        "notes": run.notes,
        "group": run.group,
        "job_type": run.job_type,
        "config": run.config,
        "summary": whole_summary(run, series, store),
    }


def whole_summary(run: RunRecord, series: Sequence[Summarized], store: Store | None = None) -> dict[str, Any]:
    """Return what came of a run: what its series say, its trials above that, and what the user set above all."""
    last = {(each.root, each.source, each.tag): each.last for each in series if each.plugin == "scalars"}
    return {**series_summary(run, series, store), **summary_of(run.facts, last), **run.summary}


def series_summary(
    run: RunRecord, series: Sequence[Summarized], store: Store | None = None
) -> dict[str, Any]:
    """Return what a run's series say, as its metrics are defined."""

    def logged(each: Summarized) -> Sequence[float]:
        if store is None:
            return ()
        values: list[float] = store.points(run.id, each.root, each.source, each.tag).value.tolist()
        return values

    return summary(series, Metrics(run.facts.get(FACT)), logged)


def series_shape(series: SeriesRecord) -> dict[str, Any]:
    """Return a series as JSON values."""
    shape = asdict(series)
    del shape["id"], shape["last_wall_time"]
    return shape


def summary(
    series: Sequence[Summarized], metrics: Metrics | None = None, logged: Logged = lambda _: ()
) -> dict[str, Any]:
    """Return what there is to say of each scalar series: its last value, unless the metric is defined otherwise.

    Its key is the tag, after the source and a slash where the source is not the logdir itself; what `run.log` wrote has the tag
    alone. Where two series would have one key, their roots come before it. System metrics are left out. `logged` reads a series'
    values, for means and first values.
    """
    keys = defaultdict(list)
    for each in series:
        if each.plugin == "scalars" and (each.root, each.source) != (OWN_ROOT, "system"):
            plain = each.source == "." or (each.root, each.source) == (OWN_ROOT, "log")
            keys[each.tag if plain else f"{each.source}/{each.tag}"].append(each)
    found = {}
    for key, same in keys.items():
        names = [key] if len(same) == 1 else [f"{each.root}/{key}" for each in same]
        if len(set(names)) < len(same):
            names = [f"{each.root}/{each.source}/{each.tag}" for each in same]
        for name, each in zip(names, same, strict=True):
            metric = metrics.of(*_names(name, each.tag)) if metrics else None
            value = each.last if metric is None else _summarized(metric, each, logged)
            if value is not None:
                found[name] = value
    return found


def _names(key: str, tag: str) -> list[str]:
    """Return what a user may call a series: its key, or less of its source, or the tag alone."""
    parts = key.removesuffix(tag).split("/")
    return ["/".join([*parts[at:-1], tag]) for at in range(len(parts))]


def _summarized(metric: Metric, series: Summarized, logged: Logged) -> Any:
    values = Values(math.nan, series.last, series.min, series.max)
    if {"first", "mean"} & set(metric.summary):
        for number, value in enumerate(logged(series)):
            if number == 0:
                values.first = value
            values.take(value)
    return metric.summarized(values)


def file_shape(file: FileRecord) -> dict[str, Any]:
    """Return a file as JSON values."""
    return asdict(file)


def dumps(value: Any) -> str:
    """Return JSON that every reader accepts: NaN is `"NaN"`, infinities are `"Infinity"` and `"-Infinity"`."""
    return json.dumps(strict(value), indent=2, allow_nan=False)


def number(value: float) -> float | str:
    """Return a float as JSON can say it."""
    said: float | str = strict(value)
    return said
