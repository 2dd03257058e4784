"""`store.jsonl`: what a store was told of a run and cannot find out again from the run's files, one JSON object a line.

It is the store's own, beside the run's files. Lines are appended before the transaction commits that they are of, so they say
at least what the index says; a line of a transaction that failed says what was about to be, and is said again or overruled
when it is tried again. What counts of several lines on one thing is the last. Operations (all carry `v`, `time`, `op`):

    create    run: {column: value}           all columns of the run's row
    set       run: {column: value}           those that changed; of config and facts the keys (a fact that is null is none)
    files     files: {path: [source_path, source_size, state, why]}       what became of sources
    index     files: [[id, path], …], series: [[id, root, source, tag, plugin], …]       numbers that were given
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "MERGED",
    "Journaled",
    "changed",
    "created",
    "described",
    "keys_changed",
    "merged",
    "numbered",
    "replay",
]

MERGED = ("config", "facts")
"""The columns that hold JSON objects, of which only the keys that changed are said."""

Words = tuple[str, int, str, str]
"""source_path, source_size, state, why"""


def created(run: Mapping[str, Any], now: float) -> bytes:
    """Return the line for a new run."""
    return _line("create", now, run=dict(run))


def changed(run: Mapping[str, Any], now: float) -> bytes:
    """Return the line for the columns of a run that changed; b"" for none."""
    return _line("set", now, run=dict(run)) if run else b""


def keys_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be merged into `before` to make it `after`: None for what is taken away."""
    gone = dict.fromkeys(sorted(before.keys() - after.keys()))
    return gone | {key: value for key, value in after.items() if _said(before.get(key)) != _said(value)}


def described(files: Mapping[str, Words], now: float) -> bytes:
    """Return the line for what became of files' sources; b"" for none."""
    return _line("files", now, files=files) if files else b""


def numbered(
    files: Iterable[tuple[int, str]], series: Iterable[tuple[int, str, str, str, str]], now: float
) -> bytes:
    """Return the line for the numbers that files and series were given."""
    return _line("index", now, files=list(files), series=list(series))


def _said(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


@dataclass
class Journaled:
    """All that a journal says of a run."""

    run: dict[str, Any] = field(default_factory=dict)
    """The columns of its row; only some where the journal does not begin with the run."""
    is_whole: bool = False
    """The journal begins with the run."""
    time: float = 0.0
    """When the last line was written."""
    words: dict[str, Words] = field(default_factory=dict)
    """What became of sources, by path."""
    files: dict[int, str] = field(default_factory=dict)
    series: dict[int, tuple[str, str, str, str]] = field(default_factory=dict)
    """By the numbers that they were given."""

    def take(self, said: Mapping[str, Any]) -> None:
        """Take up the next line."""
        self.time = max(self.time, float(said["time"]))
        if said["op"] == "create":
            self.run = dict(said["run"])
            self.is_whole = True
        elif said["op"] == "set":
            self.run = merged(self.run, said["run"])
        elif said["op"] == "files":
            self.words.update({path: tuple(words) for path, words in said["files"].items()})
        elif said["op"] == "index":
            self.files.update(dict(said["files"]))
            self.series.update({number: tuple(key) for number, *key in said["series"]})


def merged(run: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's columns after what was said of it."""
    after = {**run, **said}
    for name in MERGED:
        if name in said:
            after[name] = {**run.get(name, {}), **said[name]}
    if "facts" in said:
        after["facts"] = {name: fact for name, fact in after["facts"].items() if fact is not None}
    return after


def replay(lines: bytes) -> Journaled:
    """Return what a journal says; a line that was torn, or says something that we do not know, is passed over."""
    found = Journaled()
    for line in lines.splitlines():
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            found.take(json.loads(line))
    return found


def _line(op: str, now: float, **fields: Any) -> bytes:
    said = {"v": 1, "time": now, "op": op, **fields}
    return json.dumps(said, separators=(",", ":"), default=str).encode() + b"\n"
