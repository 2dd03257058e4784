"""Runs as JSON. The shapes are pinned in docs/design.md: scripts read them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runcast.run.record import OWN_ROOT
from runcast.run.strict import strict
from runcast.run.trials import summary_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.run.record import RunRecord
    from runcast.store.protocol import FileRecord, SeriesRecord

__all__ = ["dumps", "file_shape", "number", "run_shape", "series_shape", "summary"]


def run_shape(run: RunRecord, series: Sequence[SeriesRecord]) -> dict[str, Any]:
    """Return a run as JSON values."""
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
        "summary": _summary(run, series),
    }


def _summary(run: RunRecord, series: Sequence[SeriesRecord]) -> dict[str, Any]:
    last = {(each.root, each.source, each.tag): each.last for each in series if each.plugin == "scalars"}
    return {**summary(series), **summary_of(run.facts, last), **run.summary}


def series_shape(series: SeriesRecord) -> dict[str, Any]:
    """Return a series as JSON values."""
    shape = asdict(series)
    del shape["id"], shape["last_wall_time"]
    return shape


def summary(series: Sequence[SeriesRecord]) -> dict[str, float]:
    """Return the last value of each scalar series.

    Its key is the tag, after the source and a slash where the source is not the logdir itself; what `run.log` wrote has the tag
    alone. Where two series would have one key, their roots come before it. System metrics are left out.
    """
    keys = defaultdict(list)
    for each in series:
        if each.plugin == "scalars" and (each.root, each.source) != (OWN_ROOT, "system"):
            plain = each.source == "." or (each.root, each.source) == (OWN_ROOT, "log")
            keys[each.tag if plain else f"{each.source}/{each.tag}"].append(each)
    found = {}
    for key, same in keys.items():
        rooted = {f"{each.root}/{key}" for each in same}
        for each in same:
            if len(same) == 1:
                found[key] = each.last
            elif len(rooted) == len(same):
                found[f"{each.root}/{key}"] = each.last
            else:
                found[f"{each.root}/{each.source}/{each.tag}"] = each.last
    return found


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
