"""What a run has printed, printed again."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runcast.run.console.spool import Line
    from runcast.store.protocol import Store

__all__ = ["Printer", "end_of"]

INTERVAL = 0.3
"""Seconds between two looks at a run that is followed."""

# What may change more of a reader's terminal than colours was left out when the line was noted; this is for files of others.
_CONTROL = re.compile(r"\x1b(?!\[[0-9;:]*m)|[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]")


class Printer:
    """Prints lines of one stream (None: of all), with their times or as JSON if wanted. Colours are for terminals only."""

    def __init__(self, stream: str | None, *, times: bool, as_json: bool) -> None:
        self._streams = {"out", "err", "both"} if stream is None else {stream, "both"}
        self._times = times
        self._as_json = as_json

    def show(self, lines: Sequence[Line], last: int | None = None) -> None:
        """Print these lines, or the last ones of them."""
        wanted = [line for line in lines if line.stream in self._streams]
        for line in wanted[max(0, len(wanted) - last) :] if last is not None else wanted:
            click.echo(self._json(line) if self._as_json else self._text(line))

    def _json(self, line: Line) -> str:
        shape = {"time": line.time, "stream": line.stream, "cell": line.cell, "text": line.text}
        return json.dumps({**shape, "left_out": line.left_out} if line.left_out else shape)

    def _text(self, line: Line) -> str:
        text = _CONTROL.sub("", line.text)
        if line.left_out:
            text = f"… {line.left_out:,} lines were left out …"
        if not self._times:
            return text
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.time))
        cell = f" [{line.cell}]" if line.cell is not None else ""
        return f"{clock}{cell}  {text}"


def end_of(store: Store, run: str) -> Callable[[], bool]:
    """Return what waits a moment and says whether the run still goes on."""

    def goes_on() -> bool:
        running = store.run(run).state == "running"
        if running:
            time.sleep(INTERVAL)
        return running

    return goes_on
