"""The event files of native code (TensorFlow's), and of libraries that we do not know: no hook tells which they are."""

# What the system shows is text, and this runs at every start of a run.
# ruff: noqa: PTH115, PTH118, PTH119, PTH123, PTH208

from __future__ import annotations

import functools
import os
import re
import sys
import threading

__all__ = ["event_files_of_this_process", "open_event_files"]

_DESCRIPTORS = "/proc/self/fd"

CLOCK_ERROR = 2.0
"""Seconds by which the time when this process was created may be wrong."""


def open_event_files() -> list[str]:
    """Return the event files that this process has open for writing, whoever opened them.

    Left out are the files of Python writers' threads: the writers that are alive are known otherwise, and a dropped one
    keeps its file open for ever. Where the system does not tell for free, they are looked for only if TensorFlow is there.
    """
    dropped = _files_of_workers()
    return sorted({path for path in _open_for_writing() if os.path.realpath(path) not in dropped})


def event_files_of_this_process(logdir: str) -> list[str]:
    """Return the event files in a folder whose names say that this process made them, open or not.

    TensorFlow's names hold a time and the process id, and a process id may be that of an earlier process: in a container it
    mostly is.
    """
    name = re.compile(rf"tfevents\.(\d+)\..*\.{os.getpid()}\.\d+\.")
    try:
        found = [(entry, name.search(entry)) for entry in os.listdir(logdir)]
    except OSError:
        return []
    return sorted(
        os.path.join(logdir, entry)
        for entry, match in found
        if match is not None and int(match[1]) >= _created(os.getpid())
    )


@functools.lru_cache(maxsize=1)
def _created(pid: int) -> float:
    import psutil  # importing runcast stays light

    try:
        return float(psutil.Process(pid).create_time()) - CLOCK_ERROR
    except psutil.Error:
        return 0.0


def _open_for_writing() -> list[str]:
    try:
        names = os.listdir(_DESCRIPTORS)
    except OSError:
        return _open_files() if "tensorflow" in sys.modules else []
    paths = []
    for name in names:
        try:
            path = os.readlink(f"{_DESCRIPTORS}/{name}")
            if "tfevents" in os.path.basename(path) and _is_written(name):
                paths.append(path)
        except (OSError, ValueError):  # noqa: PERF203  closed meanwhile
            continue
    return paths


def _open_files() -> list[str]:
    """Ask as macOS and Windows can be asked; whether a file is only read they do not say."""
    import psutil  # see above

    try:
        opened = psutil.Process().open_files()
    except (psutil.Error, OSError):
        return []
    return [each.path for each in opened if "tfevents" in os.path.basename(each.path)]


def _is_written(name: str) -> bool:
    with open(f"/proc/self/fdinfo/{name}", encoding="ascii") as file:
        for line in file:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def _files_of_workers() -> set[str]:
    files = (_file_of_worker(each) for each in threading.enumerate())
    return {os.path.realpath(file) for file in files if file}


def _file_of_worker(worker: threading.Thread) -> str:
    """Return the file of a writer's thread; empty for any other thread."""
    try:
        match type(worker).__module__:
            case "tensorboardX.event_file_writer":
                return str(worker._record_writer._file_name)  # type: ignore[attr-defined]  # noqa: SLF001
            case "tensorboard.summary.writer.event_file_writer":  # over TensorFlow's files
                return str(worker._record_writer._writer.name)  # type: ignore[attr-defined]  # noqa: SLF001
            case "tensorflow.python.summary.writer.event_file_writer":
                return str(os.fsdecode(worker._ev_writer.FileName()))  # type: ignore[attr-defined]  # noqa: SLF001
    except Exception:  # noqa: BLE001  another version of the library
        return ""
    return ""
