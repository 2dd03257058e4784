"""Columns that grow at their end, and rows in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Groups", "Table", "grouped"]

_RADIX = 1 << 16
"""NumPy sorts integers of 16 bits by radix, in linear time."""


class Table:
    """Columns of equal length, by name, which grow piece by piece.

    A column's pieces are joined when the whole is asked for, and kept so: one column at a time is in memory twice.
    """

    def __init__(self, dtypes: dict[str, Any]) -> None:
        self._pieces: dict[str, list[NDArray[Any]]] = {
            name: [np.empty(0, dtype)] for name, dtype in dtypes.items()
        }
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, columns: dict[str, NDArray[Any]]) -> None:
        """Add rows."""
        for name, pieces in self._pieces.items():
            pieces.append(columns[name].astype(pieces[0].dtype, copy=False))
        self._length += len(next(iter(columns.values())))

    def __getitem__(self, name: str) -> NDArray[Any]:
        pieces = self._pieces[name]
        if len(pieces) > 1:
            pieces[:] = [np.concatenate(pieces)]
        return pieces[0]

    def replace(self, name: str, column: NDArray[Any]) -> None:
        """Let a column be this array, which holds the same."""
        self._pieces[name] = [column]

    @classmethod
    def joined(cls, tables: list[Table], dtypes: dict[str, Any]) -> Table:
        """Return the rows of several tables, one after the other; those become views of the whole."""
        if len(tables) == 1:
            return tables[0]
        whole = cls(dtypes)
        whole._length = sum(map(len, tables))
        for name, pieces in whole._pieces.items():
            pieces += [table[name] for table in tables]
            column, start = whole[name], 0
            for table in tables:
                table.replace(name, column[start : start + len(table)])
                start += len(table)
        return whole


class Groups(NamedTuple):
    """Rows by group: those of group `g` are `order[start[g]:start[g + 1]]`, in the order that they came."""

    order: NDArray[np.intp]
    start: NDArray[np.intp]

    def rows(self, group: int) -> NDArray[np.intp]:
        """Return the rows of one group."""
        return self.order[self.start[group] : self.start[group + 1]]


def grouped(group: NDArray[np.integer[Any]], groups: int) -> Groups:
    """Sort rows by group; `group` says which each is in, from 0 to `groups` - 1."""
    key = group.astype(np.uint16) if groups <= _RADIX else group
    order = np.argsort(key, kind="stable")
    return Groups(order, np.concatenate([[0], np.cumsum(np.bincount(group, minlength=groups))]))
