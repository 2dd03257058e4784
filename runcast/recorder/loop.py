"""The recorder of one run: in which order it does its work, how often, and how it ends."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from runcast.errors import JournalError
from runcast.recorder.findings import Findings
from runcast.recorder.intake import Intake
from runcast.recorder.panels import Panels
from runcast.recorder.report import child_row, run_json
from runcast.recorder.system import SystemMetrics
from runcast.run.journal import Journal, read_journal
from runcast.run.record import OWN_ROOT, RunRecord
from runcast.run.state import RunState
from runcast.run.trials import config_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runcast.recorder.channel import Inbox, Outbox
    from runcast.recorder.parent import Parent
    from runcast.recorder.replica import Replica
    from runcast.store.local import LocalStore
    from runcast.store.protocol import FileRecord

__all__ = ["STOPPED", "Recorder"]

log = logging.getLogger(__name__)

STOPPED = 143
"""The exit status of a recorder that was told to stop (SIGTERM) before its run had ended: another one goes on."""

BUSY, IDLE = 0.2, 1.0
"""Seconds between looks at the files while they move, and when nothing has moved for a while."""

SPARING = 1 / 30
"""The part of a core that looks may take where many files grow, so that recording does not take one from the training…"""

FRESH, SHARE = 0.45, 1 / 22
"""… unless they would be further apart than this, in seconds: before that, they may take this part of a core…"""

LONGEST_REST = 1.0
"""… and they are never further apart than this, in seconds, whatever they cost."""

RECENT_LOOKS = 9
"""Looks whose median is what looks usually cost: one costs more now and then, and the next need not be late for it."""

DRAIN = 0.9
"""Seconds that a `drain` may wait for bytes to come: the kernel waits 1 s."""

DRAIN_INTERVAL = 0.05
"""Seconds between looks while a `drain` waits."""

CALM = 0.1
"""Seconds between two looks at the end of a run that must both find nothing new."""

PATIENCE_AT_END = 5.0
"""Seconds after which the end no longer waits for files that other processes still write."""

LATE = 60.0
"""Seconds that it may take to find out the rest about a run when its process has been told that it is recorded."""

FAREWELL = 5.0
"""Seconds that the last messages may take to be made, and to be read."""


@dataclass(frozen=True, slots=True)
class _Drain:
    token: Any
    files: dict[str, int]
    deadline: float


class Recorder:
    """Records one run from its journal on, until it ends; the caller holds the run's lock meanwhile.

    `wake` is set from other threads when there is something to look at. Without a `parent` the training process is known to
    be gone, and what it left is completed. `stopping` may be set from a signal handler.
    """

    def __init__(
        self,
        folder: Path,
        open_store: Callable[[], LocalStore],
        outbox: Outbox,
        *,
        parent: Parent | None = None,
        inbox: Inbox | None = None,
        wake: threading.Event | None = None,
    ) -> None:
        self.stopping = False
        self._folder = folder
        self._parent = parent
        self._inbox = inbox
        self._outbox = outbox
        self._wake = wake if wake is not None else threading.Event()
        self._journal = Journal(folder / "run.jsonl", by=f"recorder:{os.getpid()}")
        self._journal_read = 0
        self._state = RunState()
        self._warned: set[str] = set()
        self._panels = Panels(folder, self._run, outbox, lambda: self._state.url)
        self._replica: Replica | None = None
        self._intake = Intake(
            folder, open_store, self._panels, self._warn, self._read_journal, self._replica_rows
        )
        self._open_store = open_store
        self._findings = Findings(folder, open_store, self._journal, self._wake.set)
        self._metrics: SystemMetrics | None = None
        self._drains: list[_Drain] = []
        self._next_look = 0.0
        self._pause = BUSY
        self._work = 0.0
        self._costs: deque[float] = deque(maxlen=RECENT_LOOKS)

    def record(self) -> int:
        """Record until the run ends or `stopping` is set; return the process's exit status. `part` is to follow."""
        self._read_journal()
        self._begin()
        while not self.stopping:
            self._wake.clear()
            self._take_requests()
            if time.monotonic() >= self._next_look:
                self._look()
            self._answer()
            self._give_up_what_is_gone()
            if self._over():
                return self._complete()
            self._wake.wait(self._until_next())
        by = time.monotonic() + FAREWELL
        while self._look() and time.monotonic() < by:
            self._answer()
        self._answer()
        return STOPPED

    def part(self) -> None:
        """Bring the rest of a run that is recorded to its server, and say that it is over.

        The lock need not be held for that: the run may go on in another process meanwhile, whose recorder then brings it there.
        """
        replica = self._replica
        if replica is None:
            return
        there = not self.stopping and replica.settle(stop=lambda: self.stopping)
        if self.stopping:
            replica.stop()
            return
        if not there:
            self._warn(
                f"not everything of the run is on {replica.url} ({replica.missing}). It is complete on this machine; the next run that is "
                f"recorded here brings the rest there, and so does `runcast sync {self._folder.name}`"
            )
        self._say_finished()
        if not there:
            replica.linger(stop=lambda: self.stopping)
        replica.stop()

    def close(self) -> None:
        """Close the store's files."""
        self._intake.close()

    def _begin(self) -> None:
        if self._state.tensorboard:
            self._panels.start_tensorboard()
        self._outbox.send({"kind": "ready", "pid": os.getpid(), "tensorboard": self._panels.tensorboard_port})
        if self._state.run is None:
            return
        self._findings.start(self._state, self._parent.pid if self._parent is not None else None)
        if self._state.to and not self._state.offline:
            self._start_replica(self._state.to)
        lives = self._parent is not None and self._state.finish is None
        if self._parent is not None and lives and "system" not in self._state.left_out:
            place = self._folder / OWN_ROOT / "system"
            self._metrics = SystemMetrics(place, self._parent.pid, started=self._state.run.created)

    def _start_replica(self, url: str) -> None:
        from runcast.recorder.replica import Replica  # most runs stay here

        self._replica = Replica(self._folder, self._open_store, url, self._warn)
        self._replica.start()

    def _replica_rows(self) -> list[FileRecord]:
        return [] if self._replica is None else [self._replica.row()]

    def _run(self) -> RunRecord:
        run = self._state.run
        if run is None:
            return RunRecord(self._folder.name, "", "", "running", time.time())
        return replace(run, config=config_with(run.config, self._intake.trials.facts))

    def _over(self) -> bool:
        """Whether the run has ended, or its process has."""
        if self._parent is not None and not self._parent.alive:
            self._read_journal()  # its last words
            return True
        return self._parent is None or self._state.finish is not None

    # Looking at the files

    def _look(self) -> bool:
        """Look at the journal and the files once, and settle when to look again; whether there is more at once."""
        started, cpu = time.monotonic(), time.thread_time()
        self._read_journal()
        if self._metrics is not None:
            run = self._state.run
            in_notebook = run is not None and bool(run.facts.get("notebook"))
            self._metrics.sample_if_due(time.time(), self._state.cell if in_notebook else None)
        urgent = {path for drain in self._drains for path in drain.files}
        moved, more = self._intake.look(self._state, urgent=urgent)
        self._work += time.thread_time() - cpu
        if more:
            self._next_look = started
            return True
        self._pause = BUSY if moved else min(1.2 * self._pause, IDLE)
        self._costs.append(self._work)
        self._work = 0.0
        rest = max(self._pause, _rest(median(self._costs)))
        self._next_look = started + max(rest, self._intake.wait())
        return False

    def _read_journal(self) -> None:
        try:
            entries, self._journal_read = read_journal(self._journal.path, self._journal_read)
        except OSError as error:
            self._warn(f"cannot read the run's journal {self._journal.path} ({error.strerror}); trying again")
            return
        for entry in entries:
            self._state.fold(entry)
            if entry["op"] in {"watch", "writer"}:
                self._intake.discover_soon()
            elif entry["op"] == "child" and entry.get("why"):
                child = child_row(self._state.children[str(entry.get("by"))])
                self._warn(f"{child.path}: {child.why}")

    def _until_next(self) -> float:
        now = time.monotonic()
        frames = IDLE if self._intake.failing else self._panels.due(now)
        return max(0.0, min(self._next_look - now, frames, IDLE))

    # Requests

    def _take_requests(self) -> None:
        if self._inbox is None:
            return
        if self._inbox.ended and self._parent is not None:
            self._parent.look()
        for header, _ in self._inbox.take():
            self._take(header)

    def _take(self, header: dict[str, Any]) -> None:
        now = time.monotonic()
        match header.get("kind"):
            case "wake":
                self._pause = BUSY
                self._next_look = min(self._next_look, now)
            case "environment":
                os.environ.update(header.get("set") or {})
            case "drain":
                self._drains.append(_Drain(header.get("token"), dict(header.get("files") or {}), now + DRAIN))
                self._intake.discover_soon()
                self._next_look = now
            case "status":
                self._intake.measure()
                rows = list(self._intake.rows(self._state))
                run = run_json(self._run(), self._folder, self._state.url)
                self._outbox.send({"kind": "status", "token": header.get("token"), "run": run, "files": rows})
            case "static":
                self._look()
                self._panels.draw(header.get("token"))
            case "show":
                self._panels.show(str(header.get("uid")), str(header.get("bundle") or ""))
                if self._state.tensorboard is not False:
                    self._panels.start_tensorboard()
            case "snapshot":
                self._panels.resend()
            case kind:
                log.warning("a message of unknown kind %r", kind)

    def _answer(self) -> None:
        """Send the frames that are due, and the replies that say that the panel has everything."""
        now = time.monotonic()
        done = [drain for drain in self._drains if now >= drain.deadline or self._is_drained(drain)]
        self._intake.send_frames(self._state, at_once=bool(done))
        for drain in done:
            recorded = {
                path: pump.recorded if (pump := self._intake.find(path)) else 0 for path in drain.files
            }
            self._outbox.send({"kind": "drained", "token": drain.token, "recorded": recorded})
            self._drains.remove(drain)
        if self._drains:
            self._next_look = min(self._next_look, now + DRAIN_INTERVAL)

    def _is_drained(self, drain: _Drain) -> bool:
        """Whether all that was asked for is recorded, or cannot be for now."""
        for path, size in drain.files.items():
            pump = self._intake.find(path)
            if pump is None or (pump.recorded < size and not (pump.stalled and pump.size >= size)):
                return False
        return True

    def _warn(self, text: str) -> None:
        """Say something to the user, once."""
        if text not in self._warned:
            self._warned.add(text)
            log.warning("%s", text)
            self._outbox.send({"kind": "warning", "text": text})

    # The end

    def _complete(self) -> int:
        """Record what is left, mark the run as ended, and say so."""
        if self._metrics is not None:
            self._metrics.close()
        if self._state.run is None:
            log.error("%s does not say which run this is: nothing can be recorded", self._journal.path)
            return 0
        self._intake.hurry()
        self._drain_to_end()
        self._intake.discover_soon()  # there may be more to say of what was waited for
        while not self.stopping and (self._intake.look(self._state, final=True)[1] or self._intake.behind):
            self._linger()
        if not self.stopping and self._state.finish is None:
            self._journal_crash()
        self._findings.finish(0.0)
        self._read_journal()
        while not self.stopping and not self._intake.end(self._state):
            self._linger()
        if self.stopping:
            return STOPPED
        self._answer()
        self._intake.send_frames(self._state, at_once=True)
        if self._parent is not None and self._parent.alive:
            self._panels.draw_last()
        self._panels.finish(FAREWELL)
        if self._replica is None:
            self._say_finished()
        self._add_late_findings()
        return 0

    def _say_finished(self) -> None:
        self._outbox.send({"kind": "finished", "state": self._run().state})
        self._outbox.flush(FAREWELL)

    def _add_late_findings(self) -> None:
        """Keep what is found out of a run that was over before; nobody waits for it."""
        before = self._run().facts
        self._findings.finish(LATE)
        self._read_journal()
        if self._run().facts != before:
            self._intake.end(self._state)

    def _drain_to_end(self) -> None:
        """Record until nothing moves any more. Files that others still write are left at what they hold by then."""
        calm, by = 0, time.monotonic() + PATIENCE_AT_END
        while not self.stopping and calm < 2 and time.monotonic() < by:
            self._read_journal()
            self._intake.discover_soon()
            moved, more = self._intake.look(self._state)
            if more or self._intake.behind:
                by = time.monotonic() + PATIENCE_AT_END
            calm = 0 if moved or more or self._intake.behind else calm + 1
            if not more:
                self._linger()

    def _linger(self) -> None:
        """Wait a moment, longer while the store fails; requests are answered meanwhile."""
        self._give_up_what_is_gone()
        self._take_requests()
        self._answer()
        self._wake.clear()
        self._wake.wait(min(max(CALM, self._intake.wait()), IDLE))

    def _give_up_what_is_gone(self) -> None:
        """Stop when the run's folder was deleted: there is nothing left to record into, however long one tries."""
        if self._journal_read and not self._journal.path.exists():
            log.error("%s is gone: this run cannot be recorded any more", self._folder)
            self.stopping = True

    def _journal_crash(self) -> None:
        """Note the end of a process that could not do so itself."""
        ended = (
            time.time() if self._parent is not None else max(self._state.updated, self._intake.last_change())
        )
        try:
            self._journal.append("finish", state="crashed", interrupted=False, error=None, ended=ended)
        except JournalError as error:
            log.warning("%s", error)
            self._state.fold({"op": "finish", "state": "crashed", "ended": ended})
        self._read_journal()


def _rest(work: float) -> float:
    """Return how many seconds after a look began the next should, given the processor time that looks take."""
    return min(work / SPARING, max(FRESH, work / SHARE), LONGEST_REST)
