"""Event files that this process has open for writing, whoever opened them. Linux only; elsewhere none are found."""

# What /proc shows is text, and this runs at every start of a run.
# ruff: noqa: PTH115, PTH119, PTH123, PTH208

from __future__ import annotations

import os
import threading

__all__ = ["open_event_files"]

_DESCRIPTORS = "/proc/self/fd"


def open_event_files() -> list[str]:
    """Return their paths. Writers in native code (TensorFlow's) and in libraries that we do not know show up here.

    Left out are the files of tensorboardX writers: those that are alive are known otherwise, and a dropped one keeps its
    file open for ever.
    """
    try:
        names = os.listdir(_DESCRIPTORS)
    except OSError:
        return []
    dropped = _files_of_workers()
    paths = []
    for name in names:
        try:
            path = os.readlink(f"{_DESCRIPTORS}/{name}")
            if "tfevents" in os.path.basename(path) and path not in dropped and _is_written(name):
                paths.append(path)
        except (OSError, ValueError):  # noqa: PERF203  closed meanwhile
            continue
    return sorted(set(paths))


def _is_written(name: str) -> bool:
    with open(f"/proc/self/fdinfo/{name}", encoding="ascii") as file:
        for line in file:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def _files_of_workers() -> set[str]:
    workers = [each for each in threading.enumerate() if type(each).__module__.startswith("tensorboardX.")]
    files = [getattr(getattr(each, "_record_writer", None), "_file_name", "") for each in workers]
    return {os.path.realpath(file) for file in files if file}
