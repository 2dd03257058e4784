"""Finding the event files of a logdir."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "PROJECTOR_CONFIG",
    "FoundFile",
    "find_files",
    "is_companion",
    "is_event_file",
    "is_recorded",
]

PROJECTOR_CONFIG = "projector_config.pbtxt"
"""The projector's configuration, which names the files that it shows."""

_TRACES = (".pt.trace.json", ".pt.trace.json.gz")

# TensorFlow's profiler marks a run's folder with an empty file; SageMaker leaves a marker beside each file that it uploaded.
_MARKERS = (".profile-empty", ".sagemaker-uploaded")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file as it was when it was found.

    `source` is its folder relative to the logdir, with `/`, `.` for the logdir itself. `id` is (device, inode): a file that is
    replaced under its name gets another.
    """

    path: Path
    source: str
    name: str
    size: int
    id: tuple[int, int]
    mtime_ns: int


def is_event_file(name: str) -> bool:
    """Say whether a file of this name is an event file, as TensorBoard decides."""
    return "tfevents" in name and not name.endswith(_MARKERS)


def is_companion(name: str, source: str) -> bool:
    """Say whether a file of this name in this source is one that the projector or the profiler plugin wants, whole."""
    if name == PROJECTOR_CONFIG or name.endswith(_TRACES):
        return True
    return "plugins/profile" in source and "/plugins/profile/" in f"/{source}/"


def is_recorded(name: str, source: str = ".") -> bool:
    """Say whether a file belongs to a run's logs: an event file, a graph, or a companion of theirs."""
    return is_event_file(name) or name.endswith(".pbtxt") or is_companion(name, source)


def find_files(
    logdir: Path, onerror: Callable[[OSError], None] | None = None, *, source: str = "."
) -> list[FoundFile]:
    """Return the files of the logdir and of all folders below it, by source and name; `source` is the logdir's own.

    Links are followed, but each real folder is looked at once, under its own name where it has one in the logdir: loops end,
    and a link such as `latest` adds nothing twice. Folders and files that vanish meanwhile, the logdir included, are simply
    not there, nor is what a link in a circle leads to; other errors (no permission, the logdir is a file) go to `onerror` and the
    rest is still found. Never raises.
    """

    def report(error: OSError) -> None:
        if onerror is not None and error.errno not in {errno.ENOENT, errno.ELOOP}:
            onerror(error)

    found: list[FoundFile] = []
    seen: set[tuple[int, int]] = set()
    folders = [(str(logdir), source)]
    links: deque[tuple[str, str]] = deque()
    while folders or links:
        folder, source = folders.pop() if folders else links.popleft()
        status = _status(folder, report)
        if status is None or (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(folder, report):
            below = entry.name if source == "." else f"{source}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, below))
            elif entry.is_symlink() or is_recorded(entry.name, source):
                status = _status(entry.path, report)
                if status is None:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    links.append((entry.path, below))
                elif stat.S_ISREG(status.st_mode) and is_recorded(entry.name, source):
                    inode = (status.st_dev, status.st_ino)
                    path = Path(entry.path)
                    found.append(
                        FoundFile(path, source, entry.name, status.st_size, inode, status.st_mtime_ns)
                    )
    found.sort(key=lambda file: (file.source, file.name))
    return found


def _entries(folder: str, report: Callable[[OSError], None]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as scan:
            return sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        report(error)
        return []


def _status(path: str, report: Callable[[OSError], None]) -> os.stat_result | None:
    """Return the status of what `path` leads to; `DirEntry.stat` would leave out the inode on Windows."""
    try:
        return os.stat(path)  # noqa: PTH116 - called by the thousand each second: making a Path costs more than the call
    except OSError as error:
        report(error)
        return None
