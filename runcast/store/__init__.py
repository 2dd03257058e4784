"""Where runs live: `open()` is the door from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from runcast.store.local import LocalStore

__all__ = ["open"]


def open(path: str | os.PathLike[str] | None = None) -> LocalStore:  # noqa: A001 - `runcast.store.open(...)`
    """Open the store in a folder, made if it is not there; None means the one that the settings name.

        with runcast.store.open() as store:
            for run in store.runs():
                print(run.name, store.points(run.id, "logs", "train", "loss").value[-1])

    Raises `StoreError`.
    """
    from runcast.settings import runcast_dir
    from runcast.store.local import LocalStore

    return LocalStore(runcast_dir() if path is None else Path(path))
