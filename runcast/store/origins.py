"""Which event files the runs of a store were recorded from."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from runcast.store import schema

if TYPE_CHECKING:
    from collections.abc import Collection

    from runcast.store.database import Database

__all__ = ["Origin", "find_origins"]

_AGAIN = re.compile(r"~\d+$")


class Origin(NamedTuple):
    """A file of a run, and where it was read."""

    run: str
    path: str
    source_path: str


def find_origins(database: Database, names: Collection[str]) -> dict[str, list[Origin]]:
    """Return the files of any run that had one of these names where they were read, by that name. Raises `StoreError`.

    All files of the store are gone through: a second for some million.
    """
    file = schema.file.c
    found: dict[str, list[Origin]] = {}
    with database.read() as connection:
        for row in connection.execute(select(file.run, file.path, file.source_path)):
            name = _AGAIN.sub("", posixpath.basename(row.path))
            if name in names and row.path.startswith("files/"):
                found.setdefault(name, []).append(Origin(*row))
    return found
