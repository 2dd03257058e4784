"""`python -m runcast.recorder …` is a recorder's process: `runcast.recorder.program` says what it takes."""

from __future__ import annotations

import gc
import logging
import os
from typing import NoReturn

__all__ = ["run"]

FEW_COLLECTIONS = (50_000, 20, 20)
"""When to look for garbage that refers to itself: what a look at hundreds of files leaves behind is none, and goes by itself."""


def run() -> NoReturn:
    """Record, in a process that does nothing else, and end that with the recorder's exit status.

    It ends at once: threads that still look for something or draw are not needed any more, and would not survive the interpreter's
    taking itself apart below them. A quarter of the time of a short recording would go to looking for garbage among what is imported, while it is imported and
    at the exit. It all stays to the end, so the collector is told to leave it alone.
    """
    gc.disable()
    from runcast.recorder.program import main as record

    gc.freeze()
    gc.set_threshold(*FEW_COLLECTIONS)
    gc.enable()
    code = record()
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    run()
