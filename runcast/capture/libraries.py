"""What there is to know of each library that writes event files: where its writer is, and how it is flushed.

All of it is read from attributes that these libraries keep to themselves, so every caller is ready for any exception.
"""

from __future__ import annotations

import gc
import sys
import time
import types
from typing import Any, Protocol

__all__ = ["LIBRARIES", "Library"]

QUEUE_POLL = 0.001


class Library(Protocol):
    """A library, by the class that opens its event files.

    A writer's `target` is what is flushed; it is referred to weakly, and may outlive the writer itself.
    """

    name: str
    module: str
    class_name: str

    def path(self, writer: Any) -> str:
        """Return the event file's path, as the writer was given it."""

    def target(self, writer: Any) -> Any:
        """Return what is to be flushed for this writer."""

    def is_closed(self, target: Any) -> bool:
        """Whether nothing will be written any more."""

    def is_dropped(self, writer: Any) -> bool:
        """Whether the user has let go of a writer that was never closed. Looks at every object: not for often."""

    def holds_back(self, target: Any) -> bool:
        """Whether bytes may wait in memory until someone flushes; if not, only `settle` is of use."""

    def settle(self, target: Any, deadline: float) -> None:
        """Wait until what was logged has reached the file's buffer, at most until `deadline` (monotonic)."""

    def flush(self, target: Any) -> None:
        """Hand the file's buffer to the operating system. May take the writer's lock, and may raise."""


class TensorBoard:
    """`tensorboard.summary.writer`: what torch.utils.tensorboard and tensorboard.summary.Writer write through."""

    name = "tensorboard"
    module = "tensorboard.summary.writer.event_file_writer"
    class_name = "EventFileWriter"

    def path(self, writer: Any) -> str:
        return str(writer._file_name)  # noqa: SLF001  see the module

    def target(self, writer: Any) -> Any:
        return writer._async_writer  # noqa: SLF001

    def is_closed(self, target: Any) -> bool:
        return bool(target._closed)  # noqa: SLF001

    def is_dropped(self, writer: Any) -> bool:  # noqa: ARG002  the protocol's
        return False  # who is asked for is there

    def holds_back(self, target: Any) -> bool:
        """Without TensorFlow, TensorBoard appends each record to a local file as soon as it comes."""
        file = target._writer._writer  # noqa: SLF001
        return not getattr(file, "fs_supports_append", False)

    def settle(self, target: Any, deadline: float) -> None:
        """Nothing to do: its `flush` waits for its queue."""

    def flush(self, target: Any) -> None:
        target.flush()


class TensorBoardX:
    """`tensorboardX`. Its target is the worker thread, which goes on when a writer is dropped without `close`."""

    name = "tensorboardX"
    module = "tensorboardX.event_file_writer"
    class_name = "EventFileWriter"

    def path(self, writer: Any) -> str:
        return str(writer._ev_writer._file_name)  # noqa: SLF001

    def target(self, writer: Any) -> Any:
        return writer._worker  # noqa: SLF001

    def is_closed(self, target: Any) -> bool:
        return not target.is_alive()

    def is_dropped(self, writer: Any) -> bool:
        """Each writer is kept until exit, to be closed then; tensorboardX's function for that does not count as the user."""
        objects = gc.get_objects()
        owners = [found for found in objects if _is_file_writer(found) and found.event_writer is writer]
        own = {id(objects), id(owners)}
        for owner in owners:
            for holder in gc.get_referrers(owner):
                if id(holder) not in own and not isinstance(holder, (types.CellType, types.FrameType)):
                    return False
        return bool(owners)

    def holds_back(self, target: Any) -> bool:  # noqa: ARG002  the protocol's
        return True

    def settle(self, target: Any, deadline: float) -> None:
        while target.is_alive() and (_queued(target._queue) or _is_busy(target)):  # noqa: SLF001
            if time.monotonic() >= deadline:
                return
            time.sleep(QUEUE_POLL)

    def flush(self, target: Any) -> None:
        """Flush as tensorboardX does but for its fsync, which protects from a power cut only and would hold up its worker."""
        events = target._record_writer  # noqa: SLF001
        file = events._py_recordio_writer._writer  # noqa: SLF001
        if hasattr(file, "fileno"):
            with events._lock:  # noqa: SLF001
                file.flush()
        else:
            events.flush()


def _is_file_writer(found: Any) -> bool:
    cls = type(found)
    return cls.__name__ == "FileWriter" and cls.__module__ == "tensorboardX.writer"


def _queued(queue: Any) -> bool:
    """Whether a multiprocessing queue has anything that was put and not yet taken."""
    try:
        return bool(queue.qsize())
    except NotImplementedError:  # macOS
        return not queue.empty() or bool(queue._buffer)  # noqa: SLF001


def _is_busy(worker: Any) -> bool:
    """Whether the worker is doing anything but waiting for its queue: an event that it took may not be written yet."""
    frame = sys._current_frames().get(worker.ident)  # noqa: SLF001  the only way to look at a thread from outside
    waiting_in = ("selectors", "multiprocessing.connection")
    return frame is not None and frame.f_globals.get("__name__") not in waiting_in


LIBRARIES: tuple[Library, ...] = (TensorBoard(), TensorBoardX())
