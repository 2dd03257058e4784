"""Where runs are brought to: a folder or a server, opened anew in each process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from runcast.store.local import LocalStore
    from runcast.store.remote import RemoteStore

__all__ = ["Destination"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A server at `url`, or the folder of a local store."""

    folder: Path | None = None
    url: str | None = None

    def __str__(self) -> str:
        return self.url or str(self.folder)

    def open(self) -> LocalStore | RemoteStore:
        """Open the store. Raises `StoreError`."""
        if self.url is not None:
            from runcast.credentials import token_for
            from runcast.store.remote import RemoteStore

            return RemoteStore(self.url, token_for(self.url))
        from runcast.store.local import LocalStore

        assert self.folder is not None
        return LocalStore(self.folder)

    def opened_folder(self) -> LocalStore | None:
        """Open the store if it is a folder that holds one already: it can be looked through. Raises `StoreError`."""
        from runcast.store.local import DATABASE, LocalStore

        if self.folder is None or not (self.folder / DATABASE).exists():
            return None
        return LocalStore(self.folder)

    def run_address(self, run: str) -> str:
        """Return where a run can be looked at: its page on a server, or the command that shows it."""
        return f"{self.url}/runs/{run}" if self.url is not None else f"runcast show {run}"
