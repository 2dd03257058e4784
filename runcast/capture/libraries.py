"""The libraries that are captured, and the two that write in Python: TensorBoard and tensorboardX."""

from __future__ import annotations

import gc
import time
import types
from typing import TYPE_CHECKING, Any

from runcast.capture.library import Library, is_busy
from runcast.capture.tensorflow import EventsWriter, GraphWriter, ResourceWriter

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

__all__ = ["LIBRARIES"]

QUEUE_POLL = 0.001

WAITING_IN = ("selectors", "multiprocessing.connection")
"""Where a multiprocessing queue is waited for."""


class TensorBoard:
    """`tensorboard.summary.writer`: what torch.utils.tensorboard and tensorboard.summary.Writer write through."""

    name = "tensorboard"
    module = "tensorboard.summary.writer.event_file_writer"
    class_name = "EventFileWriter"
    closing: AbstractContextManager[Any] | None = None

    def path(self, writer: Any) -> str:
        return str(writer._file_name)  # noqa: SLF001  see the module

    def logdir(self, writer: Any, arguments: Collection[Any]) -> str | None:  # noqa: ARG002  the protocol's
        return None

    def opens_later(self, writer: Any) -> bool:  # noqa: ARG002  the protocol's
        return False

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
    closing: AbstractContextManager[Any] | None = None

    def path(self, writer: Any) -> str:
        return str(writer._ev_writer._file_name)  # noqa: SLF001

    def logdir(self, writer: Any, arguments: Collection[Any]) -> str | None:  # noqa: ARG002  the protocol's
        return None

    def opens_later(self, writer: Any) -> bool:  # noqa: ARG002  the protocol's
        return False

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
        while target.is_alive() and (_queued(target._queue) or is_busy(target, WAITING_IN)):  # noqa: SLF001
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


LIBRARIES: tuple[Library, ...] = (
    TensorBoard(),
    TensorBoardX(),
    ResourceWriter(),
    EventsWriter(),
    GraphWriter(),
)
