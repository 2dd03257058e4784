"""How far a sync is: a bar on a terminal, a line now and then elsewhere, or JSON for a program that shows it."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import click

from runcast.cli.words import duration, size

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Progress", "tell"]

INTERVAL = 5.0
"""Seconds between two lines where there is no terminal."""

OFTEN = 0.2
"""Seconds between two messages to a program."""


def tell(kind: str, **said: Any) -> None:
    """Tell the program that reads stderr something, as one line of JSON."""
    click.echo(json.dumps({"kind": kind, **said}), err=True)


class Progress:
    """Shows on stderr how much of `total` bytes and of so many runs is there. `moved` may be called on any thread.

    With `as_json` a program reads it: `{"kind": "progress", "part": 0.25, "words": "…"}` and `{"kind": "say", "words": "…"}`, a line each.
    """

    def __init__(self, runs: int, total: int, *, as_json: bool = False) -> None:
        self._runs = runs
        self._total = total
        self._bytes = self._events = self._runs_done = 0
        self._began = self._told = time.monotonic()
        self._lock = threading.Lock()
        self._bar: Any = None
        self._task: Any = None
        self._as_json = as_json
        self._terminal = not as_json and sys.stderr.isatty()

    def __enter__(self) -> Progress:  # noqa: PYI034 - Self is Python 3.11's
        if self._terminal:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (BarColumn(bar_width=None), TextColumn("{task.fields[words]}"))
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True, expand=True)
            self._task = self._bar.add_task("", total=max(1, self._total), words="")
            self._bar.start()
        if self._terminal or self._as_json:
            self._told = -OFTEN
            self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def moved(self, count: int, events: int) -> None:
        """Take note that so many bytes and events more are there."""
        with self._lock:
            self._bytes += count
            self._events += events
            self._show()

    def done(self) -> None:
        """Take note that a run is there."""
        with self._lock:
            self._runs_done += 1
            self._show()

    def say(self, words: str) -> None:
        """Say something above the bar."""
        if self._as_json:
            tell("say", words=words)
        elif self._bar is not None:
            self._bar.console.print(f"runcast: {words}", markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(f"runcast: {words}", err=True)

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self._bytes, words=self._words())
            return
        now = time.monotonic()
        if now - self._told < (OFTEN if self._as_json else INTERVAL):
            return
        self._told = now
        if self._as_json:
            tell("progress", part=round(self._bytes / max(1, self._total), 4), words=self._words())
        else:
            click.echo(f"runcast: {self._words()}", err=True)

    def _words(self) -> str:
        took = max(time.monotonic() - self._began, 1e-3)
        rate = self._bytes / took
        left = f" · {duration((self._total - self._bytes) / rate)} left" if rate and took > 1 else ""
        done = f"{self._runs_done} of {self._runs} runs · {size(self._bytes)} of {size(self._total)}"
        return f"{done} · {size(round(rate))}/s · {self._events:,} events{left}"
