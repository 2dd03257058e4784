"""Event files in buckets: what is listed there, and read from there in ranges."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import commonpath
from typing import TYPE_CHECKING, NamedTuple

from runcast.errors import LogdirError, RuncastError
from runcast.events.discover import is_event_file
from runcast.events.framing import OVERHEAD, payload_length
from runcast.logdir.files import LogFile
from runcast.objects import Address, check_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from runcast.events.batch import Batch, Pending
    from runcast.events.decode import Decoder
    from runcast.objects import Listed, Objects

__all__ = ["BucketFiles"]

BLOCK = 4 << 20
"""Bytes that one request reads, unless one record is longer; the next is on its way meanwhile."""

TAIL = 4 << 10
"""Bytes before the end of what was read by which an object that was put again is known to go on."""

_NAMES_SHOWN = 5


class _Given(NamedTuple):
    """What the user named: the address, the folder that is listed for it, and the pattern that paths must match, if it is one."""

    text: str
    address: Address
    folder: str
    pattern: tuple[str, ...]


@dataclass(slots=True)
class _Known:
    """An object that was listed: `generation` counts how often its name was given to other content."""

    objects: Objects
    listed: Listed
    generation: int = 0
    offset: int = 0
    tail: bytes = b""


class BucketFiles:
    """Addresses in buckets: folders, event files, and patterns of both (`*`, `**`, `[…]`; what follows a `?` are options).

    Sources are named as `LocalFiles` names them.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        """Raises `LogdirError` for what is no address."""
        self._given = [_given(text) for text in addresses]
        self._opened: dict[tuple[str, str], Objects] = {}
        self._known: dict[str, _Known] = {}

    def __str__(self) -> str:
        return ", ".join(given.text.partition("?")[0] for given in self._given)

    def list(self) -> list[LogFile]:
        """Return the event files; an object that is named twice counts once."""
        found: dict[str, _Known] = {}
        others: list[str] = []
        bases = []
        for given in self._given:
            base, several = self._look(given)
            bases.append(base)
            for path, known in several.items():
                if is_event_file(known.listed.name.rpartition("/")[2]):
                    found[path] = known
                else:
                    others.append(known.listed.name.rpartition("/")[2])
        if not found:
            raise LogdirError(_nothing_found(str(self), others))
        self._known = {path: self._renewed(path, known) for path, known in found.items()}
        same = len({base.partition("://")[0] for base in bases}) == 1
        top = commonpath([base.partition("://")[2] for base in bases]) if same else ""
        files = [self._file(path, known, top) for path, known in self._known.items()]
        return sorted(files, key=lambda file: (file.source, file.name))

    def reader(self, file: LogFile, decoder: Decoder) -> _ObjectReader:
        """Return what reads an object, in ranges."""
        return _ObjectReader(self._known, file.path, decoder)

    def bytes_at(self, file: LogFile, offset: int, length: int) -> bytes:
        """Return bytes of an object."""
        known = self._known[file.path]
        return _read(known, offset, min(offset + length, known.listed.size))

    def _look(self, given: _Given) -> tuple[str, dict[str, _Known]]:
        """Return the folder that sources are relative to, and the objects that are meant, by address."""
        bucket, options, name = given.address
        objects = self._opened.get((bucket, options))
        try:
            if objects is None:
                objects = self._opened[bucket, options] = given.address.opened()
            found = list(objects.listed(given.folder))
            base = given.folder
            if not found and name and not given.pattern:
                base = name.rpartition("/")[0]
                found = [each for each in objects.within(base)[0] if each.name == name]
        except RuncastError as error:
            raise LogdirError(f"{given.text.partition('?')[0]}: {error}") from error
        if given.pattern:
            found = [each for each in found if _fits(tuple(each.name.split("/")), given.pattern)]
        return f"{bucket}/{base}".rstrip("/"), {
            f"{bucket}/{each.name}": _Known(objects, each) for each in found
        }

    def _renewed(self, path: str, now: _Known) -> _Known:
        """Return what is known of an object that was listed again: whether its new version goes on where the old one ended."""
        was = self._known.get(path)
        if was is None:
            return now
        same = was.listed.version == now.listed.version
        if not same and now.listed.size >= was.offset:
            try:
                same = _read(now, was.offset - len(was.tail), was.offset) == was.tail
            except OSError:
                same = False
        if same:
            was.listed = now.listed
            return was
        now.generation = was.generation + 1
        return now

    @staticmethod
    def _file(path: str, known: _Known, top: str) -> LogFile:
        folder, _, name = path.rpartition("/")
        plain = folder.partition("://")[2]
        source = plain[len(top) :].strip("/") or "." if top else folder
        return LogFile(path, source, name, known.listed.size, (path, known.generation))


class _ObjectReader:
    """Reads one object on from where it was; see `runcast.logdir.files.Reader`."""

    def __init__(self, known: dict[str, _Known], path: str, decoder: Decoder) -> None:
        self.offset = 0
        self.pending: Pending = ""
        self._path = path
        self._objects = known
        self._known = known[path]
        self._decoder = decoder

    def read(self, *, skip: bool = False) -> Iterator[Batch]:
        """Yield what is new, up to the size that was listed last. Raises `OSError`."""
        known = self._known
        size, held, block = known.listed.size, b"", BLOCK
        self.pending = ""
        with ThreadPoolExecutor(1) as ahead:
            at = self.offset
            coming: Future[bytes] | None = None
            while at < size or coming is not None:
                if coming is None:
                    coming = ahead.submit(_read, known, at, min(at + block, size))
                data, coming = coming.result(), None
                at += len(data)
                if at < size:
                    coming = ahead.submit(_read, known, at, min(at + block, size))
                held += data
                batch = self._decoder.decode(held, self.offset, skip=skip)
                self.pending = batch.pending
                taken = batch.stop - self.offset
                if taken:
                    known.tail = (known.tail + held[:taken][-TAIL:])[-TAIL:]
                    held = held[taken:]
                    self.offset = known.offset = batch.stop
                    yield batch
                if batch.pending in {"checksum", "framing"} and not skip:
                    return
                length = payload_length(memoryview(held), 0)
                if length is not None and self.offset + OVERHEAD + length > size:
                    return  # its rest is not there yet
                block = max(BLOCK, len(held))


def _read(known: _Known, start: int, stop: int) -> bytes:
    try:
        return known.objects.read(known.listed.name, start, stop)
    except RuncastError as error:
        raise OSError(str(error)) from error


def _given(text: str) -> _Given:
    check_address(text)
    address = Address.of(text)
    parts = tuple(part for part in address.name.split("/") if part)
    fixed = next((at for at, part in enumerate(parts) if any(sign in part for sign in "*[")), len(parts))
    return _Given(text, address, "/".join(parts[:fixed]), parts if fixed < len(parts) else ())


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path, or a folder that it is in, matches a pattern; `**` stands for any number of folders."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_fits(parts[at:], pattern[1:]) for at in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _nothing_found(place: str, others: list[str]) -> str:
    count = f"{len(others)} object{'' if len(others) == 1 else 's'}"
    more = ", …" if len(others) > _NAMES_SHOWN else ""
    held = f"; the objects there are {', '.join(sorted(others)[:_NAMES_SHOWN])}{more}" if others else ""
    return f"{place}: no event files (objects with `tfevents` in their name) in {count}{held}"
