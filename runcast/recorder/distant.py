"""What of a run is in buckets: which are followed, what is found there, and what is wrong with them."""

from __future__ import annotations

import errno
import os
import posixpath
import re
import tempfile
import time
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runcast.errors import StoreError
from runcast.events.discover import is_event_file
from runcast.objects import Address, is_bucket
from runcast.recorder.companions import named_in
from runcast.recorder.follower import Follower
from runcast.recorder.object_pump import ObjectPump
from runcast.store.protocol import FileRecord

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from runcast.objects import Listed
    from runcast.recorder.follower import Followed
    from runcast.run.state import Watch, Writer

__all__ = ["Distant", "FoundObject", "RemoteFile"]

LAST_LOOK = 60.0
"""Seconds that buckets have at the end of a run to answer with what was written to its last."""

CLOCKS = 2.0
"""Seconds by which an object may seem to be older than it is: buckets tell whole seconds, by a clock of their own."""

_BEGUN = re.compile(r"tfevents\.(\d{9,11})(?:\.|$)")


class FoundObject(NamedTuple):
    """An object in a folder that is followed; `source` is its folder, relative to that one."""

    address: str
    source: str
    name: str
    listed: Listed


class RemoteFile(NamedTuple):
    """An object that is kept whole; for any thread."""

    follower: Follower
    followed: Followed

    @property
    def listed(self) -> Listed | None:
        """The object as it was listed last; None where it is not there, or has not been looked at yet."""
        return self.followed.listed

    @contextmanager
    def at_hand(self) -> Iterator[Path]:
        """Copy it to this machine for as long as the block lasts; its time of change comes along. Raises `OSError`."""
        listed = self.listed
        if listed is None:
            raise FileNotFoundError(errno.ENOENT, "the object is gone")
        with tempfile.NamedTemporaryFile(prefix="runcast-", delete=False) as copy:
            try:
                try:
                    self.follower.download(listed, copy)
                except StoreError as error:
                    raise OSError(str(error)) from error
                copy.close()  # Windows lets nobody else read it before
                os.utime(copy.name, (listed.changed, listed.changed))
                yield Path(copy.name)
            finally:
                copy.close()
                Path(copy.name).unlink(missing_ok=True)


class Distant:
    """The buckets of one run, one `Follower` each. Used by one thread, and never waits.

    `begun` is when the run did, `before` are the addresses of objects that earlier recorders of it have recorded.
    """

    def __init__(self, begun: float, before: Container[str]) -> None:
        self._begun = begun
        self._before = before
        self._first: dict[str, dict[str, str]] = {}
        self._followers: dict[str, Follower] = {}
        self._pumps: list[ObjectPump] = []
        self._kept: dict[str, RemoteFile] = {}
        self._labels: dict[str, str] = {}
        self._empty: dict[str, None] = {}
        self._give_up_at = float("inf")

    def declare(self, watch: Watch) -> None:
        """Follow a declared logdir; its options are the bucket's, for writers' objects too."""
        place = Address.of(watch.path)
        self._follower(place, declared=True).watch(place.name, deep=True)

    def inside(self, watch: Watch) -> Iterator[tuple[FoundObject, bool]]:
        """Follow a declared logdir; yield what is known to be in it, and whether that was written since the run began."""
        label = watch.path.partition("?")[0].rstrip("/")
        found = list(self._found(Address.of(watch.path), label, deep=True))
        if found:
            self._empty.pop(label, None)
        elif label in self._first:
            self._empty.setdefault(label)
        yield from found

    def beside(self, writer: Writer) -> Iterator[FoundObject]:
        """Follow the folder of a writer's object; yield what of it was written since the run began and is the writer's.

        That is what fits its name where that is a pattern, and whole files and graphs that are to be kept.
        """
        folder, _, name = writer.path.rpartition("/")
        for found, fresh in self._found(Address.of(folder), folder, deep=False):
            own = fnmatchcase(found.name, name) if is_event_file(found.name) else writer.save
            if fresh and own:
                yield found

    def pump(self, origin: str, path: str, *, save: bool) -> ObjectPump:
        """Return a pump for the object at an address."""
        place = Address.of(origin)
        follower = self._follower(place, declared=False)
        self._labels.setdefault(f"{place.bucket}/{place.name}".rpartition("/")[0], origin.rpartition("/")[0])
        pump = ObjectPump(origin, path, follower, place.name, save=save)
        self._pumps.append(pump)
        return pump

    def keep(self, address: str) -> list[tuple[str, str]]:
        """Follow an object that is kept whole; return what it names, if it is a projector's configuration: addresses and places beside it."""
        place = Address.of(address)
        follower = self._follower(place, declared=False)
        if address not in self._kept:
            self._kept[address] = RemoteFile(follower, follower.follow(place.name))
        folder = address.rpartition("/")[0]
        named = []
        for kind, name in named_in(follower.config(place.name)):
            path = posixpath.normpath(name)
            if kind != "model_checkpoint_path" and not path.startswith(("/", "..")) and not is_bucket(name):
                named.append((f"{folder}/{path}", path))
        return named

    def kept(self, address: str) -> RemoteFile | None:
        """Return an object that is kept whole; for any thread."""
        return self._kept.get(address)

    def hurry(self) -> None:
        """Take a last look: nothing that matters is written from now on."""
        if self._give_up_at == float("inf"):
            self._give_up_at = time.monotonic() + LAST_LOOK
        for follower in self._followers.values():
            follower.hurry()

    @property
    def behind(self) -> bool:
        """Whether the last look is still being taken, and there is time left for it."""
        if not self._followers or self._give_up_at == float("inf"):
            return False
        if time.monotonic() >= self._give_up_at:
            return False
        settled = all(follower.settled for follower in self._followers.values())
        return not settled or not all(pump.caught_up for pump in self._pumps)

    def troubles(self) -> Iterator[FileRecord]:
        """Yield the folders that cannot be read, and the declared ones with nothing in them; `path` is the folder's address."""
        for label in self._empty:
            why = f"there is nothing at {label} yet; waiting for it"
            yield FileRecord(path=label, size=0, source_path=label, state="waiting", why=why)
        over = self._give_up_at < float("inf") and not self.behind
        for bucket, follower in self._followers.items():
            troubles = dict(follower.troubles())
            if over:
                troubles = dict.fromkeys(follower.silent(), "the bucket has not answered") | troubles
            for folder, why in troubles.items():
                where = f"{bucket}/{folder}".rstrip("/")
                label = self._labels.get(where, where)
                then = (
                    f"the run has ended without what was new there; `runcast sync {label}` brings all of it as runs of its own"
                    if over
                    else "it is tried again"
                )
                yield FileRecord(
                    path=label, size=0, source_path=label, state="unreadable", why=f"{why}; {then}"
                )

    def close(self) -> None:
        """Follow no more."""
        for follower in self._followers.values():
            follower.end()

    def _found(self, place: Address, label: str, *, deep: bool) -> Iterator[tuple[FoundObject, bool]]:
        follower = self._follower(place, declared=deep)
        follower.watch(place.name, deep=deep)
        self._labels.setdefault(f"{place.bucket}/{place.name}".rstrip("/"), label)
        listed = follower.found(place.name, deep=deep)
        if listed is None:
            return
        first = self._first.setdefault(label, {each.name: each.version for each in listed})
        for each in listed:
            below = each.name[len(place.name) :].lstrip("/")
            source, _, name = below.rpartition("/")
            address = f"{label}/{below}"
            fresh = address in self._before or first.get(each.name) != each.version or self._is_fresh(each)
            yield FoundObject(address, source or ".", name, each), fresh

    def _is_fresh(self, listed: Listed) -> bool:
        """Whether an object was written since the run began, as far as it says so; an event file's name holds its writer's time."""
        since = self._begun - CLOCKS
        said = _BEGUN.search(listed.name)
        return listed.changed >= since or (said is not None and float(said[1]) >= since)

    def _follower(self, place: Address, *, declared: bool) -> Follower:
        follower = self._followers.get(place.bucket)
        if follower is None:
            # A writer of this machine has put something there: if nothing says who it is, the machine itself may.
            follower = self._followers[place.bucket] = Follower(place, or_machine=not declared)
            if self._give_up_at < float("inf"):
                follower.hurry()
        return follower
