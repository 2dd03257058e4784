"""`python -m runcast.recorder …` is a recorder's process: `runcast.recorder.program` says what it takes."""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]

FEW_COLLECTIONS = (50_000, 20, 20)
"""When to look for garbage that refers to itself: what a look at hundreds of files leaves behind is none, and goes by itself."""


def main() -> int:
    """Record, in a process that does nothing else, and return its exit status.

    A quarter of the time of a short recording would go to looking for garbage among what is imported, while it is imported and
    at the exit. It all stays to the end, so the collector is told to leave it alone.
    """
    gc.disable()
    from runcast.recorder.program import main as record

    gc.freeze()
    gc.set_threshold(*FEW_COLLECTIONS)
    gc.enable()
    return record()


if __name__ == "__main__":
    sys.exit(main())
