"""`%runcast sync`: the command of that name, at work in a process of its own, and how far it is, in the cell.

What is shown is HTML without a script: it looks the same when the notebook is opened again.
"""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.display import display

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.display_functions import DisplayHandle
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["bring"]

FAREWELL = 15.0
"""Seconds that an interrupted sync has to end by itself."""

FAILED, MISUNDERSTOOD = 1, 2
"""Exit codes where nothing could be brought; `runcast sync` describes them all."""

RUNS_SHOWN = 20

_COMMAND = (sys.executable, "-m", "runcast", "sync")


def bring(words: Sequence[str], shell: InteractiveShell) -> None:
    """Do what `runcast sync WORDS…` does. Raises `UsageError` with its last words where it could bring nothing.

    An interrupt ends it as Ctrl-C does; what is there by then is there.
    """
    if getattr(shell, "kernel", None) is None:  # a terminal, on which it knows how to draw
        sys.stdout.flush()
        if subprocess.run([*_COMMAND, *words], check=False).returncode in {FAILED, MISUNDERSTOOD}:
            raise UsageError("nothing was brought")
        return
    process = subprocess.Popen(
        [*_COMMAND, "--progress", "json", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"},
        # A group of its own: the interrupt of a cell must reach it once, as Ctrl-C would.
        **({"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}),
    )
    with process:
        _show(process, watching="--watch" in words)


def _show(process: subprocess.Popen[str], *, watching: bool) -> None:
    lines: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
    assert process.stdout is not None
    assert process.stderr is not None
    for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
        threading.Thread(target=_read, args=(name, stream, lines), daemon=True).start()
    cell = _Cell()
    try:
        _follow(lines, cell)
    except KeyboardInterrupt:
        _interrupt(process)
        stop = threading.Timer(FAREWELL, process.kill)
        stop.start()
        try:
            _follow(lines, cell)
        finally:
            stop.cancel()
            process.kill()
        cell.end()
        if not watching:
            raise
        return
    why = cell.taken() if process.wait() in {FAILED, MISUNDERSTOOD} else ""
    cell.end()
    if why:
        raise UsageError(why.removeprefix("runcast: "))


def _interrupt(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):
        if os.name == "nt":
            process.send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined]
        else:
            os.killpg(process.pid, signal.SIGINT)


def _read(name: str, stream: IO[str], lines: SimpleQueue[tuple[str, str] | None]) -> None:
    with suppress(ValueError):  # closed meanwhile
        for line in stream:
            lines.put((name, line.rstrip("\n")))
    lines.put(None)


def _follow(lines: SimpleQueue[tuple[str, str] | None], cell: _Cell) -> None:
    """Show what comes until both streams have ended."""
    while cell.streams:
        said = lines.get()
        if said is None:
            cell.streams -= 1
            continue
        stream, line = said
        message = _message(line) if stream == "stderr" else None
        if message is None:
            cell.say(line, is_error=stream == "stderr")
        elif message["kind"] == "progress":
            cell.progress(message)
        elif message["kind"] == "result":
            cell.result(message)
        else:
            cell.say(f"runcast: {message.get('words', '')}", is_error=True)


def _message(line: str) -> dict[str, Any] | None:
    if not line.startswith('{"kind"'):
        return None
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return found


class _Cell:
    """What the cell shows: one display, which is a bar while runs are brought and then says what is there; and lines of text.

    The last line of what went wrong is held back: where it is why nothing could be brought, it is the error of the cell.
    """

    def __init__(self) -> None:
        self.streams = 2
        self._held = ""
        self._handle: DisplayHandle | None = None
        self._words = ""

    def say(self, line: str, *, is_error: bool) -> None:
        """Print a line."""
        self.release()
        if is_error and line.strip():
            self._held = line
        elif not is_error:
            print(line)  # noqa: T201

    def release(self) -> None:
        """Print what was held back."""
        if self._held:
            print(self.taken())  # noqa: T201

    def taken(self) -> str:
        """Return what was held back, and hold it no more."""
        held, self._held = self._held, ""
        return held

    def progress(self, said: dict[str, Any]) -> None:
        """Draw the bar."""
        self.release()
        self._words = str(said["words"])
        self._draw(_bar(float(said["part"]), self._words), self._words)

    def result(self, said: dict[str, Any]) -> None:
        """Put what has become of everything where the bar was; the next bar is another one."""
        self._draw(_table(said), str(said["text"]))
        self._handle = None

    def end(self) -> None:
        """Leave no bar that does not move any more, and nothing unsaid."""
        self.release()
        if self._handle is not None:
            self._draw(_box(f"<div>stopped at {html.escape(self._words)}</div>"), f"stopped at {self._words}")

    def _draw(self, markup: str, text: str) -> None:
        bundle = {"text/html": markup, "text/plain": text}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)  # type: ignore[no-untyped-call]


_FONT = (
    "font: 13px/1.5 var(--jp-ui-font-family, system-ui, sans-serif); color: var(--jp-ui-font-color1, inherit)"
)
_SOFT = "color: var(--jp-ui-font-color2, #767676)"
_LINE = "var(--jp-border-color2, rgba(128, 128, 128, .35))"
_ACCENT = "var(--jp-brand-color1, #2f7de1)"
_BAD = "var(--jp-error-color1, #d64545)"


def _box(content: str) -> str:
    return f'<div style="{_FONT}; max-width: 62em; padding: 2px 0">{content}</div>'


def _bar(part: float, words: str) -> str:
    width = f"{100 * min(max(part, 0.0), 1.0):.1f}%"
    return _box(
        f'<div role="progressbar" aria-valuenow="{100 * part:.0f}" aria-label="runcast sync" '
        f'style="height: 6px; border-radius: 3px; background: {_LINE}; overflow: hidden; margin: 4px 0">'
        f'<div style="height: 100%; width: {width}; border-radius: 3px; background: {_ACCENT}"></div></div>'
        f'<div style="{_SOFT}; font-variant-numeric: tabular-nums">{html.escape(words)}</div>'
    )


def _table(said: dict[str, Any]) -> str:
    runs = [run for run in said["runs"] if run["outcome"] in {"new", "grown"}]
    rows = "".join(map(_row, runs[:RUNS_SHOWN]))
    if len(runs) > RUNS_SHOWN:
        rows += f'<tr><td colspan="5" style="{_SOFT}">… and {len(runs) - RUNS_SHOWN} more: <code>!runcast runs</code> lists them</td></tr>'
    *_, total = str(said["text"]).splitlines()
    problems = [(run["name"], run["why"]) for run in said["runs"] if run["why"]]
    problems += [(each["path"], each["why"]) for run in said["runs"] for each in run["left_out"]]
    problems += [(each["path"], each["why"]) for each in said["problems"]]
    told = "".join(
        f'<div style="overflow-wrap: anywhere"><span style="color: {_BAD}">●</span> {html.escape(place)}: {html.escape(why)}</div>'
        for place, why in problems[:RUNS_SHOWN]
    )
    if len(problems) > RUNS_SHOWN:
        told += f"<div>… and {len(problems) - RUNS_SHOWN} more: --json lists them all</div>"
    table = (
        f'<table style="border-collapse: collapse; margin: 2px 0 6px; {_FONT}">{rows}</table>' if rows else ""
    )
    return _box(f'{table}{told}<div style="{_SOFT}">{html.escape(total)}</div>')


def _row(run: dict[str, Any]) -> str:
    name, address = html.escape(str(run["name"])), str(run["address"])
    if address.startswith(("https://", "http://")):
        name = f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer" style="color: {_ACCENT}">{name}</a>'
        address = ""
    elif address.startswith("runcast "):
        address = f"!{address}"
    cell = f"text-align: left; padding: 1px 16px 1px 0; border-bottom: 1px solid {_LINE}"
    number = f"{cell}; text-align: right; font-variant-numeric: tabular-nums"
    return (
        f'<tr><td style="{cell}">{name}</td><td style="{cell}; {_SOFT}">{html.escape(str(run["outcome"]))}</td>'
        f'<td style="{number}">{run["events"]:,} events</td><td style="{number}">{_size(run["bytes"])}</td>'
        f'<td style="{cell}; {_SOFT}"><code style="background: none">{html.escape(address)}</code></td></tr>'
    )


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1_000_000 else f"{count / 1e3:,.1f} kB"
