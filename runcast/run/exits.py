"""How a script is about to end: noted from the hooks that Python calls on the way out, and put back afterwards."""

from __future__ import annotations

import gc
import opcode
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

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
    """Watches for an uncaught exception, for `sys.exit` and for `raise SystemExit`, until `remove`; other hooks stay in the chain.

    Python tells an atexit handler none of them, so they are noted when they are on their way. `sys.exit` in another thread ends that
    thread only and is not noted. A `raise SystemExit` (and `exit(1)`, which is one) is noticed of a script; Python says nothing of one
    that ends `python -m` or `python -c`.
    """

    def __init__(self) -> None:
        self.outcome = Outcome("finished")
        self._excepthook, self._exit = sys.excepthook, sys.exit
        # Bound once: `remove` must recognise what it installed.
        self._our_excepthook, self._our_exit = self._note_exception, self._note_exit
        sys.excepthook = self._our_excepthook
        sys.exit = self._our_exit
        self._last_flush = _LastFlush(self._note_end)

    def remove(self) -> None:
        """Put back what was there, unless someone else has put theirs on top since."""
        if sys.excepthook is self._our_excepthook:
            sys.excepthook = self._excepthook
        if sys.exit is self._our_exit:
            sys.exit = self._exit
        self._last_flush.remove()

    def _note_exception(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        self.outcome = outcome_of(error)
        self._excepthook(kind, error, traceback)

    def _note_exit(self, status: Any = None, /) -> NoReturn:
        if threading.current_thread() is threading.main_thread():
            self.outcome = _outcome_of_exit(status)
        self._exit(status)

    def _note_end(self, error: SystemExit | None) -> None:
        """Take what ended the script for its end, whatever `sys.exit` was caught before."""
        self.outcome = outcome_of(error)


class _LastFlush:
    """Calls `ended(error)` when the script has ended, with the `SystemExit` that ended it, if one did.

    Python flushes `sys.stdout` when a script's last line was executed, or an exception has left it: that is the one moment between
    a `raise SystemExit` and its being forgotten at which anything written in Python is called. Nothing here raises.
    """

    def __init__(self, ended: Callable[[SystemExit | None], None]) -> None:
        self._ended = ended
        self._stream = sys.stdout
        self._flush = getattr(self._stream, "flush", None)
        self._main = _outermost_frame()
        self._ours = self._flushed
        with suppress(Exception):  # a stream of another kind
            self._stream.flush = self._ours  # type: ignore[method-assign]

    def remove(self) -> None:
        """Give the stream its own `flush` back, unless someone else has put theirs on top since."""
        with suppress(Exception):
            if vars(self._stream).get("flush") is self._ours:
                del self._stream.flush

    def _flushed(self) -> None:
        assert self._flush is not None
        self._flush()
        if threading.current_thread() is threading.main_thread() and _outermost_frame() is sys._getframe():  # noqa: SLF001
            with suppress(Exception):
                self._look()

    def _look(self) -> None:
        if opcode.opname[self._main.f_code.co_code[self._main.f_lasti]].startswith("RETURN"):
            self._ended(None)  # the script came to its end
            return
        found = None
        for each in gc.get_objects():
            if SystemExit in type(each).__mro__:
                trace = each.__traceback__
                if trace is None or (trace.tb_frame is self._main and trace.tb_lasti == self._main.f_lasti):
                    found = each  # until Python 3.12, one that was never caught has no trace yet
                    break
                if trace.tb_frame is self._main:
                    found = each  # raised again
        if found is not None:
            self._ended(found)
        # Else it was another exception, which `sys.excepthook` tells of, or one of `sys.exit`, which has told of it.


def _outermost_frame() -> FrameType:
    frame = sys._getframe()  # noqa: SLF001  `inspect` has it by no other name
    while frame.f_back is not None:
        frame = frame.f_back
    return frame
