"""Where runs are brought to: a folder, a server, or what a server keeps its runs in; opened anew in each process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from runcast.store.local import LocalStore
    from runcast.store.remote import RemoteStore

__all__ = ["Destination"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A server at `url`, or a store as `LocalStore` takes it: its folder, or its database and where its files are.

    What may hold a secret is not shown: clusters log what they are given.
    """

    folder: Path | None = None
    url: str | None = None
    database: str | None = field(default=None, repr=False)
    files: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    """The server's token for a process that has none of its own."""

    @property
    def is_shared(self) -> bool:
        """Whether other machines can bring runs there, too."""
        return self.url is not None or self.database is not None

    def __str__(self) -> str:
        if self.database is not None:
            from runcast.store.postgresql import PostgreSQL

            return PostgreSQL(self.database).place
        return self.url or str(self.folder)

    def open(self) -> LocalStore | RemoteStore:
        """Open the store. Raises `StoreError`."""
        if self.url is not None:
            from runcast.credentials import token_for
            from runcast.store.remote import RemoteStore

            return RemoteStore(self.url, token_for(self.url) or self.token)
        from runcast.store.local import LocalStore

        if self.database is not None:
            from runcast.settings import runcast_dir

            folder = self.folder or runcast_dir()
            return LocalStore(folder, database=self.database, files=self.files, own_in_place=False)
        assert self.folder is not None
        return LocalStore(self.folder)

    def opened_folder(self) -> LocalStore | None:
        """Open the store if it is a folder that holds one already: it can be looked through. Raises `StoreError`."""
        from runcast.store.local import DATABASE, LocalStore

        if self.folder is None or self.database is not None or not (self.folder / DATABASE).exists():
            return None
        return LocalStore(self.folder)

    def run_address(self, run: str) -> str:
        """Return where a run can be looked at: its page on a server, or the command that shows it."""
        if self.database is not None:
            return f"run {run}"
        return f"{self.url}/runs/{run}" if self.url is not None else f"runcast show {run}"
