"""`init(mode="disabled")`: a run that is like any other to the code that uses it, and of which nothing is recorded."""

# What a link takes is taken here, too.
# ruff: noqa: ARG002

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.run.journal import Journal
from runcast.run.link import RecorderLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from runcast.run.channel import Message

__all__ = ["NoJournal", "NoLink"]


class NoJournal(Journal):
    """A journal that is not written."""

    def append(self, op: str, **fields: Any) -> dict[str, Any]:
        """Write nothing, and return the entry as it would be."""
        return {"op": op, **fields}


class NoLink(RecorderLink):
    """A link to no recorder."""

    def __init__(self) -> None:
        """Make one; there is nothing to start."""

    def start(self) -> None:
        """Start nothing."""

    def send(self, header: dict[str, Any]) -> None:
        """Send nothing."""

    def request(self, kind: str, timeout: float, **fields: Any) -> Message | None:
        """Answer that nobody answers."""

    def subscribe(self, callback: Callable[[dict[str, Any], list[bytes]], None]) -> Callable[[], None]:
        """Call nobody: nothing comes."""
        return lambda: None

    def end(self) -> None:
        """End nothing."""

    def wait_finished(self, timeout: float) -> bool:
        """Say that all of nothing is recorded."""
        return True

    def abandon(self) -> None:
        """Let go of nothing."""

    @property
    def alive(self) -> bool:
        """Whether there is a recorder: never."""
        return False

    @property
    def pid(self) -> int | None:
        """The process id of the recorder: none."""
        return None
