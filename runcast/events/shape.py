"""Scalar events of one layout, matched against the tags that are known for it, whole columns at a time.

A *template* is an event's bytes without its wall time, step and value. A row that equals a template in all those bytes decodes as
the event that the template was learned from; only the three numbers differ, and they are read from their places.

What makes it fast: no step of it looks at a single row. Each is a handful of passes along one column of words, which stays in the
processor's cache from one pass to the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runcast.events.framing import FOOTER
from runcast.events.layout import STEP_AT, WALL_TIME_AT
from runcast.events.linear_crc import CONTRIBUTION, mask_column, start_and_end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from runcast.events.layout import Layout

    Rows = NDArray[np.uint8]
    Words = NDArray[np.uint64]
    Templates = NDArray[np.intp]

__all__ = ["Numbers", "Shape", "first_of_each", "row_width"]

_SLOT_BITS = 14
_SHIFT = np.uint64(64 - _SLOT_BITS)

_ALL_BITS = 0xFFFFFFFFFFFFFFFF


def _odd_numbers(count: int) -> list[np.uint64]:
    """Return multipliers that mix bits well: the same ones each time, by the generator SplitMix64."""
    numbers = []
    state = 7
    for _ in range(count):
        state = state + 0x9E3779B97F4A7C15 & _ALL_BITS
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _ALL_BITS
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _ALL_BITS
        numbers.append(np.uint64((mixed ^ mixed >> 31) | 1))
    return numbers


_MULTIPLIERS = _odd_numbers(64)


def row_width(length: int) -> int:
    """Return the bytes of one row: a payload of this length and its checksum, filled up to whole words."""
    return -(-(length + FOOTER) // 8) * 8


class Numbers(NamedTuple):
    """What differs among the events of one tag, each as a column without gaps."""

    wall_time: NDArray[np.float64]
    step: NDArray[np.int64]
    value: NDArray[Any]
    verified: NDArray[np.bool_]


class Shape:
    """The templates of one layout. A row is a payload and its checksum, `row_width` bytes wide (what fills it up is ignored).

    Templates find their place by a hash of the words in which they differ; one whose place is taken is not kept, and belongs
    in another `Shape` of the same layout.
    """

    def __init__(self, layout: Layout, seed: int) -> None:
        self.layout = layout
        constant = np.zeros(row_width(layout.length), np.uint8)
        constant[: layout.length] = 0xFF
        constant[WALL_TIME_AT : WALL_TIME_AT + 8] = 0
        constant[STEP_AT : STEP_AT + layout.step_size] = 0x80  # a varint's continuation bits stay
        if layout.step_size == 10:
            constant[STEP_AT + 9] = 0xFF
        constant[layout.value_at : layout.value_at + int(layout.value_type[2:])] = 0
        if layout.rounded_at:
            constant[layout.rounded_at : layout.rounded_at + 4] = 0
        self._varying = np.flatnonzero(constant[: layout.length] != 0xFF)
        self._constant = constant.view("<u8")
        self._compared = np.flatnonzero(self._constant).tolist()
        self._words: Words = np.empty((len(self._constant), 0), np.uint64)  # a column for each template
        self._base_crc = np.empty(0, np.uint32)
        self._tag = np.empty(0, np.int32)
        self._told_apart_by: list[int] = []
        self._slots = np.empty(0, np.intp)
        self._multipliers = _MULTIPLIERS[seed % 32 :]

    def __len__(self) -> int:
        return len(self._tag)

    def _word(self, rows: Rows, word: int) -> Words:
        """Return one word of each row, with everything blanked that differs among the events of one tag."""
        words: Words = rows.view("<u8")[:, word]
        constant = self._constant[word]
        return words if constant == _ALL_BITS else words & constant

    def learn(self, rows: Rows, tags: Mapping[int, int]) -> list[int]:
        """Learn one template from each of the rows that `tags` names, with its tag; which of them found a place."""
        known, numbers = len(self), list(tags)
        chosen = rows[numbers]
        fresh = [self._word(chosen, word) for word in range(len(self._constant))]
        words = np.concatenate([self._words, fresh], axis=1)
        tag = np.concatenate([self._tag, np.array(list(tags.values()), np.int32)])
        base_crc = np.concatenate([self._base_crc, self._crc_of_constants(chosen)])
        differing = np.flatnonzero((words != words[:, :1]).any(axis=1)).tolist()
        alone = (word for word in differing if len(first_of_each(words[word])) == len(tag))
        self._told_apart_by = next(([word] for word in alone), differing)
        slot = self._slot([(word, words[word]) for word in self._told_apart_by], len(tag))
        placed = first_of_each(slot)
        self._slots = np.full(1 << _SLOT_BITS, -1, np.intp)
        self._slots[slot[placed]] = np.arange(len(placed))
        learned = [numbers[at - known] for at in placed.tolist() if at >= known]
        self._words = np.ascontiguousarray(words[:, placed])
        self._tag, self._base_crc = tag[placed], base_crc[placed]
        return learned

    def match(self, rows: Rows) -> tuple[Templates | None, NDArray[np.bool_] | None]:
        """Return each row's template (None: all have the only one), and which rows really match (None: all of them)."""
        words = rows.view("<u8")
        template: Templates | None = None
        if len(self) > 1:
            apart = [(word, self._word(rows, word)) for word in self._told_apart_by]
            slot = self._slot(apart, len(rows))
            template = self._slots.take(slot)  # an empty slot names the last template: the comparison decides
        differing = np.zeros(len(rows), np.uint64)
        for word in self._compared:
            known = self._words[word]
            different = words[:, word] ^ (known[0] if template is None else known.take(template))
            different &= self._constant[word]
            differing |= different
        if not differing.any():
            return template, None
        return template, differing == 0

    def tags(self, template: Templates | None) -> NDArray[np.int32] | np.int32:
        """Return the tag of each row."""
        tag: NDArray[np.int32] | np.int32 = self._tag[0] if template is None else self._tag.take(template)
        return tag

    def numbers(self, rows: Rows, template: Templates | None) -> Numbers:
        """Read the rows' numbers, and see whether their payloads have the checksums that follow them."""
        wall_time = _column(rows, WALL_TIME_AT, 8)
        value = _column(rows, self.layout.value_at, int(self.layout.value_type[2:]))
        varying = [(WALL_TIME_AT, wall_time, 8), (self.layout.value_at, value, value.itemsize)]
        step = np.zeros(len(rows), np.uint64)
        for part in range(0, self.layout.step_size, 8):
            size = min(8, self.layout.step_size - part)
            encoded = _column(rows, STEP_AT + part, 8)
            varying.append((STEP_AT + part, encoded, size))
            for byte in range(size):  # seven bits of each byte of a varint, the lowest first
                bits = encoded >> np.uint64(8 * byte)
                bits &= np.uint64(0x7F)
                bits <<= np.uint64(7 * (part + byte))
                step |= bits
        if self.layout.rounded_at:
            varying.append((self.layout.rounded_at, _column(rows, self.layout.rounded_at, 4), 4))
        crc = np.full(len(rows), self._base_crc[0]) if template is None else self._base_crc.take(template)
        for at, column, size in varying:
            self._add_to_crc(crc, at, column, size)
        verified = mask_column(crc) == _column(rows, self.layout.length, 4)
        return Numbers(
            wall_time.view("<f8"), step.view(np.int64), value.view(self.layout.value_type), verified
        )

    def _add_to_crc(self, crc: NDArray[np.uint32], at: int, column: NDArray[Any], size: int) -> None:
        """Add what the first `size` bytes of a column, which begins at byte `at`, contribute to the checksums."""
        first = column[0]
        differing = int(np.bitwise_or.reduce(column ^ first))
        octets = column.view(np.uint8).reshape(len(column), -1)
        shared = np.uint32(0)
        for byte in range(size):
            contribution = CONTRIBUTION[self.layout.length - 1 - at - byte]
            if differing >> 8 * byte & 0xFF:
                crc ^= contribution.take(octets[:, byte])
            else:
                shared ^= contribution[octets[0, byte]]
        crc ^= shared

    def _crc_of_constants(self, rows: Rows) -> NDArray[np.uint32]:
        """Return the checksums that the rows' payloads would have if all bytes that vary were zero."""
        constant = rows[:, : self.layout.length].copy()
        constant[:, self._varying] = 0
        following = np.arange(self.layout.length - 1, -1, -1)
        crc: NDArray[np.uint32] = np.bitwise_xor.reduce(CONTRIBUTION[following, constant], axis=1)
        return crc ^ start_and_end(self.layout.length)

    def _slot(self, words: list[tuple[int, Words]], count: int) -> NDArray[np.intp]:
        if not words:
            return np.zeros(count, np.intp)
        slot: NDArray[np.intp] = (self._hash(words) >> _SHIFT).astype(np.intp)
        return slot

    def _hash(self, words: list[tuple[int, Words]]) -> Words:
        """Return a hash for each row of these words, which come with their numbers."""
        hashed = words[0][1] * self._multipliers[words[0][0]]
        for number, word in words[1:]:
            hashed += word * self._multipliers[number]
        if len(words) > 1:
            hashed ^= hashed >> np.uint64(29)
            hashed *= self._multipliers[-1]
        return hashed


def _column(rows: Rows, at: int, size: int) -> NDArray[Any]:
    """Return these bytes of each row as integers, without gaps."""
    column: NDArray[Any] = np.ndarray((len(rows),), f"<u{size}", rows, at, (rows.shape[1],)).copy()
    return column


def first_of_each(values: NDArray[Any]) -> NDArray[np.intp]:
    """Return where each value occurs first, in order; `np.unique` would import `numpy.ma`, which takes longer than a file."""
    by_value = np.argsort(values, kind="stable")
    ordered = values[by_value]
    first = np.ones(len(values), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return np.sort(by_value[first])
