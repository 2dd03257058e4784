"""Every error that runcast raises on purpose.

    RuncastError
    ├── SettingsError        a setting, option or argument that cannot be used
    ├── LogdirError          a log folder that cannot be watched or read
    │   ├── TagNotFound      the logs have no such tag or source
    │   └── BadValue         a logged value does not have the form that its plugin gives it
    ├── MissingPackage       what was asked for needs a package that is not installed
    ├── StoreError           the place where runs live cannot be used
    │   ├── RunNotFound      no run has this id
    │   ├── SeriesNotFound   the run has no such series
    │   ├── QueryError       a filter or an order that cannot be understood
    │   ├── RunLocked        another recorder holds the run
    │   ├── FileReplaced     a file was replaced while it was read: read it anew
    │   ├── StorageFull      the disk, or the database's, is full
    │   ├── ServerUnreachable  a server does not answer, or cannot do its work just now: it is worth trying again
    │   └── AccessDenied     a server does not know the token, or does not let it do this
    ├── JournalError         a run's journal cannot be read or written
    └── RecorderError        the recorder process could not be started or reached

A message says what went wrong, where (which file, run or setting) and what to do next.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccessDenied",
    "BadValue",
    "FileReplaced",
    "JournalError",
    "LogdirError",
    "MissingPackage",
    "QueryError",
    "RecorderError",
    "RunLocked",
    "RunNotFound",
    "RuncastError",
    "SeriesNotFound",
    "ServerUnreachable",
    "SettingsError",
    "StorageFull",
    "StoreError",
    "TagNotFound",
]


def __getattr__(name: str) -> Any:
    message = f"runcast.errors has no {name!r}; RuncastError is the base of all that there are: {', '.join(__all__)}"
    raise AttributeError(message)


class RuncastError(Exception):
    """The base of all of them: catch this to catch whatever runcast raises on purpose."""


class SettingsError(RuncastError):
    """A setting, option or argument that cannot be used."""


class LogdirError(RuncastError):
    """A log folder that cannot be watched or read."""


class TagNotFound(LogdirError):
    """The logs have no such tag or source."""


class BadValue(LogdirError):
    """A logged value does not have the form that its plugin gives it."""


class MissingPackage(RuncastError, ImportError):
    """What was asked for needs a package that is not installed."""


class StoreError(RuncastError):
    """The place where runs live cannot be used."""


class RunNotFound(StoreError):
    """No run has this id."""


class SeriesNotFound(StoreError):
    """The run has no such series."""


class QueryError(StoreError):
    """A filter or an order of runs that cannot be understood."""


class RunLocked(StoreError):
    """Another recorder holds the run."""


class FileReplaced(StoreError):
    """A file was replaced while it was read: what was read of it is old, and the rest is gone."""


class StorageFull(StoreError):
    """There is no room for what is to be written, on the disk or in the database."""


class ServerUnreachable(StoreError):
    """A server does not answer, or cannot do its work just now: it is worth trying again."""


class AccessDenied(StoreError):
    """A server does not know the token, or does not let it do this."""


class JournalError(RuncastError):
    """A run's journal cannot be read or written."""


class RecorderError(RuncastError):
    """The recorder process could not be started or reached."""
