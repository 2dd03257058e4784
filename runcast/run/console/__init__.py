"""What the training prints: noted with times, in the run's `console.jsonl`, while the console itself looks as it always does."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Capture", "ConsoleMode", "capture_console"]

ConsoleMode = Literal["auto", "redirect", "wrap", "off"]
"""`redirect` notes what reaches the file descriptors, `wrap` what Python writes to its streams."""


class Capture(Protocol):
    """A console that is being noted."""

    def look(self) -> None:
        """See that everything is still noted: a cell begins."""

    def stop(self, timeout: float = 1.0) -> None:
        """Note no more; wait at most `timeout` seconds until all that was printed is written."""


def capture_console(
    folder: Path,
    mode: ConsoleMode = "auto",
    *,
    interactive: bool,
    cell: Callable[[], int | None] = lambda: None,
    failed: Callable[[str], Any] = lambda _: None,
) -> Capture | None:
    """Note what this process prints from now on in the run's `folder`; None if that is not wanted.

    `auto` redirects in scripts, and wraps where a person types (`interactive`: a kernel, a prompt), whose echo is nobody's
    output, and on Windows. Where redirecting is not possible it wraps. `failed(why)` is told when nothing is noted any more; this
    function never raises.
    """
    from runcast.run.console.spool import CONSOLE

    if mode == "off":
        return None
    if mode == "redirect" or (mode == "auto" and not interactive):
        try:
            return _redirection(folder / CONSOLE, failed)
        except (OSError, ImportError) as error:
            if mode == "redirect":
                failed(f"the console cannot be redirected: {error}")
    from runcast.run.console.spool import Spool
    from runcast.run.console.wrap import StreamWatch

    try:
        return StreamWatch(Spool(folder / CONSOLE), cell, lambda error: failed(str(error)))
    except OSError as error:
        failed(str(error))
        return None


def _redirection(path: Path, failed: Callable[[str], Any]) -> Capture:
    if sys.platform == "win32" or not hasattr(os, "openpty"):
        raise ImportError("this system has no terminals of its own to give")
    from runcast.run.console.redirect import Redirection

    return Redirection(path, failed)
