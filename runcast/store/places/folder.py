"""`FolderFiles`: the files of runs in a folder, as they were written."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from runcast.errors import RunLocked, StoreError
from runcast.run.record import OWN_ROOT
from runcast.settings import RUN_ID
from runcast.store import files
from runcast.store.paths import FilePath, check_run_id
from runcast.store.places import STORE_JOURNAL, Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from runcast.store.places import Content
    from runcast.store.recent import Grown
    from runcast.store.rows import Rows

__all__ = ["FolderFiles"]

DELETED = "deleted.jsonl"
"""The file among the runs' folders that names those that were deleted for good, one JSON object a line."""

RECORDER_LOCK = "recorder.lock"


@dataclass(frozen=True, slots=True)
class _Replaced:
    size: int

    def note(self, connection: Connection, file: int) -> None:
        """The folder has it."""

    def committed(self) -> None:
        """There is nothing left over."""


class _Content:
    """An open file: replacing it, which is renaming, leaves the old one readable for those who have it open."""

    def __init__(self, path: Path, most: int | None) -> None:
        self._path = path
        self._file, status = files.open_file(path)
        self.size = status.st_size if most is None else min(most, status.st_size)
        self.version = f"{status.st_ino:x}-{status.st_ctime_ns:x}-{self.size:x}"

    def read(self, start: int, stop: int) -> bytes:
        """See `Content.read`."""
        return files.read_open(self._file, self._path, start, min(stop, self.size))

    def close(self) -> None:
        """See `Content.close`."""
        self._file.close()


class _Nothing:
    """The content of a file of which nothing is there."""

    size = 0
    version = "0"

    def read(self, start: int, stop: int) -> bytes:  # noqa: ARG002
        """See `Content.read`."""
        return b""

    def close(self) -> None:
        """See `Content.close`."""


class FolderFiles:
    """Files in `<runs>/<id>/`, byte for byte; see `RunFiles`.

    With `own_in_place`, files under `own/` are written by the run itself, where they stand: they are only indexed.
    """

    is_durable = False

    def __init__(self, runs: Path, *, own_in_place: bool) -> None:
        self._runs = runs
        self._place = str(runs)
        self._own_in_place = own_in_place

    def make(self, run: str) -> None:
        """See `RunFiles.make`."""
        files.make_run_folder(self._folder(run))

    def write(self, run: str, path: str, offset: int, data: bytes | memoryview) -> None:
        """See `RunFiles.write`. A run whose folder was deleted does not come back in pieces."""
        if not (self._own_in_place and path.startswith(f"{OWN_ROOT}/")):
            files.write_at(f"{self._place}/{check_run_id(run)}", path, offset, data)

    def note(self, rows: Rows, run: str, notes: Sequence[tuple[int, int, memoryview]]) -> None:
        """See `RunFiles.note`: the folder has it all."""

    def sync(self, run: str, path: str) -> None:
        """See `RunFiles.sync`."""
        files.sync(self._folder(run) / path)

    def replace(self, run: str, path: str, data: bytes | Path) -> _Replaced:
        """See `RunFiles.replace`. The file to copy is read in pieces; it must be a regular one."""
        folder = self._folder(run)
        return _Replaced(files.replace(folder / path, data, folder))

    def read(
        self,
        run: str,
        path: str,
        start: int,
        stop: int,
        *,
        connection: Connection | None = None,  # noqa: ARG002
    ) -> bytes:
        """See `RunFiles.read`."""
        return files.read_bytes(self._folder(run) / path, start, stop)

    def open(self, run: str, path: str, size: int | None) -> Content:
        """See `RunFiles.open`."""
        file = self._folder(run) / path
        return _Content(file, size) if file.exists() else _Nothing()

    def size(self, run: str, path: str) -> int:
        """See `RunFiles.size`."""
        return files.disk_size(self._folder(run) / path)

    def is_intact(self, run: str, path: str, grown: Grown) -> bool:
        """See `RunFiles.is_intact`: compares what was not waited for with its checksum."""
        file = self._folder(run) / path
        if files.disk_size(file) < grown.size:
            return False
        return files.checksum(file, grown.synced, grown.size) == grown.unsynced_crc

    def local_path(self, run: str, path: str) -> Path:
        """See `RunFiles.local_path`."""
        return self._folder(run) / path

    @contextmanager
    def locked(self, run: str) -> Iterator[None]:
        """See `RunFiles.locked`: a recorder holds the lock of the run's folder."""
        lock = self._folder(run) / RECORDER_LOCK
        if not lock.exists():
            yield
            return
        try:
            with FileLock(lock, timeout=0):
                yield
        except Timeout as error:
            raise RunLocked(f"run {run} is being recorded: try again when it has ended") from error

    def journal(self, connection: Connection, run: str, lines: bytes) -> None:  # noqa: ARG002 - a bucket's
        """See `RunFiles.journal`: one write, so that several processes do not mix their lines. A deleted folder stays deleted."""
        folder = self._folder(run)
        if lines and folder.is_dir():
            files.append_lines(folder / STORE_JOURNAL, lines)

    def read_journal(self, run: str) -> bytes:
        """See `RunFiles.read_journal`."""
        path = self._folder(run) / STORE_JOURNAL
        return files.read_bytes(path, 0, files.disk_size(path)) if path.exists() else b""

    def runs(self) -> Iterator[str]:
        """See `RunFiles.runs`."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._runs) if entry.is_dir())
        except OSError as error:
            raise StoreError(
                f"cannot look for runs in {self._runs}: {error.strerror}; check its permissions"
            ) from error
        yield from filter(RUN_ID.fullmatch, names)

    def held(self, run: str, paths: Iterable[str]) -> list[Held]:  # noqa: ARG002 - a bucket's
        """See `RunFiles.held`. What is in the folder besides a run's files (the journal, locks) is not among them."""
        folder = self._folder(run)
        found = []
        for place, _, names in os.walk(folder):
            for name in names:
                file = (folder / place / name).relative_to(folder).as_posix()
                try:
                    FilePath.parse(file)
                except StoreError:
                    continue
                if not (name.startswith(".") and name.endswith(".part")):
                    found.append(Held(file, files.disk_size(folder / file)))
        return sorted(found)

    def adopt(self, connection: Connection, run: str, file: int, held: Held) -> None:
        """See `RunFiles.adopt`: a folder's files are read where they are."""

    def remove(self, run: str) -> None:
        """See `RunFiles.remove`."""
        folder = self._folder(run)
        try:
            for entry in list(folder.iterdir()):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != STORE_JOURNAL:
                    entry.unlink()
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(
                f"cannot delete {folder}: {error.strerror}; check its permissions and delete it"
            ) from error

    def bury(self, run: str, now: float) -> None:
        """See `RunFiles.bury`."""
        line = json.dumps({"run": check_run_id(run), "time": now}).encode() + b"\n"
        files.append_lines(self._runs / DELETED, line)

    def buried(self) -> Iterator[str]:
        """See `RunFiles.buried`. A line that was torn is passed over."""
        path = self._runs / DELETED
        lines = files.read_bytes(path, 0, files.disk_size(path)).splitlines() if path.exists() else []
        for line in lines:
            with suppress(ValueError, KeyError, TypeError, StoreError):
                yield check_run_id(json.loads(line)["run"])

    def close(self) -> None:
        """See `RunFiles.close`."""

    def _folder(self, run: str) -> Path:
        return self._runs / check_run_id(run)
