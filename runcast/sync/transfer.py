"""Planned runs into a store: what is there already is found out, and only what is missing is brought.

The store's sizes are the truth. So bringing a run again changes nothing, bringing a grown one adds what is new, and one that was
broken off anywhere goes on where it got to.
"""

from __future__ import annotations

import base64
import hashlib
import math
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from runcast.errors import RunNotFound, StorageFull, StoreError
from runcast.recorder.trials import Trials
from runcast.run.record import RunRecord
from runcast.store.protocol import Facts, OffsetMismatch
from runcast.sync.flow import CHUNK, Flow
from runcast.sync.together import Grow, Make, Note, Turn, do_together
from runcast.sync.whole import put_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runcast.store.protocol import Append, Appended, FileRecord, Store
    from runcast.sync.plan import Member, Planned
    from runcast.sync.together import Work
    from runcast.sync.whole import Put

__all__ = ["FACT", "Brought", "LeftOut", "Terms", "bring", "run_id"]

FACT = "sync"
"""The run's fact that says where it was brought from, and what of it was whole: `{"from", "bytes", "whole": {path: [size, version]}}`."""

BATCH = 8 << 20
"""Bytes of all files that go into one transaction or request, about."""

MOST_FILES = 256
"""Files in one transaction or request."""

MOST_TRIES = 100
"""Ids that are tried for a run whose folder has held others before."""

Outcome = Literal["new", "grown", "unchanged", "trashed", "failed"]


@dataclass(frozen=True, slots=True)
class Terms:
    """How runs are brought; None leaves it to the run, or to what the store has of it."""

    project: str | None = None
    usual_project: str = ""
    """The project of a run that is new, where none is asked for."""
    name: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What of a file is not in the store, and why."""

    path: str
    why: str
    is_trouble: bool = True
    """Whether it is more than the beginning of a record at the file's end, as any killed training leaves it."""


@dataclass(slots=True)
class Brought:
    """What became of a run. `bytes` and `events` are new in the store; events are known when all of it is there."""

    key: str
    name: str
    id: str = ""
    outcome: Outcome = "unchanged"
    files: int = 0
    bytes: int = 0
    events: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    why: str = ""
    """What went wrong, or is to be done."""


def run_id(key: str, number: int = 1) -> str:
    """Return the id of the run of a plan: 80 bits of a digest. `number` counts the runs that the same folder has held."""
    said = key if number == 1 else f"{key} #{number}"
    return (
        base64.b32encode(hashlib.sha256(said.encode("utf-8", "surrogateescape")).digest()[:10])
        .decode("ascii")
        .lower()
    )


def bring(
    several: Sequence[Planned], store: Store, terms: Terms, moved: Callable[[int, int], None]
) -> list[Brought]:
    """Bring what a store lacks of some runs, in transactions that they share. Raises nothing that is a run's own.

    Raises `ServerUnreachable`, `AccessDenied` and `StorageFull`, which other runs would meet as well. `moved` is called with the bytes and events
    that have just been brought, or are found to be there (bytes of the source, 0 events).
    """
    found = []
    works: list[Work] = []
    for planned in several:
        brought = Brought(planned.key, terms.name or planned.name)
        found.append(brought)
        works.append(_Bringing(planned, store, terms, moved, brought).work())
    for number, error in do_together(works, store).items():
        found[number].outcome, found[number].why = "failed", str(error)
    return found


class _Bringing:
    """One run on its way."""

    def __init__(
        self,
        planned: Planned,
        store: Store,
        terms: Terms,
        moved: Callable[[int, int], None],
        brought: Brought,
    ) -> None:
        self._planned = planned
        self._store = store
        self._terms = terms
        self._moved = moved
        self._brought = brought
        self._known: dict[str, FileRecord] = {}
        self._record: RunRecord | None = None
        self._last = 0.0
        self._decoded = True
        """Whether the store has told what it decoded: one that is far away does not."""

    def work(self) -> Work:
        """Do all of it; what is asked of the store together with other runs is yielded. Raises `StoreError`."""
        yield from self._find()
        if self._brought.outcome == "trashed" or self._is_recorded_now():
            return
        run, brought = self._brought.id, self._brought
        said = self._said()
        self._trials = Trials(fresh=self._record is None)
        flows = self._flows()
        yield from self._append(flows)
        puts = []
        for put in put_whole(self._planned.whole, self._store, run, said.get("whole", {})):
            puts.append(put)
            brought.bytes += put.new
            self._moved(put.member.entry.size, 0)
        now = {
            "from": self._planned.key.partition(" ")[2],
            "bytes": sum(flow.cursor for flow in flows),
            "whole": {put.member.path: put.version for put in puts if not put.why},
        }
        is_news = brought.bytes > 0 or not self._planned.run
        if now != said and is_news:
            self._measure(flows)
            yield self._note(flows, puts, now)
        elif self._terms.project is not None or self._terms.name is not None:
            yield Note(run, (), Facts(name=self._terms.name, project=self._terms.project))
        brought.files = len(flows) + len(puts)
        brought.left_out += [
            LeftOut(flow.address, flow.left_out, flow.is_trouble) for flow in flows if flow.left_out
        ]
        brought.left_out += [
            LeftOut(put.member.location.address(put.member.entry), put.why) for put in puts if put.why
        ]
        if brought.outcome == "unchanged" and brought.bytes:
            brought.outcome = "grown"

    # Which run it is

    def _find(self) -> Work:
        """Find the run that the store has of this plan, or make one."""
        wanted = self._terms.id or self._planned.run
        for number in range(1, MOST_TRIES):
            run = self._brought.id = wanted or run_id(self._planned.key, number)
            is_new = False if self._planned.run else (yield Make(self._new(run)))
            if is_new:
                self._brought.outcome = "new"
                return
            if is_new is None and wanted:
                raise RunNotFound(f"run {run} was deleted from this store for good: choose another --id")
            if is_new is not None and self._is_mine(run):
                return
        raise StoreError(f"the store has {MOST_TRIES} other runs of this folder; give it an --id")

    def _is_mine(self, run: str) -> bool:
        """Whether the run that is there is this one: it holds one of these files, or none."""
        record = self._store.run(run)
        if record.trashed is not None:
            self._brought.outcome = "trashed"
            self._brought.why = f"it is in the trash: `runcast restore {run}` takes it out"
            return True
        known = {file.path: file for file in self._store.files(run)}
        members = (*self._planned.events, *self._planned.whole)
        if (
            not (self._terms.id or self._planned.run)
            and known
            and not any(each.path in known for each in members)
        ):
            return False
        self._record, self._known = record, known
        self._brought.name = self._terms.name or record.name
        return True

    def _is_recorded_now(self) -> bool:
        """Whether the run is one that a recorder is still at: what is new is for that one to bring."""
        if self._record is None or self._record.state != "running":
            return False
        self._brought.files = len(self._planned.events) + len(self._planned.whole)
        self._brought.why = "it is being recorded: its recorder brings what is new"
        return True

    def _new(self, run: str) -> RunRecord:
        created = self._planned.created or time.time()
        return RunRecord(
            run,
            self._terms.project or self._terms.usual_project,
            self._terms.name or self._planned.name,
            "synced",
            created,
            ended=created,
            facts={"host": self._planned.host} if self._planned.host else {},
        )

    def _said(self) -> dict[str, Any]:
        """Return what was said of the run when it was brought last."""
        said = self._record.facts.get(FACT) if self._record is not None else None
        return said if isinstance(said, dict) else {}

    # Event files

    def _flows(self) -> list[Flow]:
        """Return the files' ways into the store. A file that is not what the store has under its name goes beside that."""
        flows = []
        for member in self._planned.events:
            flow = self._flow(member)
            if flow.cursor:
                self._moved(min(flow.cursor, member.entry.size), 0)
            flows.append(flow)
        return flows

    def _flow(self, member: Member) -> Flow:
        path, number = member.path, 1
        while True:
            known = self._known.get(path)
            flow = Flow(member, path, known.size if known is not None else 0)
            if flow.goes_on(partial(self._store.read, self._brought.id, path)):
                if known is not None:
                    flow.note_damage(known.skipped)
                return flow
            number += 1
            path = f"{member.path}~{number}"

    def _append(self, flows: list[Flow]) -> Work:
        waiting = [flow for flow in flows if not flow.is_done]
        while waiting:
            _begin(waiting[:MOST_FILES])
            yield Turn()
            batch: list[tuple[Flow, Append]] = []
            room = BATCH
            for flow in waiting[:MOST_FILES]:
                append = flow.next()
                if append is None:
                    continue
                if batch and len(append.data) > room:
                    break  # a long record goes alone
                batch.append((flow, append))
                room -= len(append.data)
                if room < CHUNK:
                    break
            if batch:
                answers = yield Grow(self._brought.id, [append for _, append in batch])
                for (flow, _), answer in zip(batch, answers, strict=True):
                    self._answered(flow, answer)
            waiting = [flow for flow in waiting if not flow.is_done]

    def _answered(self, flow: Flow, answer: Appended | OffsetMismatch | StoreError) -> None:
        if isinstance(answer, StorageFull):
            raise answer
        if isinstance(answer, StoreError):
            flow.refuse(str(answer))
            return
        taken = flow.answered(answer)
        if isinstance(answer, OffsetMismatch) or not taken:
            return
        events = 0
        if answer.batch is None:
            self._decoded = False
        else:
            events = answer.batch.records
            self._trials.add(flow.path, answer.batch)
            if len(times := answer.batch.scalars.wall_time):
                self._last = max(self._last, float(times.max()))
            self._last = max([self._last, *(summary.wall_time for summary in answer.batch.summaries)])
        self._brought.bytes += taken
        self._brought.events += events
        self._moved(taken, events)

    # What is said of it at the end

    def _measure(self, flows: list[Flow]) -> None:
        """Find out what the store has not told: when the run ended, how many events there are, and what was damaged."""
        run = self._brought.id
        if not self._decoded:
            files = {file.path: file for file in self._store.files(run)}
            before = sum(file.records for file in self._known.values())
            self._brought.events = sum(file.records for file in files.values()) - before
            for flow in flows:
                if flow.path in files:
                    flow.note_damage(files[flow.path].skipped)
        if not self._decoded or self._record is not None:
            times = [each.last_wall_time for each in self._store.series(run)]
            self._last = max([self._last, *(time for time in times if not math.isnan(time))])

    def _note(self, flows: list[Flow], puts: list[Put], now: dict[str, Any]) -> Note:
        words = [flow.record() for flow in flows if flow.is_news or self._is_undescribed(flow.path)]
        words += [put.record() for put in puts if put.new or put.why]
        self._trials.note(self._store, self._brought.id)
        ended = max(self._last, self._planned.created)
        if self._record is not None and self._record.state != "synced":
            ended = max(ended, self._record.ended or 0.0)
        facts = Facts(self._terms.name, self._terms.project, ended=ended or None, facts={FACT: now})
        return Note(self._brought.id, words, facts)

    def _is_undescribed(self, path: str) -> bool:
        """Whether the store has a file of which nothing was said: whoever brought it was killed before that."""
        known = self._known.get(path)
        return known is not None and not known.source_path


def _begin(flows: Sequence[Flow]) -> None:
    """Have the files of about one transaction fetched."""
    room = BATCH
    for flow in flows:
        flow.begin()
        room -= min(CHUNK, flow.left)
        if room <= 0:
            break
