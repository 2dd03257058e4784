"""An object of a bucket on its way into the store: a pump whose source is looked at, and read, by a `Follower`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runcast.recorder.delivery import Replaced
from runcast.recorder.pump import Mark, Pump, Step

if TYPE_CHECKING:
    from pathlib import Path

    from runcast.events import Decoder
    from runcast.objects import Listed
    from runcast.recorder.delivery import Appending, Delivery
    from runcast.recorder.follower import Follower
    from runcast.store.protocol import Store

__all__ = ["ObjectPump"]


class ObjectPump(Pump):
    """Carries one object into one file of the run, as `Pump` carries a file.

    Each version that is longer must go on as what is recorded ends: the bytes before the cursor are read with those behind it, in
    one request. A step that has to wait for bytes does nothing.
    """

    def __init__(self, origin: str, path: str, follower: Follower, name: str, *, save: bool) -> None:
        super().__init__(origin, path, save=save)
        self._follower = follower
        self._followed = follower.follow(name)
        self._listed: Listed | None = None
        self._asked: Listed | None = None
        self._last = (0, b"")

    @property
    def caught_up(self) -> bool:
        """Whether the object as it was listed last has been read to its end."""
        listed = self._followed.listed
        return self.state == "replaced" or listed is None or (listed == self._listed and self._rests)

    def step(
        self, store: Store, run: str, decoder: Decoder, now: float, *, final: bool = False
    ) -> Appending[Step]:
        """Record the next piece, if it has been read; see `Pump.step`."""
        step = yield from super().step(store, run, decoder, now, final=final)
        self._follower.release(self._followed, self.recorded)
        if self.recorded >= self._last[0] + len(self._last[1]):
            self._last = (0, b"")
        if self.state == "replaced" or not step.more:
            return step
        return replace(step, more=self._followed.piece is not None)

    def measure(self) -> None:
        """Take the size that was listed last."""
        if self._followed.listed is not None:
            self.size = self._followed.listed.size

    def set_aside(self, folder: Path) -> None:
        """See `Pump.set_aside`; what could not be recorded was read already."""
        start, data = self._last
        left = data[self.recorded - start :]
        if self._is_event_file and left and start + len(data) >= self.size:
            copy = folder / f"{self.path}@{self.recorded}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(left)

    def _look(self, now: float) -> Mark | None:
        if self.state == "replaced":
            return None
        followed = self._followed
        listed = followed.listed
        if followed.why:
            self._rest("unreadable", f"{followed.why}; it is tried again", now)
            return None
        if listed is None:
            if self._mark is not None:
                self._rest("gone", "the object is gone; what was recorded of it is kept", now)
            else:
                there = "the object is not there yet: writers on buckets put it there with their first flush"
                self._rest("waiting", there if followed.looked else "the bucket is being looked at", now)
            return None
        self.size = listed.size
        return Mark(listed.size, int(listed.changed * 1e9), listed.version)

    def _read(self, mark: Mark, delivery: Delivery, now: float) -> bytes | None:  # noqa: ARG002  nothing is retried here
        listed = self._followed.listed
        if listed is None or (self._followed.wanted is not None and self._asked == listed):
            return None  # on its way
        cursor = delivery.cursor
        if mark.size < cursor:
            raise Replaced
        tail = delivery.ends()[1]
        start, stop = cursor - len(tail), min(mark.size, cursor + self._chunk)
        data = b""
        if start < stop:
            self._asked = listed
            read = self._follower.take(self._followed, start, cursor, stop, listed.version)
            if read is None:
                return None
            if not read.startswith(tail):
                raise Replaced
            data = read[len(tail) :]
        self._mark, self._listed, self._last = mark, listed, (cursor, data)
        return data

    def _lost_patience(self, start: int, mark: Mark, now: float, *, final: bool) -> bool:  # noqa: ARG002  the pump's
        """What is put into a bucket is there as a whole: it gets no better until another version is put."""
        return True
