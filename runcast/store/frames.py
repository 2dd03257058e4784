"""A run as the panel's messages, read from a store: what the recorder sends to a notebook, and a server to its pages.

`runcast.run.channel` describes the messages; here is what goes into them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.run.strict import strict
from runcast.store.protocol import OLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.run.record import RunRecord
    from runcast.store.protocol import FileRecord, Points, SeriesRecord, Store

__all__ = [
    "MOST_FILES",
    "PIECE",
    "SCALARS",
    "TIRED",
    "WHOLE",
    "buffers",
    "describe",
    "file_json",
    "read_whole",
    "run_json",
]

SCALARS = "scalars"

WHOLE = 20_000
"""Points up to which a series is sent as it is; beyond, what its pixels can show (at most four points each)."""

TIRED = 100_000
"""Points that a page is sent of one series before it gets a fresh, bucketed snapshot instead."""

PIECE = 100_000
"""Points in one snapshot; more series than that go into the next."""

MOST_FILES = 200
"""Files in a `run` message: no panel lists more."""


def read_whole(
    store: Store, run: str, series: SeriesRecord, *, until: int | None = None, most: int = WHOLE
) -> Points:
    """Return a scalar series as a snapshot shows it, up to the step `until`. Raises what the store raises.

    A series with more than `most` points is read as pixels can show it.
    """
    pixels = None if series.count <= most else most // 4
    steps = None if until is None else (min(series.first_step, until), until)
    return store.points(run, series.root, series.source, series.tag, step_range=steps, pixels=pixels)


def describe(series: SeriesRecord, n: int) -> dict[str, Any]:
    """Return the head of a series of which a snapshot holds `n` points."""
    return {
        "id": series.id,
        "n": n,
        "root": series.root,
        "source": series.source,
        "tag": series.tag,
        "plugin": series.plugin,
        "total": series.count,
    }


def buffers(columns: Sequence[Points]) -> list[bytes]:
    """Return all steps, all wall times and all values, as float64."""
    steps = np.concatenate([points.step for points in columns])
    wall_times = np.concatenate([points.wall_time for points in columns])
    values = np.concatenate([points.value for points in columns])
    return [column.astype("<f8").tobytes() for column in (steps, wall_times, values)]


def run_json(run: RunRecord) -> dict[str, Any]:
    """Return a run without its summary, which the panel has in its series."""
    return {
        "id": run.id,
        "project": run.project,
        "name": run.name,
        "state": run.state,
        "created": run.created,
        "ended": run.ended,
        "config": strict(run.config),
        "facts": strict(run.facts),
    }


def file_json(file: FileRecord) -> dict[str, Any]:
    """Return a file with its lag: how many bytes of its source are to be recorded and are not yet."""
    return {
        "path": file.path,
        "source": file.source_path,
        "size": file.source_size,
        "recorded": file.size,
        "lag": 0 if file.state == OLDER else max(0, file.source_size - file.size),
        "skipped": file.skipped,
        "state": file.state,
        "why": file.why,
    }
