"""Every error that runcast raises on purpose.

    RuncastError
    ├── SettingsError        a setting, option or argument that cannot be used
    ├── LogdirError          a log folder that cannot be watched
    ├── StoreError           the place where runs live cannot be used
    │   ├── RunNotFound      no run has this id
    │   ├── SeriesNotFound   the run has no such series
    │   └── RunLocked        another recorder holds the run
    ├── JournalError         a run's journal cannot be read or written
    └── RecorderError        the recorder process could not be started or reached

A message says what went wrong, where (which file, run or setting) and what to do next.
"""

from __future__ import annotations

__all__ = [
    "JournalError",
    "LogdirError",
    "RecorderError",
    "RunLocked",
    "RunNotFound",
    "RuncastError",
    "SeriesNotFound",
    "SettingsError",
    "StoreError",
]


class RuncastError(Exception):
    """The base of all of them: catch this to catch whatever runcast raises on purpose."""


class SettingsError(RuncastError):
    """A setting, option or argument that cannot be used."""


class LogdirError(RuncastError):
    """A log folder that cannot be watched."""


class StoreError(RuncastError):
    """The place where runs live cannot be used."""


class RunNotFound(StoreError):
    """No run has this id."""


class SeriesNotFound(StoreError):
    """The run has no such series."""


class RunLocked(StoreError):
    """Another recorder holds the run."""


class JournalError(RuncastError):
    """A run's journal cannot be read or written."""


class RecorderError(RuncastError):
    """The recorder process could not be started or reached."""
