"""Event files: bytes in, typed points and pointers out; a small writer; finding files in a logdir.

Names are imported when they are first used: the training process writes event files and must not pay for NumPy or protobuf.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runcast.events.batch import Batch, Pending, Scalars, Skip, Summary
    from runcast.events.decode import Decoder
    from runcast.events.discover import FoundFile, find_files
    from runcast.events.filter import scalar_only
    from runcast.events.restarts import counting
    from runcast.events.tail import Tail
    from runcast.events.writer import EventWriter, event_file_name

_HOMES = {
    "Batch": "batch",
    "Decoder": "decode",
    "EventWriter": "writer",
    "FoundFile": "discover",
    "Pending": "batch",
    "Scalars": "batch",
    "Skip": "batch",
    "Summary": "batch",
    "Tail": "tail",
    "counting": "restarts",
    "event_file_name": "writer",
    "find_files": "discover",
    "scalar_only": "filter",
}

__all__ = [
    "Batch",
    "Decoder",
    "EventWriter",
    "FoundFile",
    "Pending",
    "Scalars",
    "Skip",
    "Summary",
    "Tail",
    "counting",
    "event_file_name",
    "find_files",
    "scalar_only",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
