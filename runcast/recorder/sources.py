"""Which files belong to a run, where in the run each goes, and why a file is left alone."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runcast.events.discover import find_files, is_companion, is_event_file
from runcast.objects import is_bucket
from runcast.recorder.companions import beside, named_by
from runcast.recorder.pump import Pump
from runcast.run.record import FILES_DIR, OWN_ROOT
from runcast.run.roots import is_remote
from runcast.store.paths import FilePath, placed
from runcast.store.protocol import OLDER, FileRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runcast.events.discover import FoundFile
    from runcast.recorder.distant import Distant, RemoteFile
    from runcast.run.state import RunState, Watch, Writer

__all__ = ["Sources"]

HOLD = 2.0
"""Seconds that a new file in a logdir waits for the child process which may have opened it to say under which source."""

CLOCK_TICK = 0.01
"""Seconds by which a file's time may lie before that of the moment it was written: file systems use a coarser clock."""


@dataclass
class _Place:
    """A declared logdir: what was in it when it was first looked at, and what is wrong with it."""

    watch: Watch
    first: dict[str, tuple[int, int, tuple[int, int]]] | None = None
    state: str = ""
    why: str = ""


@dataclass
class Sources:
    """The files of one run, in the order in which they were found. Used by one thread.

    `folder` is the run's, `known` what the store has of earlier recorders: a file keeps its place in the run for good.
    """

    folder: Path
    created: float
    known: Iterable[FileRecord] = ()
    pumps: list[Pump] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._runs = os.path.realpath(self.folder.parent)
        self._places: dict[str, _Place] = {}
        self._older: dict[str, FileRecord] = {}
        self._ignored: dict[str, FileRecord] = {}
        self._current: dict[str, Pump] = {}
        self._real: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._rows: dict[str, FileRecord] = {}
        self._recorded_before: dict[str, FileRecord] = {}
        self._first_seen: dict[str, float] = {}
        self._companions: dict[str, str] = {}
        self._distant: Distant | None = None
        for row in self.known:
            self._rows[row.path] = row
            if not row.source_path or FilePath.parse(row.path).is_whole:
                continue
            self._owners[row.path] = row.source_path
            if row.state == "replaced":
                self._ignored[row.path] = row
            earlier = self._recorded_before.get(row.source_path)
            if row.state != OLDER and (earlier is None or _generation(row.path) > _generation(earlier.path)):
                self._recorded_before[row.source_path] = row

    def discover(
        self, state: RunState, reread: Callable[[], None] = lambda: None, *, hold: bool = True
    ) -> None:
        """Look for files that are to be recorded and are not yet.

        `reread` brings `state` up to date: whoever opened a file that is found here may have said so meanwhile. `hold` says
        whether there is time to wait for that.
        """
        inside = [
            (place, self._look_into(place))
            for place in (
                self._places.setdefault(watch.root, _Place(watch))
                for watch in state.watches.values()
                if not is_remote(watch.path)
            )
        ]
        reread()
        distant = [watch for watch in state.watches.values() if is_remote(watch.path)]
        for watch in distant:
            self._buckets().declare(watch)
        for writer in state.writers.values():
            self._add_writer(writer)
        if self._distant is not None and not hold:
            self._distant.hurry()
        hold = hold and bool(state.children)
        # Of nested logdirs the inner one names the source, as it does for writers (`runcast.run.roots`).
        inside.sort(key=lambda found: len(self._resolve(found[0].watch.path)), reverse=True)
        for place, files in inside:
            assert place.first is not None
            for file in files:
                self._consider(file, place.watch, place.first, hold=hold)
        self._look_beside_writers(state)
        for watch in sorted(distant, key=lambda watch: len(watch.path), reverse=True):
            self._look_into_bucket(watch, hold=hold)
        for found in find_files(self.folder / OWN_ROOT):
            if is_event_file(found.name):
                self._add(
                    str(found.path), placed(OWN_ROOT, found.source, found.name), save=True, in_place=True
                )

    def succeed(self, pump: Pump) -> Pump:
        """Return the pump that goes on with the new file that stands where this pump's was."""
        path = self._free(_base(pump.path), pump.origin, after=_generation(pump.path))
        return self._start(pump.origin, path, save=pump.save, in_place=pump.in_place)

    def find(self, path: str) -> Pump | None:
        """Return the pump of a file, named by its own path or by its place in the run."""
        if (pump := self._current.get(self._resolve(path))) is not None:
            return pump
        return next((pump for pump in self.pumps if pump.path == path), None)

    @property
    def companions(self) -> dict[str, str]:
        """The files that belong beside event files and are kept whole, by path, with their places in the run."""
        return self._companions

    def remote(self, path: str) -> RemoteFile | None:
        """Return a companion that is in a bucket; None for one that is here. For any thread."""
        return self._distant.kept(path) if self._distant is not None else None

    @property
    def behind(self) -> bool:
        """Whether buckets are still to answer with what was written to the run's last; not for ever."""
        return self._distant is not None and self._distant.behind

    def close(self) -> None:
        """Look no more at what is in buckets."""
        if self._distant is not None:
            self._distant.close()

    def records(self, *, stored: bool = False) -> Iterator[FileRecord]:
        """Yield what there is to say of each file, recorded or not; `stored` as in `Pump.record`."""
        for pump in self.pumps:
            yield pump.record(stored=stored)
        yield from self._older.values()
        yield from self._ignored.values()

    def places(self) -> Iterator[FileRecord]:
        """Yield the logdirs that something is wrong with; `path` is the logdir's."""
        for place in self._places.values():
            if place.state:
                path = place.watch.path
                yield FileRecord(path=path, size=0, source_path=path, state=place.state, why=place.why)
        if self._distant is not None:
            yield from self._distant.troubles()

    def _add_writer(self, writer: Writer) -> None:
        if is_remote(writer.path):
            self._add_remote_writer(writer)
            return
        path = placed("files", writer.root, writer.source, Path(writer.path).name)
        self._add(writer.path, path, save=writer.save)

    def _add_remote_writer(self, writer: Writer) -> None:
        """Follow a writer's object, or those that a pattern means, and the companions that stand beside it."""
        name = writer.path.rpartition("/")[2]
        path = placed("files", writer.root, writer.source, name)
        if not is_bucket(writer.path):
            why = "no place that can be read from here: only local files are recorded, and buckets (s3://, gs://, az://)"
            self._ignored[path] = FileRecord(
                path=path, size=0, source_path=writer.path, state="ignored", why=why
            )
            return
        if "*" not in name:
            self._add(writer.path, path, save=writer.save)
        for found in self._buckets().beside(writer):
            path = placed("files", writer.root, writer.source, found.source, found.name)
            if is_companion(found.name, found.source):
                self._accompany(found.address, path)
            else:
                self._add(found.address, path, save=writer.save)

    def _look_into(self, place: _Place) -> list[FoundFile]:
        """Return a logdir's files: those that were there before the run are recorded once they change."""
        logdir = Path(place.watch.path)
        errors: list[OSError] = []
        found = find_files(logdir, errors.append)
        place.state, place.why = _trouble(logdir, errors)
        if place.first is None:
            place.first = {str(file.path): _version(file) for file in found}
        return found

    def _consider(
        self,
        file: FoundFile,
        watch: Watch,
        first: dict[str, tuple[int, int, tuple[int, int]]],
        *,
        hold: bool,
    ) -> None:
        origin = str(file.path)
        real = self._resolve(origin)
        if real in self._current or self._is_ours(real):
            return
        fresh = (
            real in self._recorded_before
            or file.mtime_ns / 1e9 >= self.created - CLOCK_TICK
            or first.get(origin) != _version(file)
        )
        self._take_in(real, origin, (file.source, file.name), file.size, watch, fresh=fresh, hold=hold)

    def _take_in(
        self,
        real: str,
        origin: str,
        place: tuple[str, str],
        size: int,
        watch: Watch,
        *,
        fresh: bool,
        hold: bool,
    ) -> None:
        """Take in a file of a logdir that is not recorded yet: `place` is its source and its name."""
        source, name = place
        event_file = is_event_file(name)
        if not event_file and not watch.save:
            return
        path = placed("files", watch.root, source, name)
        companion = not event_file and is_companion(name, source)
        if companion:
            if fresh:
                self._accompany(origin, path)
        elif fresh:
            now = time.monotonic()
            held = hold and event_file and real not in self._recorded_before
            if held and now - self._first_seen.setdefault(real, now) < HOLD:
                return
            self._older.pop(real, None)
            self._add(origin, path, save=watch.save)
        elif real not in self._older:
            why = "left out: it has not grown since the run started"
            self._older[real] = FileRecord(
                path=self._free(path, real), size=0, source_path=real, source_size=size, state=OLDER, why=why
            )

    def _look_into_bucket(self, watch: Watch, *, hold: bool) -> None:
        """Take in what a declared logdir in a bucket holds, as far as it has been listed."""
        for found, fresh in self._buckets().inside(watch):
            if found.address not in self._current:
                place, size = (found.source, found.name), found.listed.size
                self._take_in(found.address, found.address, place, size, watch, fresh=fresh, hold=hold)

    def _buckets(self) -> Distant:
        if self._distant is None:
            from runcast.recorder.distant import Distant  # most runs are on this machine

            self._distant = Distant(self.created, self._recorded_before)
        return self._distant

    def _look_beside_writers(self, state: RunState) -> None:
        """Take in what writers, the projector and profilers leave beside the event files of writers."""
        folders = {
            os.path.dirname(each.path): each  # noqa: PTH120
            for each in state.writers.values()
            if each.save and not is_remote(each.path)
        }
        for folder, writer in folders.items():
            for path, place in beside(folder):
                if self._is_new(path):
                    self._accompany(path, placed("files", writer.root, writer.source, place))
            try:
                with os.scandir(folder) as scan:
                    found = [entry.path for entry in scan if self._is_new_graph(entry)]
            except OSError:
                continue
            for path in found:
                name = os.path.basename(path)  # noqa: PTH119
                self._add(path, placed("files", writer.root, writer.source, name), save=True)

    def _accompany(self, path: str, place: str) -> None:
        """Take in a companion; a projector configuration brings the files that it names, now or once it is written again."""
        self._companions.setdefault(path, place)
        for named, below in self._buckets().keep(path) if is_remote(path) else named_by(path):
            if is_remote(named) and named not in self._companions:
                self._buckets().keep(named)
            self._companions.setdefault(named, placed(place.rpartition("/")[0], below))

    def _is_new_graph(self, entry: os.DirEntry[str]) -> bool:
        if not entry.name.endswith(".pbtxt") or is_companion(entry.name, ".") or not entry.is_file():
            return False
        return self._is_new(entry.path)

    def _is_new(self, path: str) -> bool:
        """Whether a file was written since the run started, or recorded before."""
        if path in self._companions or path in self._recorded_before:
            return True
        try:
            return os.stat(path).st_mtime >= self.created - CLOCK_TICK  # noqa: PTH116
        except OSError:
            return False

    def _add(self, origin: str, path: str, *, save: bool, in_place: bool = False) -> None:
        real = self._resolve(origin)
        if real in self._current or (self._is_ours(real) and not in_place):
            return
        before = self._recorded_before.get(real)
        self._start(
            real, before.path if before is not None else self._free(path, real), save=save, in_place=in_place
        )

    def _start(self, origin: str, path: str, *, save: bool, in_place: bool) -> Pump:
        if is_remote(origin):
            pump: Pump = self._buckets().pump(origin, path, save=save)
        else:
            pump = Pump(origin, path, save=save, in_place=in_place)
        row = self._rows.get(path)
        if row is not None and save:
            pump.records, pump.skipped = row.records, row.skipped
        self._owners[path] = origin
        self._current[origin] = pump
        self.pumps.append(pump)
        return pump

    def _free(self, path: str, origin: str, after: int = 0) -> str:
        """Return the first generation of `path`, after one, that is no other file's."""
        generation = after + 1
        while True:
            candidate = path if generation == 1 else f"{path}~{generation}"
            if self._owners.setdefault(candidate, origin) == origin:
                return candidate
            generation += 1

    def _is_ours(self, real: str) -> bool:
        """Whether a file lies in a run's folder: a logdir around the store must not be recorded into itself.

        The names alone do not tell: `runs` is also where torch's writers write by default.
        """
        if not real.startswith(self._runs + os.sep):
            return False
        run, *below = Path(real).relative_to(self._runs).parts
        if run == self.folder.name and below[0] == FILES_DIR:
            return False
        return Path(self._runs, run, "run.jsonl").exists()

    def _resolve(self, path: str) -> str:
        real = self._real.get(path)
        if real is None:
            real = self._real[path] = path if is_remote(path) else os.path.realpath(path)
        return real


def _trouble(logdir: Path, errors: list[OSError]) -> tuple[str, str]:
    """Return the state of a logdir and what to do about it; both empty when all is well."""
    if not logdir.exists():
        return "waiting", f"{logdir} does not exist yet; waiting for it"
    if not logdir.is_dir():
        return "ignored", f"{logdir} is a file, not a folder; name the folder that holds it"
    if errors:
        reason = errors[0].strerror or str(errors[0])
        place = errors[0].filename or logdir
        return "unreadable", f"{place} cannot be read ({reason}); check its permissions, it is tried again"
    return "", ""


def _version(file: FoundFile) -> tuple[int, int, tuple[int, int]]:
    return file.size, file.mtime_ns, file.id


_GENERATION = re.compile(r"~(\d+)$")


def _generation(path: str) -> int:
    match = _GENERATION.search(path)
    return int(match[1]) if match else 1


def _base(path: str) -> str:
    return _GENERATION.sub("", path)
