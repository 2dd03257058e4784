"""TensorFlow's three writers. Their files are written by native code, which is flushed here without disturbing it."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from runcast.capture.library import is_busy

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

__all__ = ["EventsWriter", "GraphWriter", "ResourceWriter"]

QUEUE_POLL = 0.001


class ResourceWriter:
    """`tf.summary.create_file_writer`, which the Keras callback, flax and clu use too. Native code names its files."""

    name = "tensorflow"
    module = "tensorflow.python.ops.summary_ops_v2"
    class_name = "_ResourceSummaryWriter"

    def __init__(self) -> None:
        self.closing: AbstractContextManager[Any] | None = threading.RLock()

    def path(self, writer: Any) -> str | None:  # noqa: ARG002  the protocol's
        return None

    def logdir(self, writer: Any, arguments: Collection[Any]) -> str | None:  # noqa: ARG002  the protocol's
        """It is bound to the function that opens the file; the writer itself does not keep it."""
        for argument in arguments:
            keywords = getattr(argument, "keywords", None) or {}
            if "logdir" in keywords:
                return _text(keywords["logdir"])
        return None

    def opens_later(self, writer: Any) -> bool:
        """In a graph, the file is opened when a session runs the writer's initialization."""
        return not _is_eager(writer)

    def target(self, writer: Any) -> Any:
        return writer

    def is_closed(self, target: Any) -> bool:
        return bool(target._closed)  # noqa: SLF001  see `Library`

    def is_dropped(self, writer: Any) -> bool:  # noqa: ARG002  the protocol's
        return False  # its file is closed with it

    def holds_back(self, target: Any) -> bool:  # noqa: ARG002  the protocol's
        return True

    def settle(self, target: Any, deadline: float) -> None:
        """Nothing to do: an event is queued and flushed under one lock."""

    def flush(self, target: Any) -> None:
        """Flush an eager writer. One in a graph needs its user's session; it is flushed by TensorFlow alone."""
        with self.closing or nullcontext():
            if _is_eager(target) and not target._closed:  # noqa: SLF001
                with sys.modules["tensorflow.python.eager.context"].eager_mode():
                    target.flush()


class EventsWriter:
    """`tf.compat.v1.summary.FileWriter`. Its target is the worker thread, which goes on when a writer is dropped unclosed."""

    name = "tensorflow"
    module = "tensorflow.python.summary.writer.event_file_writer"
    class_name = "EventFileWriter"
    closing: AbstractContextManager[Any] | None = None

    def path(self, writer: Any) -> str | None:
        """Return the file's path. It is opened by this, if it is not yet; but a bucket's only by its user."""
        if "://" in writer._logdir:  # noqa: SLF001  see `Library`
            return None
        return _text(writer._ev_writer.FileName())  # noqa: SLF001

    def logdir(self, writer: Any, arguments: Collection[Any]) -> str | None:  # noqa: ARG002  the protocol's
        return _text(writer._logdir)  # noqa: SLF001

    def opens_later(self, writer: Any) -> bool:  # noqa: ARG002  the protocol's
        return True  # `reopen`

    def target(self, writer: Any) -> Any:
        return writer._worker  # noqa: SLF001

    def is_closed(self, target: Any) -> bool:
        return not target.is_alive()

    def is_dropped(self, writer: Any) -> bool:  # noqa: ARG002  the protocol's
        return False  # who is asked for is there

    def holds_back(self, target: Any) -> bool:  # noqa: ARG002  the protocol's
        return True

    def settle(self, target: Any, deadline: float) -> None:
        while target.is_alive() and (target._queue._queue or is_busy(target, ("threading",))):  # noqa: SLF001
            if time.monotonic() >= deadline:
                return
            time.sleep(QUEUE_POLL)

    def flush(self, target: Any) -> None:
        """Flush the native writer, whose methods run one at a time. The Python writer's own `flush` is for one thread only."""
        target._ev_writer.Flush()  # noqa: SLF001


class GraphWriter:
    """`tf.compat.v1.summary.FileWriter(session=…)`, which writes by running operations in that session."""

    name = "tensorflow"
    module = "tensorflow.python.summary.writer.event_file_writer_v2"
    class_name = "EventFileWriterV2"

    def __init__(self) -> None:
        self.closing: AbstractContextManager[Any] | None = threading.RLock()

    def path(self, writer: Any) -> str | None:  # noqa: ARG002  the protocol's
        return None

    def logdir(self, writer: Any, arguments: Collection[Any]) -> str | None:  # noqa: ARG002  the protocol's
        return _text(writer._logdir)  # noqa: SLF001

    def opens_later(self, writer: Any) -> bool:  # noqa: ARG002  the protocol's
        return True  # `reopen`

    def target(self, writer: Any) -> Any:
        return writer

    def is_closed(self, target: Any) -> bool:
        return bool(target._closed or target._session._closed)  # noqa: SLF001

    def is_dropped(self, writer: Any) -> bool:  # noqa: ARG002  the protocol's
        return False  # who is asked for is there

    def holds_back(self, target: Any) -> bool:  # noqa: ARG002  the protocol's
        return True

    def settle(self, target: Any, deadline: float) -> None:
        """Nothing to do: an event is queued and flushed under one lock."""

    def flush(self, target: Any) -> None:
        """Run the flush operation, which the session knows already.

        Not by `session.run`: that would hand the session what its user has built of the graph so far, in the middle of it.
        """
        with self.closing or nullcontext():
            if not self.is_closed(target):
                flush = target._flush_op._c_op  # noqa: SLF001
                target._session._call_tf_sessionrun(None, {}, [], [flush], None)  # noqa: SLF001


def _is_eager(writer: Any) -> bool:
    return type(writer._resource).__name__ == "EagerTensor"  # noqa: SLF001


def _text(value: Any) -> str | None:
    """Return a path that may be a text, bytes, a path, or a tensor that holds a text; None for a tensor without a value yet."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    elif hasattr(value, "graph"):
        value = sys.modules["tensorflow.python.framework.tensor_util"].constant_value(value)
        value = None if value is None else value.item()
    if isinstance(value, bytes):
        return value.decode()
    return None if value is None else str(value)
