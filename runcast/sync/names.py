"""What names say: of an event file, when it was begun, on which host and by which process; of a folder, whether it is a part of a training."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

__all__ = ["Written", "as_text", "is_part", "may_be_part", "written"]

_NAME = re.compile(r"tfevents\.(?P<time>\d{9,11})(?:\.(?P<rest>.+))?$")
_PROCESS = re.compile(r"(?P<host>.*)\.(?P<pid>\d+)\.\d+(?:\D.*)?$")
_SUFFIX = re.compile(r"\.v2$")

_PART = re.compile(r"(train|training|valid|validation|val|((global|local)_?)?rank[-_]?\d+)$", re.IGNORECASE)
_MAYBE_PART = re.compile(r"(test|testing|eval|evaluation|eval_.+|dev|worker[-_]?\d+)$", re.IGNORECASE)


class Written(NamedTuple):
    """`time` is in seconds since the epoch; what the name does not say is None, or "" for the host."""

    time: float | None
    host: str = ""
    pid: int | None = None


def written(name: str) -> Written:
    """Read the name of an event file, as TensorFlow's, PyTorch's, TensorBoard's and tensorboardX's writers make them."""
    found = _NAME.search(name)
    if found is None:
        return Written(None)
    time, rest = float(found["time"]), _SUFFIX.sub("", found["rest"] or "")
    process = _PROCESS.match(rest)
    return Written(time, rest) if process is None else Written(time, process["host"], int(process["pid"]))


def as_text(path: str) -> str:
    """Return a path as text that everyone can keep: bytes in it that are no UTF-8 become a replacement character."""
    return os.fsencode(path).decode("utf-8", "replace")


def is_part(folder: str) -> bool:
    """Say whether a folder is called like a part of a training, and unlike an experiment."""
    return _PART.match(folder) is not None


def may_be_part(folder: str) -> bool:
    """Say whether a folder is called like a part of a training, which may be the name of an experiment as well."""
    return is_part(folder) or _MAYBE_PART.match(folder) is not None
