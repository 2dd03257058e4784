"""How a script is about to end: noted from the hooks that Python calls on the way out, and put back afterwards."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from types import TracebackType

    from runcast.run.record import State

__all__ = ["ExitWatch", "Outcome", "outcome_of"]


class Outcome(NamedTuple):
    """How the training ended."""

    state: State
    error: str | None = None
    interrupted: bool = False


def outcome_of(error: BaseException | None) -> Outcome:
    """Return what an exception that ended the training says of it. An interrupt is the user's wish, no failure."""
    if error is None:
        return Outcome("finished")
    if isinstance(error, KeyboardInterrupt):
        return Outcome("finished", None, interrupted=True)
    if isinstance(error, (SystemExit, GeneratorExit)):
        return _outcome_of_exit(getattr(error, "code", None))
    text = " ".join(str(error).split())
    return Outcome("failed", f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _outcome_of_exit(code: Any) -> Outcome:
    if code is None or code == 0:
        return Outcome("finished")
    return Outcome("failed", f"exit status {code}" if isinstance(code, int) else f"exit: {code}")


class ExitWatch:
    """Watches for an uncaught exception and for `sys.exit`, until `remove`; other hooks stay in the chain.

    Python tells an atexit handler neither, so both are noted when they are called. `sys.exit` in another thread ends that
    thread only and is not noted.
    """

    def __init__(self) -> None:
        self.outcome = Outcome("finished")
        self._excepthook, self._exit = sys.excepthook, sys.exit
        # Bound once: `remove` must recognise what it installed.
        self._our_excepthook, self._our_exit = self._note_exception, self._note_exit
        sys.excepthook = self._our_excepthook
        sys.exit = self._our_exit

    def remove(self) -> None:
        """Put back what was there, unless someone else has put theirs on top since."""
        if sys.excepthook is self._our_excepthook:
            sys.excepthook = self._excepthook
        if sys.exit is self._our_exit:
            sys.exit = self._exit

    def _note_exception(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        self.outcome = outcome_of(error)
        self._excepthook(kind, error, traceback)

    def _note_exit(self, status: Any = None, /) -> NoReturn:
        if threading.current_thread() is threading.main_thread():
            self.outcome = _outcome_of_exit(status)
        self._exit(status)
