"""Scalar events one at a time: what a file that grows by a few records is read with.

The events of one tag are the same bytes but for wall time, step, value and checksum. So what protobuf said about one is remembered,
with the place of each of the three numbers, and an event that has the same other bytes is read with one `struct` call. It is only
remembered what was decoded, and compared is every byte: the answer is protobuf's. That takes a microsecond where protobuf, with
the Python around it, takes eight; reading by columns (`scalars.py`) takes a tenth of one, but the first record costs it a hundred.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runcast.events.checksum import masked_crc32c
from runcast.events.framing import FOOTER, HEADER, OVERHEAD
from runcast.events.layout import WALL_TIME_AT, layout_of
from runcast.events.scalars import Columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from runcast.events.layout import Layout

__all__ = ["LONGEST", "Points", "SingleReader"]

LONGEST = 512
"""Bytes of the longest record that is remembered: what is longer is no plain scalar."""

_PREFIX = HEADER + WALL_TIME_AT
"""Bytes from a record's first up to its wall time: the length, its checksum, and the key of the first field."""


class Points:
    """Scalar points in file order, as columns that grow.

    `records` are offset and length (framing included) of each record that they came from, one after the other. A record may hold
    several points.
    """

    __slots__ = ("records", "step", "tag", "value", "wall_time")

    def __init__(self) -> None:
        self.tag: list[int] = []
        self.step: list[int] = []
        self.wall_time: list[float] = []
        self.value: list[float] = []
        self.records: list[int] = []

    def columns(self, tag: list[int] | None = None) -> Columns:
        """Return the points as arrays; `tag` gives them other numbers for their tags."""
        return Columns(
            np.array(self.tag if tag is None else tag, np.int32),
            np.array(self.step, np.int64),
            np.array(self.wall_time, np.float64),
            np.array(self.value, np.float64),
        )

    def spans(self) -> NDArray[np.int64]:
        """Return offset and length of each record."""
        return np.array(self.records, np.int64).reshape(-1, 2)


class _Form(NamedTuple):
    """The events of one layout: how they are taken apart, and the tag that belongs to each sequence of constant bytes.

    `unpack` gives wall time, step with its key, constant bytes, constant bytes, value, constant bytes and checksum. In the step,
    read as one integer, the bits of `fixed` have to be `as_fixed`: its key, and the continuation bits, which fix its size.
    """

    layout: Layout
    unpack: Callable[[bytes, int], tuple[float, bytes, bytes, bytes, float, bytes, int]]
    fixed: int
    as_fixed: int
    tags: dict[bytes, int]


class SingleReader:
    """Reads single scalar events that it was shown the like of."""

    def __init__(self) -> None:
        self._forms: dict[bytes, list[_Form]] = {}
        self.templates = 0

    def read(self, data: bytes, start: int, origin: int, points: Points) -> int:
        """Add to `points` the known, whole and verified records that follow each other from `start` on; where they end.

        `origin` is the offset in the file at which `data` begins.
        """
        at = start
        while forms := self._forms.get(
            data[at : at + _PREFIX]
        ):  # so the header is valid, its checksum included
            end = at + OVERHEAD + forms[0].layout.length
            if end > len(data):
                return at
            for form in forms:
                wall_time, step, head, between, value, tail, crc = form.unpack(data, at + _PREFIX)
                tag = form.tags.get(head + between + tail)
                encoded = int.from_bytes(step, "little")
                if tag is not None and encoded & form.fixed == form.as_fixed:
                    break
            else:
                return at
            if masked_crc32c(data[at + HEADER : end - FOOTER]) != crc:
                return at
            points.tag.append(tag)
            points.step.append(_step(encoded))
            points.wall_time.append(wall_time)
            points.value.append(value)
            points.records += (origin + at, end - at)
            at = end
        return at

    def learn(self, record: bytes, tag: int) -> None:
        """Remember a record, which has been verified and decoded as nothing but one point of the tag with this number."""
        layout = layout_of(record[HEADER:-FOOTER]) if len(record) <= LONGEST else None
        if layout is None:
            return
        forms = self._forms.setdefault(record[:_PREFIX], [])
        form = next((form for form in forms if form.layout == layout), None)
        if form is None:
            form = _form(layout)
            forms.append(form)
        _, _, head, between, _, tail, _ = form.unpack(record, _PREFIX)
        form.tags[head + between + tail] = tag
        self.templates += 1


def _form(layout: Layout) -> _Form:
    value_size = int(layout.value_type[2:])
    step_field = layout.step_size and 1 + layout.step_size
    head_at = WALL_TIME_AT + 8 + step_field
    between_at = layout.rounded_at + 4 if layout.rounded_at else layout.value_at
    head = (layout.rounded_at or layout.value_at) - head_at
    rounded = 4 if layout.rounded_at else 0
    between, tail = layout.value_at - between_at, layout.length - layout.value_at - value_size
    value = "f" if value_size == 4 else "d"
    parts = struct.Struct(f"<d{step_field}s{head}s{rounded}x{between}s{value}{tail}sI")
    fixed = as_fixed = b""
    if layout.step_size == 10:  # the tenth byte has but one bit of the step: the sign
        fixed, as_fixed = b"\xff" + b"\x80" * 9 + b"\xff", b"\x10" + b"\x80" * 9 + b"\x01"
    elif layout.step_size:
        fixed = b"\xff" + b"\x80" * layout.step_size
        as_fixed = b"\x10" + b"\x80" * (layout.step_size - 1) + b"\x00"
    return _Form(
        layout, parts.unpack_from, int.from_bytes(fixed, "little"), int.from_bytes(as_fixed, "little"), {}
    )


def _step(encoded: int) -> int:
    """Return the step of a field (key and varint, as one little-endian integer): seven bits of each byte, the lowest first."""
    if encoded < 1 << 40:
        return (
            encoded >> 8 & 0x7F
            | encoded >> 9 & 0x7F << 7
            | encoded >> 10 & 0x7F << 14
            | encoded >> 11 & 0x7F << 21
        )
    step = 0
    for byte in range(10):
        step |= (encoded >> 8 * (byte + 1) & 0x7F) << 7 * byte
    return step - (1 << 64) if step >> 63 else step
