"""What a store has already under another name: runs that were recorded while they went, and folders that were moved since they were brought.

A file is known by its name (an event file's holds its time, host and process) and its beginning. What was recorded is not
brought again from where it was recorded: what has been added to it since goes to the recorded run, and files beside it that the
recorder left alone become a run without it. A folder that was moved goes on with its run; one that was copied is another.
"""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runcast.errors import RunNotFound
from runcast.store.origins import find_origins
from runcast.sync.flow import HEAD
from runcast.sync.transfer import FACT, run_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.run.record import RunRecord
    from runcast.store.local import LocalStore
    from runcast.store.origins import Origin
    from runcast.sync.plan import Member, Planned

__all__ = ["recognise"]

FOLDERS_HELD = 3
"""Runs that a folder has held one after the other (see `run_id`), which are looked for among the known."""


def recognise(runs: Sequence[Planned], store: LocalStore) -> list[Planned]:
    """Return the runs to be, those that are known under another id as that run's. Raises `StoreError`."""
    names = {posixpath.basename(member.path) for run in runs for member in run.events}
    known = _Known(store, find_origins(store.database, names))
    return [each for run in runs for each in known.told_apart(run)]


class _Known:
    def __init__(self, store: LocalStore, origins: dict[str, list[Origin]]) -> None:
        self._store = store
        self._origins = origins
        self._records: dict[str, RunRecord | None] = {}

    def told_apart(self, planned: Planned) -> list[Planned]:
        """Return the run as it is, or the known runs that have files of it, and the rest."""
        own = {run_id(planned.key, number) for number in range(1, FOLDERS_HELD + 1)}
        places: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for member in planned.events:
            origin = self._origin(member, own)
            if origin is not None:
                places[origin.run][member.path] = origin.path
        if not places:
            return [planned]
        if len(places) == 1:
            (run,) = places
            if not self._is_recorded(run):
                return [self._moved(planned, run, places[run])]
        found = []
        rest = planned
        for run, its in places.items():
            part, rest = self._parted(rest, run, its)
            found.append(part)
        if len(found) == 1 and not (rest.events or rest.whole):
            return [replace(found[0], key=planned.key)]
        return [*found, rest] if rest.events or rest.whole else found

    def _origin(self, member: Member, own: set[str]) -> Origin | None:
        """Return the recorded file that this one is; None for one that is new, or that a run of this folder has."""
        several = self._origins.get(posixpath.basename(member.path), ())
        if any(each.run in own for each in several):
            return None
        address = member.location.address(member.entry)
        for each in several:
            if (each.source_path == address or self._is_gone(each)) and self._begins_alike(member, each):
                return each
        return None

    def _is_gone(self, origin: Origin) -> bool:
        """Whether nothing is any longer where a file was recorded from, as far as this machine can tell."""
        record = self._record(origin.run)
        said = record.facts.get(FACT) if record is not None else None
        place = str(said.get("from", "")) if isinstance(said, dict) else ""
        if "!" in place or not Path(origin.source_path).is_absolute():  # archives, buckets
            return False
        return not os.path.lexists(origin.source_path)

    def _begins_alike(self, member: Member, origin: Origin) -> bool:
        if self._record(origin.run) is None:
            return False
        with suppress(OSError), member.location.open(member.entry) as file:
            ours, theirs = file.read(HEAD), self._store.read(origin.run, origin.path, 0, HEAD)
            both = min(len(ours), len(theirs))
            return both > 0 and ours[:both] == theirs[:both]
        return False

    def _is_recorded(self, run: str) -> bool:
        """Whether a recorder made the run, not a sync."""
        record = self._record(run)
        return record is not None and record.state != "synced"

    def _record(self, run: str) -> RunRecord | None:
        if run not in self._records:
            self._records[run] = None
            with suppress(RunNotFound):
                self._records[run] = self._store.run(run)
        return self._records[run]

    def _moved(self, planned: Planned, run: str, places: dict[str, str]) -> Planned:
        """Return all of it as the run that it was: new files take their places beside the known ones."""
        roots = {_root(path): _root(place) for path, place in places.items()}

        def placed(member: Member) -> Member:
            root = roots.get(_root(member.path), _root(member.path))
            below = member.path.split("/", 2)[2]
            return replace(member, path=places.get(member.path) or f"files/{root}/{below}")

        return replace(
            planned,
            events=tuple(map(placed, planned.events)),
            whole=tuple(map(placed, planned.whole)),
            run=run,
        )

    def _parted(self, planned: Planned, run: str, places: dict[str, str]) -> tuple[Planned, Planned]:
        """Return what a recorded run has of it, and the rest. What is kept beside event files goes with those, unless it is there already."""
        folders = {posixpath.dirname(path): posixpath.dirname(place) for path, place in places.items()}
        there = {file.path: file.size for file in self._store.files(run)}
        events = [
            replace(member, path=places[member.path]) for member in planned.events if member.path in places
        ]
        whole, others = [], []
        for member in planned.whole:
            folder = next((each for each in _folders(member.path) if each in folders), None)
            if folder is None:
                others.append(member)
                continue
            place = folders[folder] + member.path.removeprefix(folder)
            if there.get(place) != member.entry.size:
                whole.append(replace(member, path=place))
        part = replace(
            planned, key=f"{planned.key} in {run}", events=tuple(events), whole=tuple(whole), run=run
        )
        left = tuple(member for member in planned.events if member.path not in places)
        return part, replace(planned, events=left, whole=tuple(others))


def _root(path: str) -> str:
    return path.split("/", 2)[1]


def _folders(path: str) -> list[str]:
    """Return the folders that a file of a run is in, the nearest first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 1, -1)]
