"""What there is to know of a library that writes event files: where its writers are, and how they are flushed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection
    from contextlib import AbstractContextManager

__all__ = ["Library", "is_busy"]


class Library(Protocol):
    """A library, by one class that opens its event files.

    All of it is read from attributes that libraries keep to themselves, so every caller is ready for any exception.
    A writer's `target` is what is flushed; it is referred to weakly, and may outlive the writer itself.
    """

    name: str
    module: str
    class_name: str

    closing: AbstractContextManager[Any] | None
    """Held while a writer is closed and while it is flushed, where a flush of a closed writer would be complained of."""

    def path(self, writer: Any) -> str | None:
        """Return the event file's path, as the writer was given it; None where native code makes up the name."""

    def logdir(self, writer: Any, arguments: Collection[Any]) -> str | None:
        """Return the folder of the event file where `path` is None; None as well where it cannot be known any more.

        `arguments` are what the writer was made with; empty for one that was found open.
        """

    def opens_later(self, writer: Any) -> bool:
        """Whether the writer may open another file, or its first, after it was made."""

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


def is_busy(worker: threading.Thread, waiting_in: Collection[str]) -> bool:
    """Whether a writer's thread is doing anything but waiting for its queue: an event that it took may not be written yet.

    `waiting_in` names the modules whose code it runs while it waits.
    """
    frame = sys._current_frames().get(worker.ident or 0)  # noqa: SLF001  the only way to look at a thread from outside
    return frame is not None and frame.f_globals.get("__name__") not in waiting_in
