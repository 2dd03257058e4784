"""How a run's files are named in a bucket, and what a bucket that is listed has of them."""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.objects import Objects

__all__ = [
    "RUNS",
    "Listed",
    "Segment",
    "folder_of",
    "is_version",
    "list_run",
    "place_of",
    "segment_name",
    "version_name",
]

RUNS = "runs"

LONGEST_PLACE = 700
"""Bytes of a path that is part of an object's name: buckets allow 1024 in all."""


class Segment(NamedTuple):
    """Bytes [start, stop) of a file, in an object."""

    start: int
    stop: int
    object: str


def folder_of(run: str) -> str:
    """Return what the names of all of a run's objects begin with."""
    return f"{RUNS}/{run}"


def place_of(path: str) -> str:
    """Return a path as part of an object's name: itself, or, if it is too long, its digest."""
    data = path.encode()
    return path if len(data) <= LONGEST_PLACE else f"long/{hashlib.sha256(data).hexdigest()}"


def segment_name(run: str, path: str, start: int, stop: int) -> str:
    """Return the name of the object for bytes [start, stop) of a file."""
    return f"{folder_of(run)}/segments/{place_of(path)}/{start}-{stop}"


def version_name(run: str, path: str) -> str:
    """Return a new name for a whole file; later ones sort behind it."""
    return f"{folder_of(run)}/files/{place_of(path)}/{time.time_ns():016x}-{os.urandom(4).hex()}"


def is_version(name: str) -> bool:
    """Say whether an object is a whole file."""
    return name.split("/", 3)[2] == "files"


@dataclass(slots=True)
class Listed:
    """What a bucket has of one file."""

    segments: list[Segment] = field(default_factory=list)
    versions: list[Segment] = field(default_factory=list)

    def reaching(self, noted: Sequence[Segment], end: int) -> list[Segment]:
        """Return the segments that make the file, given those that are noted, and the `end` that it has with its tail.

        They are those that are noted, unless there is a newer version of a whole file, or objects that reach further.
        """
        known = list(noted)
        newest = max(self.versions, key=lambda version: version.object, default=None)
        if newest is not None and newest not in known:
            known, end = [newest], 0
        longer = known + self._chain(known[-1].stop if known else 0)
        return longer if longer and longer[-1].stop > end else known

    def _chain(self, at: int) -> list[Segment]:
        """Return segments without a gap from an offset on; where several begin at one, the longest."""
        found = []
        for segment in sorted(self.segments, key=lambda segment: (segment.start, -segment.stop)):
            if segment.start <= at < segment.stop:
                found.append(segment)
                at = segment.stop
        return found


def list_run(objects: Objects, run: str) -> dict[str, Listed]:
    """Return what there is of each file of a run, by its place."""
    folder = folder_of(run)
    found: defaultdict[str, Listed] = defaultdict(Listed)
    for name, size in objects.walk(folder):
        kind, _, rest = name[len(folder) + 1 :].partition("/")
        place, _, last = rest.rpartition("/")
        start, _, stop = last.partition("-")
        if kind == "files":
            found[place].versions.append(Segment(0, size, name))
        elif kind == "segments" and start.isdigit() and stop.isdigit() and int(stop) - int(start) == size:
            found[place].segments.append(Segment(int(start), int(stop), name))
    return dict(found)
