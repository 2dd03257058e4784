"""From sources into the store: find files, give each its turn, note what became of them, and outlast a store that fails."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runcast.errors import StoreError
from runcast.events import Decoder
from runcast.recorder.kept import Kept
from runcast.recorder.ledger import INTERVAL, Ledger
from runcast.recorder.outage import Outage
from runcast.recorder.report import child_row
from runcast.recorder.sources import Sources
from runcast.recorder.steps import Steps
from runcast.recorder.trials import Trials
from runcast.recorder.turns import Turns
from runcast.store.frames import file_json
from runcast.store.protocol import OLDER, FileRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from runcast.recorder.panels import Panels
    from runcast.recorder.pump import Pump, Step
    from runcast.run.state import RunState
    from runcast.store.protocol import Store

__all__ = ["Intake"]

DISCOVERY = 1.0
"""Seconds between looks for new files, at least."""

DISCOVERY_TIME, DISCOVERY_WORK = 0.05, 0.0025
"""The parts of the time, and of a core, that looking for new files may take: where it takes long it is done less often."""

SLOWEST_DISCOVERY = 30.0
"""Seconds between looks for new files, at most, however long a look takes."""

SLICE = 0.25
"""Seconds of recording after which others get their turn."""

FIRST_HOLD, LONGEST_HOLD = 1.0, 30.0
"""Seconds for which a file that the store refuses is held back, doubled each time."""


class Intake:
    """Records the files of one run. Used by one thread, which is the only one that writes to the store.

    Nothing here raises: what fails is tried again, less and less often, and `warn` is told. `reread` brings the run's state
    up to date with its journal; `others` is called for what else there is to say, as rows among the files.
    """

    def __init__(
        self,
        folder: Path,
        open_store: Callable[[], Store],
        panels: Panels,
        warn: Callable[[str], None],
        reread: Callable[[], None] = lambda: None,
        others: Callable[[], Iterable[FileRecord]] = tuple,
    ) -> None:
        self._others = others
        self._folder = folder
        self._open_store = open_store
        self._panels = panels
        self._warn = warn
        self._reread = reread
        self._hurried = False
        self._outage = Outage(warn)
        self._store: Store | None = None
        self._ledger: Ledger | None = None
        self._sources: Sources | None = None
        self._kept: Kept | None = None
        self._decoder = Decoder()
        self._held: dict[str, tuple[float, float]] = {}
        self._next_discovery = 0.0
        self._next_note = 0.0
        self.trials = Trials()
        self._turns = Turns()
        self._round: deque[Pump] = deque()
        self._final = False
        self._alone = False

    @property
    def failing(self) -> bool:
        """Whether the store could not be used at the last attempt."""
        return bool(self._outage.why)

    @property
    def behind(self) -> bool:
        """Whether something is still to be recorded: the store could not take it, or a bucket has not been read to its last."""
        if self.failing or self._held or (self._kept is not None and self._kept.behind):
            return True
        return self._sources is not None and self._sources.behind

    def wait(self) -> float:
        """Return the seconds until the store is tried again; 0 while it works."""
        return self._outage.wait(time.monotonic())

    def discover_soon(self) -> None:
        """Look for new files with the next `look`."""
        self._next_discovery = 0.0

    def hurry(self) -> None:
        """Wait no more for processes that may have something to say of the files that they write: the run has ended."""
        self._hurried = True

    def look(self, state: RunState, *, urgent: Iterable[str] = (), final: bool = False) -> tuple[bool, bool]:
        """Record what is there now: whether anything was recorded, and whether there is more at once.

        Files named in `urgent` come first, and then all the others; otherwise those that have not moved lately take turns (see
        `Turns`) until there is no time left for that. With `final`, bytes at a file's end that fail verification get no more time, and
        are set aside.
        """

        def work(store: Store) -> tuple[bool, bool]:
            now = time.monotonic()
            sources, ledger = self._prepared(store, state)
            self._discover(sources, state, now)
            first = [pump for path in urgent if (pump := sources.find(path)) is not None]
            if first:
                self._together(deque(dict.fromkeys(first)), sources, ledger, store, final=final)
            everything = final or self._hurried or bool(first)
            moved, more = self._pump(sources, ledger, store, everything=everything, final=final)
            assert state.run is not None
            more |= self._keep(store, state, sources, final=final)
            ledger.note_run(state.run, now)
            if now >= self._next_note:
                self.trials.note(store, ledger.run)
                ledger.note_files(sources.records(stored=True), now)
                self._next_note = now + INTERVAL
            return moved, more

        if state.run is None or self.wait() > 0:
            return False, False
        return self._attempt(work) or (False, False)

    def send_frames(self, state: RunState, *, at_once: bool = False) -> None:
        """Send panels what is due."""
        if self._sources is not None and not self.failing:
            self._attempt(lambda _: self._panels.send(lambda: self.rows(state), at_once=at_once))

    def end(self, state: RunState) -> bool:
        """Note in the store that the run has ended; False if it has to be tried again."""

        def work(store: Store) -> bool:
            sources, ledger = self._prepared(store, state)
            assert state.run is not None
            done = [
                replace(file, state="recorded") if file.state == "recording" else file
                for file in sources.records(stored=True)
            ]
            self.trials.note(store, ledger.run)
            ledger.note_files(done, time.monotonic(), everything=True)
            ledger.end(state.run)
            return True

        return self.wait() == 0 and bool(self._attempt(work))

    def close(self) -> None:
        """Look at nothing any more, and close the store."""
        if self._sources is not None:
            self._sources.close()
        if self._store is not None:
            self._store.close()

    def find(self, path: str) -> Pump | None:
        """Return the pump of a file, named by its own path or by its place in the run."""
        return self._sources.find(path) if self._sources is not None else None

    def last_change(self) -> float:
        """Return when a recorded source changed last, in seconds since the epoch; 0 if nobody knows."""
        return (
            max((pump.changed for pump in self._sources.pumps), default=0.0)
            if self._sources is not None
            else 0.0
        )

    def measure(self) -> None:
        """Look up the sources' sizes, also while nothing can be recorded."""
        for pump in self._sources.pumps if self._sources is not None else ():
            pump.measure()

    def rows(self, state: RunState) -> Iterator[dict[str, Any]]:
        """Yield what there is to say of each logdir that something is wrong with, and of each file, as JSON."""
        if self._sources is None:
            why = self._outage.why or "the recorder has just started"
            for writer in state.writers.values():
                yield file_json(FileRecord(writer.path, 0, source_path=writer.path, state="waiting", why=why))
            yield from map(file_json, self._others())
            return
        kept = self._kept.records() if self._kept is not None else ()
        strangers = [child_row(child) for child in state.children.values() if child.why]
        for file in (*strangers, *self._sources.places(), *self._sources.records(), *kept):
            row = file_json(file)
            if self.failing and row["lag"] and row["state"] != OLDER:
                row["state"], row["why"] = "retrying", self._outage.why
            yield row
        yield from map(file_json, self._others())

    def _attempt(self, work: Callable[[Store], Any]) -> Any:
        """Return what `work` does with the store; None if it failed."""
        try:
            if self._store is None:
                self._store = self._open_store()
            result = work(self._store)
        except Exception as error:  # noqa: BLE001  whatever went wrong, the bytes are there to be tried again
            self._outage.begin(error, time.monotonic())
            return None
        self._outage.end()
        return result

    def _prepared(self, store: Store, state: RunState) -> tuple[Sources, Ledger]:
        """Return the run's sources and ledger, made when the store can first be used."""
        assert state.run is not None
        if self._ledger is None:
            self._ledger = Ledger(store, state.run)
        if self._sources is None:
            self._panels.open(store)
            known = store.files(state.run.id)
            self._sources = Sources(self._folder, state.begun, known)
            self._kept = Kept(self._folder, known, self._warn, self._sources.remote)
        return self._sources, self._ledger

    def _keep(self, store: Store, state: RunState, sources: Sources, *, final: bool) -> bool:
        """See to it that whole files are kept; with `final`, whether some of them are still to be."""
        assert self._kept is not None
        self._kept.follow(store, state.saves, sources.companions)
        return final and not self._kept.finish()

    def _discover(self, sources: Sources, state: RunState, now: float) -> None:
        if now < self._next_discovery:
            return
        work = time.thread_time()
        sources.discover(state, self._reread, hold=not self._hurried)
        for place in sources.places():
            self._warn(place.why)
        took, work = time.monotonic() - now, time.thread_time() - work
        wait = max(DISCOVERY, took / DISCOVERY_TIME, work / DISCOVERY_WORK)
        self._next_discovery = now + min(wait, SLOWEST_DISCOVERY)

    def _pump(
        self, sources: Sources, ledger: Ledger, store: Store, *, everything: bool, final: bool
    ) -> tuple[bool, bool]:
        """Give each file whose turn it is a step, in rounds; a round that takes longer than `SLICE` seconds goes on with the next call."""
        if final != self._final:
            self._final = final
            self._round.clear()
        if not self._round:
            dealt = self._turns.deal(sources.pumps, time.monotonic())
            self._round.extend(sources.pumps if everything else dealt)
            self._alone = False
        moved = more = False
        stop = time.monotonic() + SLICE
        while self._round and time.monotonic() < stop:
            went, on = self._together(self._round, sources, ledger, store, final=final)
            moved, more = moved or went, more or on
        return moved, more or bool(self._round)

    def _together(
        self, queue: deque[Pump], sources: Sources, ledger: Ledger, store: Store, *, final: bool
    ) -> tuple[bool, bool]:
        """Record the next piece of files from the queue, in one transaction where nothing speaks against it.

        When that fails as a whole, nobody knows for whose sake: the files of this round get a transaction each, and one that
        the store refuses is held back, so that it does not hold up the others.
        """
        now = time.monotonic()
        pumps: list[Pump] = []
        moved = more = False
        failures: list[Exception] = []
        try:
            steps = Steps(store, ledger.run)
            while queue and steps.room and not (pumps and self._goes_alone(queue[0], pumps[-1])):
                pump = queue.popleft()
                if now >= self._held.get(pump.path, (0.0, 0.0))[1] and pump.state != "replaced":
                    pumps.append(pump)
                    steps.begin(pump, pump.step(store, ledger.run, self._decoder, now, final=final))
            unknown = [pump.record(stored=True) for pump in pumps if not ledger.knows(pump.path)]
            ledger.note_files(unknown, now, everything=True)
            for pump, outcome in steps.finish():
                pumps.remove(pump)
                try:
                    step = self._taken(pump, outcome, sources, ledger, now, final=final)
                except Exception as error:  # noqa: BLE001  the others' outcomes come first
                    failures.append(error)
                else:
                    moved, more = moved or step.moved, more or step.more
        except Exception:
            if len(pumps) == 1:
                self._hold(pumps[0], now)
            else:
                queue.extendleft(reversed(pumps))
                self._alone = True
            raise
        if failures:
            raise failures[0]
        return moved, more

    def _goes_alone(self, *pumps: Pump) -> bool:
        return self._alone or (bool(self._held) and any(pump.path in self._held for pump in pumps))

    def _taken(
        self,
        pump: Pump,
        outcome: Step | Exception,
        sources: Sources,
        ledger: Ledger,
        now: float,
        *,
        final: bool,
    ) -> Step:
        """Do what follows from a step. Raises the error that the store answered."""
        if isinstance(outcome, Exception):
            self._hold(pump, now)
            raise outcome
        self._held.pop(pump.path, None)
        if outcome.moved:
            self._turns.moved(pump, now)
        if outcome.batch is not None:
            self._panels.add(pump.path, outcome.batch)
            self.trials.add(pump.path, outcome.batch)
        if pump.state == "replaced":
            ledger.note_files([pump.record(stored=True)], now, everything=True)
            sources.succeed(pump)
        elif pump.state == "quarantined" or (final and not outcome.more):
            self._set_aside(pump)
        return outcome

    def _hold(self, pump: Pump, now: float) -> None:
        delay, _ = self._held.get(pump.path, (FIRST_HOLD, 0.0))
        self._held[pump.path] = (min(2 * delay, LONGEST_HOLD), now + delay)

    def _set_aside(self, pump: Pump) -> None:
        if pump.state == "quarantined":
            self._warn(f"{pump.origin}: {pump.why}")
        try:
            pump.set_aside(self._folder / "quarantine")
        except OSError as error:
            raise StoreError(
                f"cannot set aside the end of {pump.origin} in {self._folder / 'quarantine'}: {error.strerror}"
            ) from error
