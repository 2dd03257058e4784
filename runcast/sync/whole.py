"""Files that are kept beside event files: graphs, profiler traces, what the projector shows. Each is put as a whole."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runcast.errors import AccessDenied, ServerUnreachable, StorageFull, StoreError
from runcast.store.protocol import FileRecord
from runcast.sync.flow import unreadable
from runcast.sync.locations.folder import Folder
from runcast.sync.names import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runcast.store.protocol import Store
    from runcast.sync.plan import Member

__all__ = ["Put", "put_whole"]

PIECE = 4 << 20


class Put:
    """What became of one file: `why` it could not be kept, "" if it could; `new` bytes came into the store."""

    __slots__ = ("member", "new", "size", "why")

    def __init__(self, member: Member, new: int = 0, why: str = "") -> None:
        self.member = member
        self.new = new
        self.why = why

    @property
    def version(self) -> list[Any]:
        """What tells whether the file has changed since, as JSON."""
        return [self.member.entry.size, self.member.entry.version]

    def record(self) -> FileRecord:
        """Return what the store is told of the file."""
        member = self.member
        address = member.location.address(member.entry)
        return FileRecord(
            member.path,
            member.entry.size,
            source_path=as_text(address),
            source_size=member.entry.size,
            state="recorded",
            why=self.why,
        )


def put_whole(
    members: tuple[Member, ...], store: Store, run: str, versions: Mapping[str, Any]
) -> Iterator[Put]:
    """Put those files of a run that are not in the store as they are; `versions` are those that are, by path.

    Raises `ServerUnreachable`, `AccessDenied` and `StorageFull`.
    """
    for member in members:
        put = Put(member)
        if versions.get(member.path) != put.version:
            try:
                put.new = _put(member, store, run)
            except (ServerUnreachable, AccessDenied, StorageFull):
                raise
            except StoreError as error:
                put.why = f"it could not be kept: {error}"
            except OSError as error:
                put.why = unreadable(error)
        yield put


def _put(member: Member, store: Store, run: str) -> int:
    location, entry = member.location, member.entry
    if isinstance(location, Folder):
        return store.put(run, member.path, Path(location.address(entry)))
    with tempfile.NamedTemporaryFile(prefix="runcast-", delete=False) as copy:
        try:
            with location.open(entry, ahead=True) as file:
                while piece := file.read(PIECE):
                    copy.write(piece)
            copy.close()  # Windows lets nobody else read it before
            return store.put(run, member.path, Path(copy.name))
        finally:
            copy.close()
            Path(copy.name).unlink(missing_ok=True)
