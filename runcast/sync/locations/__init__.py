"""Where logs are that are to be brought into a store. `Location` is the seam: a folder, an archive, a bucket's prefix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Entry", "Listing", "Location", "Reader"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file as it was when it was listed; `path` is relative to the location, with `/`.

    `version` tells contents of the same size apart, as far as the place does. `changed` is in seconds since the epoch, 0 where
    the place does not say.
    """

    path: str
    size: int
    changed: float
    version: str


@dataclass(slots=True)
class Listing:
    """What was found, by path, and what the user is told where that is nothing."""

    entries: list[Entry] = field(default_factory=list)
    looked_at: str = ""
    """How much was looked through: `12 folders`."""
    others: list[str] = field(default_factory=list)
    """Some names of files that are no logs."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """What could not be looked into, and why."""


class Reader(Protocol):
    """An open file."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, fewer only at the end of the file. Raises `OSError`."""

    def __enter__(self) -> Reader:  # noqa: PYI034 - Self is Python 3.11's
        """Return the reader itself, to be closed at the end of the block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


class Location(Protocol):
    """A place that holds logs. Can be sent to another process (pickled), and be used by one thread at a time."""

    @property
    def label(self) -> str:
        """What the user calls it."""

    @property
    def url(self) -> str:
        """What runs' ids are derived from: the same place has the same, whatever it was called."""

    @property
    def name(self) -> str:
        """The name of a run that is all of it."""

    def look(self) -> Listing:
        """Return the files that belong to logs. Raises `LogdirError` where there is no such place, or nobody may look into it."""

    def find(self, path: str, *, beginning: bool = False) -> list[Entry]:
        """Return the file at `path`, or those whose paths begin so; none if there is none. Raises `OSError`."""

    def open(self, entry: Entry, start: int = 0, *, ahead: bool = False) -> Reader:
        """Return what reads a file from there on. Raises `OSError`.

        With `ahead`, all of it will be read: what is far away may be fetched before it is asked for.
        """

    def address(self, entry: Entry) -> str:
        """Return what a file is called outside of the location."""

    def close(self) -> None:
        """Let go of what is open; the next use opens it again."""
