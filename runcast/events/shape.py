"""Scalar events of one layout, matched against the tags that are known for it, whole columns at a time.

A *template* is an event's bytes without its wall time, step and value. A row that equals a template in all those bytes decodes as
the event that the template was learned from; only the three numbers differ, and they are read from their places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

__all__ = ["Shape", "row_width"]

_SLOT_BITS = 14
_SHIFT = np.uint64(64 - _SLOT_BITS)
_MULTIPLIERS = np.random.default_rng(7).integers(1, 2**63, 64, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def row_width(length: int) -> int:
    """Return the bytes of one row: a payload of this length and its checksum, filled up to whole words."""
    return -(-(length + FOOTER) // 8) * 8


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
        self._words: Words = np.empty((0, len(self._constant)), np.uint64)
        self._base_crc = np.empty(0, np.uint32)
        self._tag = np.empty(0, np.int32)
        self._told_apart_by: list[int] = []
        self._slots = np.empty(0, np.int32)
        self._multipliers = np.roll(_MULTIPLIERS, seed)

    def constant_words(self, rows: Rows) -> Words:
        """Return the rows with everything blanked that differs among the events of one tag."""
        words: Words = rows.view("<u8") & self._constant
        return words

    def distinct(self, rows: Rows) -> NDArray[np.intp]:
        """Return the first row of each template among the rows, in order (two templates with one hash count as one)."""
        words = self.constant_words(rows)
        _, firsts = np.unique((words * self._multipliers[: words.shape[1]]).sum(axis=1), return_index=True)
        return np.sort(firsts)

    def learn(self, rows: Rows, tags: Mapping[int, int]) -> list[int]:
        """Learn one template from each of the rows that `tags` names, with its tag; which of them found a place."""
        chosen = rows[list(tags)]
        words = np.concatenate([self._words, self.constant_words(chosen)])
        tag = np.concatenate([self._tag, np.array(list(tags.values()), np.int32)])
        base_crc = np.concatenate([self._base_crc, self._crc_of_constants(chosen)])
        differing = np.flatnonzero((words != words[0]).any(axis=0)).tolist()
        alone = (word for word in differing if len(np.unique(words[:, word])) == len(words))
        self._told_apart_by = next(([word] for word in alone), differing)
        slot = self._slot(words)
        placed = np.sort(np.unique(slot, return_index=True)[1])
        fresh = [list(tags)[at - len(self)] for at in placed.tolist() if at >= len(self)]
        self._slots = np.full(1 << _SLOT_BITS, -1, np.int32)
        self._slots[slot[placed]] = np.arange(len(placed), dtype=np.int32)
        self._words, self._tag, self._base_crc = words[placed], tag[placed], base_crc[placed]
        return fresh

    def __len__(self) -> int:
        return len(self._tag)

    def match(self, rows: Rows) -> tuple[NDArray[np.int32] | None, NDArray[np.bool_] | None]:
        """Return each row's template (None: all have the only one), and which rows really match (None: all of them)."""
        words = self.constant_words(rows)
        if len(self) == 1:
            words ^= self._words[0]
            template = None
        else:
            template = self._slots[self._slot(words)]
            words ^= self._words[template]  # an empty slot names the last template: the comparison decides
        if not words.any():
            return template, None
        matches: NDArray[np.bool_] = np.logical_not(words.any(axis=1))
        return template, matches

    def _slot(self, words: Words) -> NDArray[np.intp]:
        hashed = np.zeros(len(words), np.uint64)
        for word in self._told_apart_by:
            hashed += words[:, word] * self._multipliers[word]
        if len(self._told_apart_by) > 1:
            hashed ^= hashed >> np.uint64(29)
            hashed *= self._multipliers[-1]
        slot: NDArray[np.intp] = (hashed >> _SHIFT).astype(np.intp)
        return slot

    def tags(self, template: NDArray[np.int32] | None) -> NDArray[np.int32] | np.int32:
        """Return the tag of each row."""
        tag: NDArray[np.int32] | np.int32 = self._tag[0] if template is None else self._tag[template]
        return tag

    def wall_times(self, rows: Rows) -> NDArray[np.float64]:
        """Return the rows' wall times."""
        wall_time: NDArray[np.float64] = self._column(rows, "<f8", WALL_TIME_AT)
        return wall_time

    def values(self, rows: Rows) -> NDArray[np.float32] | NDArray[np.float64]:
        """Return the rows' values."""
        value: NDArray[np.float32] | NDArray[np.float64]
        value = self._column(rows, self.layout.value_type, self.layout.value_at)
        return value

    def steps(self, rows: Rows) -> NDArray[np.int64]:
        """Return the rows' steps: seven bits of each byte of a varint, the lowest first."""
        size = self.layout.step_size
        step = np.zeros(len(rows), np.uint64)
        if size:
            encoded = self._column(rows, "<u8", STEP_AT)
            for byte in range(min(size, 8)):
                step |= (encoded & np.uint64(0x7F << (8 * byte))) >> np.uint64(byte)
        for byte in range(8, size):
            step |= (rows[:, STEP_AT + byte].astype(np.uint64) & np.uint64(0x7F)) << np.uint64(7 * byte)
        return step.view(np.int64)

    def verified(self, rows: Rows, template: NDArray[np.int32] | None) -> NDArray[np.bool_]:
        """Say which rows have the checksum that their payload asks for."""
        crc = np.full(len(rows), self._base_crc[0]) if template is None else self._base_crc[template]
        shared = np.uint32(0)
        for at in self._varying.tolist():
            column, contribution = rows[:, at], CONTRIBUTION[self.layout.length - 1 - at]
            if (column == column[0]).all():
                shared ^= contribution[column[0]]
            else:
                crc ^= contribution.take(column)
        crc ^= shared
        matches: NDArray[np.bool_] = mask_column(crc) == self._column(rows, "<u4", self.layout.length)
        return matches

    def _crc_of_constants(self, rows: Rows) -> NDArray[np.uint32]:
        """Return the checksums that the rows' payloads would have if all bytes that vary were zero."""
        constant = rows[:, : self.layout.length].copy()
        constant[:, self._varying] = 0
        following = np.arange(self.layout.length - 1, -1, -1)
        crc: NDArray[np.uint32] = np.bitwise_xor.reduce(CONTRIBUTION[following, constant], axis=1)
        return crc ^ start_and_end(self.layout.length)

    @staticmethod
    def _column(rows: Rows, dtype: str, at: int) -> NDArray[Any]:
        column: NDArray[Any] = np.ndarray((len(rows),), dtype, rows, at, (rows.shape[1],))
        return column
