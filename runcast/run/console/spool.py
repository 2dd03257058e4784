"""`console.jsonl`: what a run printed, one JSON object a line, append-only.

    {"v": 1, "started": 1795448946.6}                          a process begins to print (a resumed run has several)
    {"n": 12, "t": 1795448950.2, "s": "out", "x": "epoch 3"}     line 12 of that stream, at time t, in cell "c" if in a notebook
    {"n": 13, …, "open": true}                                 the line is still being written
    {"left_out": 1200, "s": "out", "t": …}                      so many lines do not stand here, for they were too many

A later object with the same stream and number says how that line looks now: so a progress bar is a line that changes. Streams are
`out`, `err`, or `both` where the two go to one place and only that place keeps their order. Secrets are taken out (`redact.py`).
"""

from __future__ import annotations

import codecs
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runcast.run.console.screen import Screen
from runcast.run.record import CONSOLE
from runcast.run.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["CONSOLE", "Line", "Spool", "follow_console", "read_console"]

MOST_BYTES = 16 << 20
"""Bytes after which no more lines are written as they come…"""

LAST_LINES = 1000
"""… but the last ones at the end."""

SHORTEST, LONGEST, SLOWING = 2.0, 15.0, 150.0
"""A line that changes is written again after so many seconds at first, and less often as the run grows older."""


class Spool:
    """Writes what streams print to a run's console file. Not thread-safe; raises `OSError` when the file cannot be written.

    `limit` is the size in bytes at which the file is full. Then lines are counted, and the last thousand are written by `close`.
    """

    def __init__(self, path: Path, *, limit: int = MOST_BYTES) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._fd = os.open(path, flags, 0o644)
        self._room = limit - os.fstat(self._fd).st_size
        self._redact = Redactor().text
        self._streams: dict[str, _Stream] = {}
        self._started = self._changes_due = time.time()
        self._write({"v": 1, "started": self._started})

    def feed(self, stream: str, content: str | bytes, *, cell: int | None = None) -> None:
        """Take in what was printed; bytes are UTF-8 that may be cut anywhere."""
        known = self._streams.get(stream)
        if known is None:
            known = self._streams[stream] = _Stream(cell=cell)
        if cell != known.cell:
            self.flush()  # the lines so far are of the cell before
            known.cell = cell
        known.screen.feed(content if isinstance(content, str) else known.decoder.decode(content))

    def flush(self, *, everything: bool = False) -> None:
        """Write the lines that are complete, and from time to time those that change; with `everything` these as well."""
        now = time.time()
        if everything or now >= self._changes_due:
            everything = True
            self._changes_due = now + min(LONGEST, max(SHORTEST, (now - self._started) / SLOWING))
        entries = []
        for name, stream in self._streams.items():
            for number, text, is_open in stream.screen.lines(everything=everything):
                entry: dict[str, Any] = {"n": number, "t": round(now, 3), "s": name, "x": self._redact(text)}
                if is_open:
                    entry["open"] = True
                if stream.cell is not None:
                    entry["c"] = stream.cell
                if self._room > 0:
                    entries.append(entry)
                else:
                    stream.keep(entry)
        if entries:
            self._write(*entries)

    def close(self) -> None:
        """Write what is left, and close the file; harmless when called again."""
        if self._fd < 0:
            return
        try:
            self.flush(everything=True)
            for name, stream in self._streams.items():
                if stream.left_out:
                    self._write({"left_out": stream.left_out, "s": name, "t": round(time.time(), 3)})
                self._write(*stream.last.values())
        finally:
            os.close(self._fd)
            self._fd = -1

    def _write(self, *entries: dict[str, Any]) -> None:
        encoded = [json.dumps(entry, separators=(",", ":"), ensure_ascii=False) for entry in entries]
        data = "".join(f"{line}\n" for line in encoded).encode("utf-8", "replace")
        if data and os.write(self._fd, data) < len(data):
            os.write(self._fd, b"\n")  # cut short by a full disk: what comes later must not join it
        self._room -= len(data)


@dataclass
class _Stream:
    screen: Screen = field(default_factory=Screen)
    decoder: Any = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))
    cell: int | None = None
    last: dict[int, dict[str, Any]] = field(default_factory=dict)
    left_out: int = 0

    def keep(self, entry: dict[str, Any]) -> None:
        """Keep a line for the end, in place of the one that was kept longest."""
        self.last[entry["n"]] = entry
        if len(self.last) > LAST_LINES:
            del self.last[next(iter(self.last))]
            self.left_out += 1


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a run printed: when it last changed (seconds since the epoch), on which stream, in which cell.

    `left_out`, where it is not 0, says that so many lines are missing here.
    """

    time: float
    stream: str
    text: str
    cell: int | None = None
    left_out: int = 0


def read_console(path: Path) -> list[Line]:
    """Return what a run printed, in order, each line as it looked last. A run that printed nothing has no lines."""
    lines: dict[tuple[int, str, int], Line] = {}
    began = 0
    for entry in _entries(path)[0]:
        began += "started" in entry
        if (line := _line(entry)) is not None:
            lines[began, line.stream, entry.get("n", -1)] = line
    return list(lines.values())


def follow_console(path: Path, wait: Callable[[], bool]) -> Iterator[Line]:
    """Return what a run prints, line by line, each when it is complete; a line that is changed later is not repeated.

    `wait` is called when there is no more for now; it returns whether more may come.
    """
    position, more = 0, True
    last: dict[str, int] = {}
    unfinished: dict[str, Line] = {}
    while True:
        entries, position = _entries(path, position)
        for entry in entries:
            if "started" in entry:
                yield from unfinished.values()
                last, unfinished = {}, {}
            line, number = _line(entry), entry.get("n", -1)
            if line is None or number < last.get(line.stream, -1):
                continue
            if entry.get("open"):
                unfinished[line.stream] = line
            elif number > last.get(line.stream, -1):
                unfinished.pop(line.stream, None)
                last[line.stream] = number
                yield line
        if not more:
            break
        more = wait()
    yield from unfinished.values()


def _line(entry: dict[str, Any]) -> Line | None:
    if "x" not in entry and "left_out" not in entry:
        return None
    return Line(entry["t"], entry["s"], entry.get("x", ""), entry.get("c"), entry.get("left_out", 0))


def _entries(path: Path, position: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the entries from there on, and where the last whole line ends."""
    try:
        with path.open("rb") as file:
            file.seek(position)
            content = file.read()
    except FileNotFoundError:
        return [], position
    end = content.rfind(b"\n") + 1
    entries = []
    for raw in content[:end].splitlines():
        with suppress(ValueError):  # cut by a full disk
            entry = json.loads(raw)
            entries += [entry] if isinstance(entry, dict) else []
    return entries, position + end
