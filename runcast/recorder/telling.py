"""What another store is told of a run beside its bytes: what it is, that it lives, what became of its files, how it ended."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from runcast.store.protocol import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runcast.run.record import RunRecord
    from runcast.store.protocol import FileRecord, Store

__all__ = ["Telling"]

HEARTBEAT = 30.0
"""Seconds between two signs of life."""

REFRESH = 30.0
"""Seconds after which it is said again how large the source of a file is that just grows."""

TOGETHER = 400
"""Files that are described in one request."""

_RESUMABLE = ("interrupted", "error")
"""Facts of an end that no longer hold when a run goes on."""


class Telling:
    """Tells another store of the run `run` what has changed since it was last told. Everything raises what that store raises."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._told: RunRecord | None = None
        self._files: dict[str, tuple[FileRecord, float]] = {}
        self._heartbeat = 0.0

    @property
    def begun(self) -> bool:
        """Whether the store has been told of the run."""
        return self._told is not None

    def tell(self, remote: Store, record: RunRecord) -> None:
        """Say what has changed of the run (but for its end), and every `HEARTBEAT` that it lives: also while its end is still to be told."""
        now = time.monotonic()
        told = self._told
        over = record.ended is not None and told is not None and told.ended is not None
        goes_on = told is not None and told.ended is not None and record.ended is None
        if told is None:
            gone = {fact: None for fact in _RESUMABLE if fact not in record.facts}
            state = None if record.ended is not None else "running"
            facts = Facts(
                record.name, record.project, state, config=record.config, facts={**record.facts, **gone}
            )
        elif replace(told, state=record.state, ended=record.ended) != record:
            facts = Facts(
                name=record.name if record.name != told.name else None,
                project=record.project if record.project != told.project else None,
                config={
                    key: value for key, value in record.config.items() if told.config.get(key, self) != value
                },
                facts={
                    key: value for key, value in record.facts.items() if told.facts.get(key, self) != value
                }
                | {key: None for key in told.facts if key not in record.facts},
            )
        elif over or (not goes_on and now - self._heartbeat < HEARTBEAT):
            return
        else:
            facts = Facts()
        if not over:
            facts = replace(facts, heartbeat=time.time())
        if goes_on:
            facts = replace(facts, state="running")
        remote.update(self._run, facts)
        self._told = record if over else replace(record, state="running", ended=None)
        self._heartbeat = now

    def end(self, remote: Store, record: RunRecord) -> None:
        """Say how the run ended: all of it is there."""
        if self._told is not None and (self._told.state, self._told.ended) != (record.state, record.ended):
            remote.update(self._run, Facts(state=record.state, ended=record.ended))
            self._told = record

    def describe(self, remote: Store, files: Iterable[FileRecord], *, everything: bool = False) -> None:
        """Say what became of files' sources, where that has changed; `everything` is for the last time."""
        now = time.monotonic()
        due = [file for file in files if self._is_due(file, now, everything=everything)]
        for at in range(0, len(due), TOGETHER):
            several = due[at : at + TOGETHER]
            remote.describe(self._run, *several)
            self._files.update((file.path, (file, now)) for file in several)

    def _is_due(self, file: FileRecord, now: float, *, everything: bool) -> bool:
        told, at = self._files.get(file.path, (None, 0.0))
        if told is None:
            return True
        if (told.state, told.why, told.source_path) != (file.state, file.why, file.source_path):
            return True
        return told.source_size != file.source_size and (everything or now - at >= REFRESH)
