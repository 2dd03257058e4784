"""`python -m runcast` is the command `runcast`."""

from __future__ import annotations

import gc

from runcast.cli import main as command

__all__ = ["main"]

RARELY = 100_000
"""New objects until the garbage collector looks: all imports of a command make fewer."""


def main() -> int:
    """Run the command in a process of its own, and return its exit code.

    A short command's time would largely go to looking for garbage among what is imported, once more at the exit.
    """
    gc.set_threshold(RARELY)
    code = command()
    gc.freeze()
    return code


if __name__ == "__main__":
    raise SystemExit(main())
