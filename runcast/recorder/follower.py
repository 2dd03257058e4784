"""Objects of a bucket that grow: a thread of their own lists them and reads ahead, so that no bucket ever holds up the recorder.

A bucket knows no appending: whoever writes an event file there puts the whole object again, with more bytes, under the same name and
another version. So what is new is seen by listing, and read by asking for the bytes from an offset on.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO, TYPE_CHECKING, NamedTuple

from runcast.errors import RuncastError
from runcast.events.discover import PROJECTOR_CONFIG, is_recorded
from runcast.recorder.companions import LONGEST_CONFIG

if TYPE_CHECKING:
    from runcast.objects import Address, Listed, Objects

__all__ = ["Followed", "Follower", "Piece"]

INTERVAL, SLOWEST = 2.0, 30.0
"""Seconds between listings of one folder, at least, and at most where nothing changes…"""

CALM = 30.0
"""… which is when nothing has changed for this many times as long."""

REST = 9.0
"""How many times as long as a listing took the next one of the folder waits, at least."""

RETRY, SLOWEST_RETRY = 2.0, 60.0
"""Seconds until what failed is tried again, doubled each time, and at most."""

FOREVER = 1e6
"""Seconds: longer than what is left of a run."""

HOPELESS = 2
"""Failures in a row at the end of a run, after which a folder that could never be listed is waited for no more."""

AHEAD = 8 << 20
"""Bytes of an object that are read at once, unless a single record is larger."""

MOST_AHEAD = 64 << 20
"""Bytes of all objects that may lie in memory, read and not yet recorded; one piece is always read."""

PROFILES = "plugins/profile"
"""The folder below a writer's that profilers write to."""

TIMEOUT = timedelta(seconds=20)
"""For one request, which is then repeated once or twice."""


class Piece(NamedTuple):
    """Bytes of an object from `start` on, which were read when it was listed with `version`."""

    start: int
    data: bytes
    version: str

    @property
    def stop(self) -> int:
        """Where they end."""
        return self.start + len(self.data)


@dataclass(eq=False)
class Followed:
    """What is known of one object. The attributes may be read by any thread."""

    name: str
    listed: Listed | None = None
    """The object as it was listed last; None while it is not there."""
    looked: bool = False
    """Whether its folder has been listed since it is followed."""
    why: str = ""
    """Why it, or its folder, cannot be read at the moment."""
    piece: Piece | None = None
    wanted: tuple[int, int] | None = None
    given: int = -1
    """The end of what was handed out of the piece."""
    delay: float = RETRY
    due: float = 0.0


@dataclass(eq=False)
class _Folder:
    """A folder that is listed: `deep` with all that is below it, else with what profilers put below it."""

    path: str
    deep: bool
    found: dict[str, Listed] | None = None
    why: str = ""
    due: float = 0.0
    delay: float = RETRY
    changed: float = 0.0
    failed: int = 0
    """How often in a row listing has failed since everything was to be listed once more."""
    listed: float = float("-inf")
    """When the last listing that succeeded began."""
    followed: dict[str, Followed] = field(default_factory=dict)

    def covers(self, name: str) -> bool:
        """Whether a listing of this folder has an object of that name."""
        above = name.rpartition("/")[0]
        within = f"{self.path}/".lstrip("/") + ("" if self.deep else f"{PROFILES}/")
        return above == self.path or above.startswith(within)


class Follower:
    """Follows objects of one bucket; its methods are for one thread, and none of them waits or raises.

    `address` is one in the bucket. With `or_machine`, the machine's own role in its cloud is taken
    where nothing else says who we are. The thread starts with the first folder; after `hurry` it lists each once more.
    """

    def __init__(self, address: Address, *, or_machine: bool = False) -> None:
        self._address = address
        self._or_machine = or_machine
        self._objects: Objects | None = None
        self._changed = threading.Condition()
        self._folders: list[_Folder] = []
        self._followed: dict[str, Followed] = {}
        self._wanted: dict[Followed, None] = {}
        self._configs: dict[str, tuple[str, str]] = {}
        self._ahead = 0
        self._hurried = float("inf")
        self._ended = False
        self._thread: threading.Thread | None = None

    def watch(self, folder: str, *, deep: bool) -> None:
        """List a folder from now on; harmless when it is listed already."""
        with self._changed:
            if any(each.covers(f"{folder}/x".lstrip("/")) and each.deep >= deep for each in self._folders):
                return
            added = _Folder(folder, deep)
            for within in [
                each for each in self._folders if deep and added.covers(f"{each.path}/x".lstrip("/"))
            ]:
                added.followed |= within.followed
                self._folders.remove(within)
            self._folders.append(added)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="follower", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def found(self, folder: str, *, deep: bool) -> list[Listed] | None:
        """Return the logs in a watched folder as they were listed last; None before the first listing."""
        of = _Folder(folder, deep)
        with self._changed:
            found = [each.found for each in self._folders if each.covers(f"{folder}/x".lstrip("/"))]
            if all(each is None for each in found):
                return None
            names = {name: listed for each in found for name, listed in (each or {}).items()}
        return [listed for name, listed in sorted(names.items()) if of.covers(name)]

    def troubles(self) -> list[tuple[str, str]]:
        """Return the folders that cannot be listed now, or that hold what cannot be read, and why."""
        with self._changed:
            found = [(each.path, each.why) for each in self._folders if each.why]
            named = {path for path, _ in found}
            for each in self._followed.values():
                folder = each.name.rpartition("/")[0]
                if each.why and folder not in named:
                    named.add(folder)
                    found.append((folder, each.why))
            return found

    def follow(self, name: str) -> Followed:
        """Return what is known of an object, which is kept up to date from now on."""
        self.watch(name.rpartition("/")[0], deep=False)
        with self._changed:
            followed = self._followed.get(name)
            if followed is None:
                followed = self._followed[name] = Followed(name)
                folder = next(each for each in self._folders if each.covers(name))
                folder.followed[name] = followed
                if folder.found is not None and name in folder.found:
                    followed.listed, followed.looked = folder.found[name], True
                else:
                    folder.due = 0.0
                    self._changed.notify_all()
            return followed

    def config(self, name: str) -> str:
        """Return what a projector's configuration says, which is read when it is listed."""
        return self._configs.get(name, ("", ""))[1]

    def download(self, listed: Listed, target: IO[bytes]) -> None:
        """Copy an object as it was listed; this is for another thread, and waits. Raises `StoreError` and `OSError`."""
        objects = self._opened()
        for start in range(0, listed.size, AHEAD):
            target.write(objects.read(listed.name, start, min(start + AHEAD, listed.size)))

    def take(self, followed: Followed, start: int, cursor: int, stop: int, version: str) -> bytes | None:
        """Return bytes [start, stop) of an object, or fewer but beyond `cursor`; None while they are being read.

        Where nothing lies beyond the cursor, they are those of this version.
        """
        with self._changed:
            piece = followed.piece
            if piece is not None and piece.start <= start:
                enough = piece.stop >= stop and (stop > cursor or piece.version == version)
                if enough or piece.stop > max(followed.given, cursor):
                    followed.given = min(stop, piece.stop)
                    return piece.data[start - piece.start : followed.given - piece.start]
            self._drop(followed)
            followed.wanted = (start, stop)
            self._wanted.setdefault(followed)
            self._changed.notify_all()
            return None

    def release(self, followed: Followed, cursor: int) -> None:
        """Let go of what was read up to `cursor`, where that is all."""
        with self._changed:
            if followed.piece is not None and followed.piece.stop <= cursor:
                self._drop(followed)
                self._changed.notify_all()

    def hurry(self) -> None:
        """List everything once more, at once: nothing that matters is written from now on."""
        with self._changed:
            if self._hurried == float("inf"):
                self._hurried = time.monotonic()
                for folder in self._folders:
                    folder.due, folder.failed, folder.delay = 0.0, 0, RETRY
                for followed in self._wanted:
                    followed.due = 0.0
                self._changed.notify_all()

    @property
    def settled(self) -> bool:
        """Whether everything has been listed since `hurry`, or could never be, and all that is wanted has been read."""
        with self._changed:
            wanted = any(each.listed is not None for each in self._wanted)
            return not wanted and all(
                each.listed >= self._hurried or (each.found is None and each.failed >= HOPELESS)
                for each in self._folders
            )

    def silent(self) -> list[str]:
        """Return the folders that have not been listed since `hurry`."""
        with self._changed:
            return [each.path for each in self._folders if each.listed < self._hurried]

    def end(self) -> None:
        """Follow no more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    # The thread

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._ended:
                    return
                now = time.monotonic()
                folder = min(self._folders, key=lambda each: each.due)
                followed = next((each for each in self._wanted if self._may_read(each, now)), None)
                if folder.due > now and followed is None:
                    due = min([folder.due, *(each.due for each in self._wanted if each.due > now)])
                    self._changed.wait(due - now)
                    continue
            if folder.due <= now:
                self._list(folder)
            elif followed is not None:
                self._read(followed)

    def _list(self, folder: _Folder) -> None:
        began = time.monotonic()
        try:
            found = self._look_into(folder)
        except RuncastError as error:
            self._objects = None  # who we are may be said anew
            with self._changed:
                folder.why = str(error)
                folder.failed += 1
                folder.due = time.monotonic() + folder.delay
                folder.delay = min(2 * folder.delay, SLOWEST_RETRY)
                for followed in folder.followed.values():
                    followed.why = folder.why
            return
        now = time.monotonic()
        with self._changed:
            if found != folder.found:
                folder.changed = now
            calm = min(max(INTERVAL, (now - folder.changed) / CALM), SLOWEST)
            folder.due = now + (FOREVER if began >= self._hurried else max(calm, REST * (now - began)))
            folder.found, folder.why, folder.delay, folder.listed = found, "", RETRY, began
            for name, followed in folder.followed.items():
                listed = found.get(name)
                if listed != followed.listed or not followed.looked:
                    followed.due = 0.0  # whatever was wrong with the object, this is another one
                if followed.wanted is None or listed != followed.listed:
                    followed.why = ""
                followed.listed, followed.looked = listed, True

    def _look_into(self, folder: _Folder) -> dict[str, Listed]:
        objects = self._opened()
        if folder.deep:
            found = list(objects.listed(folder.path))
        else:
            found, below = objects.within(folder.path)
            if "plugins" in below:
                found += objects.listed(f"{folder.path}/{PROFILES}".lstrip("/"))
        kept = {each.name: each for each in found if each.name in folder.followed or _is_log(each.name)}
        for name, each in kept.items():
            if name.endswith(PROJECTOR_CONFIG) and self._configs.get(name, ("", ""))[0] != each.version:
                text = objects.read(name, 0, min(each.size, LONGEST_CONFIG)).decode(errors="replace")
                self._configs[name] = each.version, text
        return kept

    def _read(self, followed: Followed) -> None:
        listed, wanted = followed.listed, followed.wanted
        assert listed is not None
        assert wanted is not None
        start, stop = wanted
        stop = min(max(stop, start + AHEAD), listed.size)
        try:
            data = self._opened().read(followed.name, start, stop)
        except RuncastError as error:
            self._objects = None
            with self._changed:
                followed.why = str(error)
                followed.due = time.monotonic() + followed.delay
                followed.delay = min(2 * followed.delay, SLOWEST_RETRY)
                next(each for each in self._folders if each.covers(followed.name)).due = 0.0
            return
        with self._changed:
            followed.why, followed.delay, followed.wanted = "", RETRY, None
            self._wanted.pop(followed, None)
            followed.piece, followed.given = Piece(start, data, listed.version), -1
            self._ahead += len(data)

    def _may_read(self, followed: Followed, now: float) -> bool:
        room = self._ahead < MOST_AHEAD or not self._ahead
        return room and followed.due <= now and followed.listed is not None

    def _drop(self, followed: Followed) -> None:
        if followed.piece is not None:
            self._ahead -= len(followed.piece.data)
            followed.piece = None

    def _opened(self) -> Objects:
        if self._objects is None:
            self._objects = self._address.opened(timeout=TIMEOUT, or_machine=self._or_machine)
        return self._objects


def _is_log(name: str) -> bool:
    folder, _, last = name.rpartition("/")
    return is_recorded(last, folder or ".")
