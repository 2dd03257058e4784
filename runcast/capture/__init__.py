"""Finding the TensorBoard writers of this process: patches, live writers, and keeping them flushed.

Nothing here knows of runs: whoever wants to know of writers subscribes.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from runcast.capture.flusher import Flusher
from runcast.capture.libraries import LIBRARIES
from runcast.capture.patch import Patches
from runcast.capture.writers import WriterNotice, Writers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runcast.capture.library import Library

__all__ = ["WriterNotice", "captured", "flush_all", "is_remembering", "patch", "subscribe", "unpatch"]


def _opened(library: Library, writer: Any, arguments: Collection[Any]) -> None:
    _writers.opened(library, writer, arguments)
    _poke()


def _new_flushers() -> tuple[Flusher, Flusher]:
    here = Flusher(_writers.known, lambda: _writers.anyone_listens, _writers.look_again)
    return here, Flusher(_writers.known, lambda: _writers.anyone_listens, remote=True)


def _poke() -> None:
    _flusher.poke()
    _remote_flusher.poke()


_writers = Writers()
_flusher, _remote_flusher = _new_flushers()
_patches = Patches(_opened, _writers.adopt)


def patch(*, tensorboard: bool = True, tensorboard_x: bool = True, remember: bool = False) -> None:
    """Find the writers of these libraries from now on, those that are open already included; harmless when repeated.

    `tensorboard` stands for torch.utils.tensorboard and tensorboard.summary, which write through one class; TensorFlow's
    writers are always found. With `remember`, writers that open while nobody subscribes are kept for the next who does.
    """
    wanted = {"tensorboard": tensorboard, "tensorboardX": tensorboard_x, "tensorflow": True}
    _writers.remembering = _writers.remembering or remember
    _patches.enable([library for library in LIBRARIES if wanted[library.name]])
    _poke()


def unpatch() -> None:
    """Undo `patch`: classes are as they were, and no new writer is noticed."""
    _writers.remembering = False
    _patches.disable()


def captured() -> list[str]:
    """Return the names of the libraries whose writers are found: `tensorboard`, `tensorboardX`, `tensorflow`."""
    return sorted({library.name for library in LIBRARIES if _patches.is_enabled(library)})


def is_remembering() -> bool:
    """Whether writers are captured at the user's own request, run or no run."""
    return _writers.remembering


def subscribe(callback: Callable[[WriterNotice], None]) -> Callable[[], None]:
    """Call `callback(notice)` for each writer: at once for the open ones, then for each that opens, on its own thread.

    Returns a function that ends that. What the callback raises is swallowed.
    """
    unsubscribe = _writers.subscribe(callback)
    _poke()
    return unsubscribe


def flush_all(timeout: float, *, remote: bool = False) -> bool:
    """Flush all writers (those on buckets only if `remote`), and wait at most `timeout` seconds for it; whether that was enough."""
    began = time.monotonic()
    flushed = _flusher.flush_all(timeout)
    if remote:
        flushed = _remote_flusher.flush_all(max(0.0, timeout - (time.monotonic() - began))) and flushed
    return flushed


def _before_fork() -> None:
    _flusher.before_fork()
    _remote_flusher.before_fork()


def _after_fork() -> None:
    _flusher.after_fork()
    _remote_flusher.after_fork()


def _start_afresh() -> None:
    """In a forked child: its parent's writers have no threads here, and its parent's locks may never be released."""
    global _flusher, _remote_flusher
    _writers.forget()
    _patches.forget_locks()
    for library in LIBRARIES:
        if library.closing is not None:
            library.closing = threading.RLock()
    _flusher, _remote_flusher = _new_flushers()


def _stop() -> None:
    _writers.look_again()
    _flusher.stop()
    _remote_flusher.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_start_afresh)
atexit.register(_stop)
