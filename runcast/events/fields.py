"""The fields of many events at once: for tags that hardly repeat, and for events of several values.

Events are taken apart in step with each other, field by field: each event's place in its bytes is an element of an array, and what comes
next there is looked at for all of them in one pass. So it takes no template of the whole event (`scalars.py`), and less than a
microsecond an event. Only the plain form that all writers produce is followed: a wall time, a step, and one value after the other, each of
which is its tag and an *ending*. An ending is what protobuf has decoded behind another tag: equal in every byte but the number's. Whatever
else an event holds, and whatever stands in another order, leaves the whole event to protobuf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runcast.events.checksum import crc32c
from runcast.events.layout import STEP_AT, WALL_TIME_AT, layout_of
from runcast.events.linear_crc import mask_column
from runcast.events.meaning import NotAnEventError, read_event
from runcast.events.wire import sized

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runcast.events.scalars import TagTable

    Places = NDArray[np.intp]

__all__ = ["FEW", "FieldReader", "Values"]

_SHORTEST = 21
"""Bytes of the shortest event that has a wall time and one value with a tag."""

_LONGEST = 4096
"""Bytes of the longest event that is looked at; their sizes take two bytes at most."""

_MARGIN = 16
"""Bytes behind the last event, so that looking at the next field of an event that is cut short stays inside."""

FEW = 8
"""Events below which protobuf is as fast, and is left the reading."""

_TRIES = 4
"""So many endings of one size that are no point, and the rest of that size is left to protobuf."""

_MOST_ENDINGS = 256
"""Endings of one size that are remembered."""

# Keys as they stand in the bytes: field number and wire type.
_WALL_TIME = 0x09
_STEP = 0x10
_SUMMARY = 0x2A
_VALUE = 0x0A
_TAG = 0x0A

_NO_TAG = -1


class Values(NamedTuple):
    """Scalar points, those of one event next to each other; `event` numbers the events that they belong to, in order.

    Events of one value that have the same length, `step_size` and `ending` have the same layout.
    """

    event: NDArray[np.intp]
    tag: NDArray[np.int32]
    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]
    step_size: NDArray[np.intp]
    ending: NDArray[np.intp]

    def at(self, which: NDArray[Any]) -> Values:
        """Return these points."""
        return Values(*(column[which] for column in self))


class _Found(NamedTuple):
    """Values in the bytes: the event that each belongs to, where its tag is, and its number."""

    of: Places
    tag_at: Places
    tag_stop: Places
    ending: NDArray[np.intp]
    number: NDArray[np.float64]

    def at(self, which: NDArray[Any]) -> _Found:
        """Return these values."""
        return _Found(*(column[which] for column in self))


class _TagNumbers(dict[bytes, int]):
    """The number of each tag, by its bytes; `_NO_TAG` for bytes that are no text, in which case protobuf finds no event."""

    def __init__(self, tags: TagTable) -> None:
        self._tags = tags

    def __missing__(self, tag: bytes) -> int:
        try:
            number = self._tags.number(tag.decode())
        except UnicodeDecodeError:
            return _NO_TAG
        self[tag] = number
        return number


class FieldReader:
    """Reads events that are plain scalar values, one or several, and remembers what it learned of tags and endings."""

    def __init__(self, tags: TagTable) -> None:
        self._numbers = _TagNumbers(tags)
        self._endings: dict[int, list[_Ending]] = {}
        self._ending_count = 0

    def read(self, view: memoryview, position: NDArray[np.int64], length: NDArray[np.int64]) -> Values:
        """Return the points of those payloads, at `position` of `view`, that can be read: they are verified, checksum included.

        Positions ascend. Of an event that cannot be read there is no point at all, so `event` says which were read.
        """
        size = np.where((length >= _SHORTEST) & (length <= _LONGEST), length, 0)
        event = np.flatnonzero(size)
        if len(event) < FEW:
            none = np.empty(0, np.intp)
            return Values(
                none, none.astype(np.int32), none.astype(np.int64), np.empty(0), np.empty(0), none, none
            )
        origin, last = int(position[event[0]]), int(position[event[-1]] + length[event[-1]])
        data = bytes(view[origin : last + 4]) + bytes(_MARGIN)
        fields = _Fields(data)
        start = position[event] - origin
        end = start + length[event]
        wall_time = fields.numbers(start + WALL_TIME_AT, "<f8")
        step, step_size, plain = fields.steps(start)
        at = start + STEP_AT - 1 + step_size + (step_size > 0)
        plain &= (fields.octets[start] == _WALL_TIME) & (fields.octets[at] == _SUMMARY)
        summary_size, at = fields.sizes(at + 1)
        plain &= (at + summary_size == end) & (summary_size > 0)
        found = self._values(fields, plain, at, end)
        good = np.flatnonzero(plain)
        plain[good] = fields.verified(start[good], end[good])
        found = found.at(np.argsort(found.of, kind="stable"))  # those of one event stay in their order
        found = found.at(plain[found.of])
        tag_at = zip(found.tag_at.tolist(), found.tag_stop.tolist(), strict=True)
        tag = np.array([self._numbers[data[start:stop]] for start, stop in tag_at], np.int32)
        if (tag == _NO_TAG).any():
            plain[found.of[tag == _NO_TAG]] = False
            kept = plain[found.of]
            found, tag = found.at(kept), tag[kept]
        of = found.of
        return Values(event[of], tag, step[of], wall_time[of], found.number, step_size[of], found.ending)

    def _values(self, fields: _Fields, plain: NDArray[np.bool_], at: Places, end: Places) -> _Found:
        """Return the values of the events that are `plain`; strike out there those that hold anything else."""
        none = np.empty(0, np.intp)
        found = [_Found(none, none, none, none, np.empty(0))]
        of = np.flatnonzero(plain)
        at = at[of]
        while len(of) >= FEW:
            size, inside = fields.sizes(at + 1)
            stop = inside + size
            tag_size, tag_at = fields.sizes(inside + 1)
            tag_stop = tag_at + tag_size
            good = (fields.octets[at] == _VALUE) & (size > 0) & (stop <= end[of])
            good &= (fields.octets[inside] == _TAG) & (tag_size > 0) & (tag_stop < stop)
            if not good.all():
                plain[of[~good]] = False
                of, stop, tag_at, tag_stop = of[good], stop[good], tag_at[good], tag_stop[good]
            ending, number = self._read_endings(fields, tag_stop, stop)
            values = _Found(of, tag_at, tag_stop, ending, number)
            good = ending >= 0
            if not good.all():
                plain[of[~good]] = False
                values, stop = values.at(good), stop[good]
            found.append(values)
            more = stop < end[values.of]
            of, at = values.of[more], stop[more]
        plain[of] = False
        return _Found(
            np.concatenate([values.of for values in found]),
            np.concatenate([values.tag_at for values in found]),
            np.concatenate([values.tag_stop for values in found]),
            np.concatenate([values.ending for values in found]),
            np.concatenate([values.number for values in found]),
        )

    def _read_endings(
        self, fields: _Fields, at: Places, stop: Places
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return which ending each is (-1 for one that is not known, nor could be learned now), and the number in it."""
        which, number = np.full(len(at), -1), np.zeros(len(at))
        sizes = stop - at
        for size in np.flatnonzero(np.bincount(sizes)).tolist():
            of = np.flatnonzero(sizes == size)
            rows = fields.rows(at[of], size)
            endings = self._endings.setdefault(size, [])
            for known in endings:
                of, rows = known.take(of, rows, which, number)
            tries = _TRIES
            while tries and len(of) and len(endings) < _MOST_ENDINGS:
                learned = _ending(rows[0].tobytes(), self._ending_count)
                if learned is None:
                    of, rows = of[1:], rows[1:]
                    tries -= 1
                else:
                    endings.append(learned)
                    self._ending_count += 1
                    of, rows = learned.take(of, rows, which, number)
        return which, number


class _Fields:
    """Looks at many places of some bytes at once; `_MARGIN` bytes follow the last event's checksum."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.octets = np.frombuffer(data, np.uint8)

    def rows(self, at: Places, size: int) -> NDArray[np.uint8]:
        """Return this many bytes from each place on, as rows."""
        overlapping = np.ndarray((len(self._data) - size + 1,), f"V{size}", self._data, 0, (1,))
        rows: NDArray[np.uint8] = overlapping[at].view(np.uint8).reshape(len(at), size)
        return rows

    def numbers(self, at: Places, kind: str) -> NDArray[Any]:
        """Return the fixed-size number at each place."""
        return self.rows(at, int(kind[2:])).view(kind)[:, 0]

    def sizes(self, at: Places) -> tuple[Places, Places]:
        """Return the size, a varint, at each place, and where it ends; -1 for one of more than two bytes."""
        low = self.octets[at].astype(np.intp)
        longer = low > 0x7F
        if not longer.any():
            return low, at + 1
        high = self.octets[at + 1].astype(np.intp)
        size = np.where(longer, low & 0x7F | high << 7, low)
        size[longer & (high > 0x7F)] = -1
        return size, at + 1 + longer

    def steps(self, start: Places) -> tuple[NDArray[np.int64], Places, NDArray[np.bool_]]:
        """Return each event's step, its size in bytes (0 for both where there is none), and whether it is a valid number."""
        more = self.octets[start + STEP_AT - 1] == _STEP
        valid = np.ones(len(start), np.bool_)
        size = np.zeros(len(start), np.intp)
        step = np.zeros(len(start), np.uint64)
        for byte in range(10):
            if not more.any():
                break
            octet = np.where(more, self.octets[start + STEP_AT + byte], 0)
            step |= (octet & 0x7F).astype(np.uint64) << np.uint64(7 * byte)
            size += more
            more = octet > 0x7F
            if byte == 9:  # which has but one bit of the step
                valid = octet < 2
        return step.view(np.int64), size, valid

    def verified(self, start: Places, end: Places) -> NDArray[np.bool_]:
        """Say which payloads have the checksums that follow them."""
        data = self._data
        of_payloads = [
            crc32c(data[first:last]) for first, last in zip(start.tolist(), end.tolist(), strict=True)
        ]
        verified: NDArray[np.bool_] = mask_column(np.array(of_payloads, np.uint32)) == self.numbers(
            end, "<u4"
        )
        return verified


class _Ending(NamedTuple):
    """What stands behind the tag in a value that is a scalar point: these bytes where `constant` is set, and its number."""

    serial: int
    octets: NDArray[np.uint8]
    constant: NDArray[np.bool_]
    number_at: int
    number_type: str

    def take(
        self, of: Places, rows: NDArray[np.uint8], which: NDArray[np.intp], number: NDArray[np.float64]
    ) -> tuple[Places, NDArray[np.uint8]]:
        """Read the rows that have this ending into the elements `of` of the arrays, and return the others."""
        same = ((rows == self.octets) | ~self.constant).all(axis=1)
        taken = of[same]
        column = rows[same, self.number_at : self.number_at + int(self.number_type[2:])]
        with np.errstate(invalid="ignore"):  # NumPy warns of a signaling NaN that is widened
            number[taken] = np.ascontiguousarray(column).view(self.number_type)[:, 0]
        which[taken] = self.serial
        return of[~same], rows[~same]


def _ending(octets: bytes, serial: int) -> _Ending | None:
    """Return what protobuf makes of an event whose only value ends like this; None unless it is one point."""
    value = b"\x0a\x01x" + octets
    summary = bytes([_VALUE]) + sized(value)
    payload = bytes([_WALL_TIME]) + bytes(8) + bytes([_SUMMARY]) + sized(summary)
    layout = layout_of(payload)
    if layout is None:
        return None
    try:
        meaning = read_event(payload)
    except NotAnEventError:
        return None
    if [tag for tag, _ in meaning.points] != ["x"] or meaning.summaries:
        return None
    ending_at = layout.length - len(octets)
    constant = np.ones(len(octets), np.bool_)
    number_at = layout.value_at - ending_at
    constant[number_at : number_at + int(layout.value_type[2:])] = False
    if layout.rounded_at:
        rounded_at = layout.rounded_at - ending_at
        constant[rounded_at : rounded_at + 4] = False
    return _Ending(serial, np.frombuffer(octets, np.uint8), constant, number_at, layout.value_type)
