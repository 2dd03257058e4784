"""All scalars of some logs as one table, long or wide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.logdir.packages import pandas, pyarrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from runcast.logdir.source import Source

__all__ = ["Long", "long_form", "wide_arrow", "wide_pandas"]


@dataclass(frozen=True)
class Long:
    """One row a point: `source[i]` indexes `sources`, `tag[i]` indexes `tags`; sorted by source, tag and order of logging."""

    sources: list[str]
    tags: list[str]
    source: NDArray[np.int32]
    tag: NDArray[np.int32]
    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]

    def to_pandas(self) -> pd.DataFrame:
        """Return it as a data frame; source and tag are categories."""
        pd = pandas()
        return pd.DataFrame(
            {
                "source": pd.Categorical.from_codes(self.source, self.sources),
                "tag": pd.Categorical.from_codes(self.tag, self.tags),
                "step": self.step,
                "wall_time": self.wall_time,
                "value": self.value,
            }
        )

    def to_arrow(self) -> pa.Table:
        """Return it as an Arrow table; source and tag are dictionaries."""
        pa = pyarrow()
        return pa.table(
            {
                "source": pa.DictionaryArray.from_arrays(self.source, pa.array(self.sources, pa.string())),
                "tag": pa.DictionaryArray.from_arrays(self.tag, pa.array(self.tags, pa.string())),
                "step": self.step,
                "wall_time": self.wall_time,
                "value": self.value,
            }
        )


def long_form(wanted: Sequence[tuple[Source, list[str]]], *, superseded: bool) -> Long:
    """Return the points of the wanted tags of each source."""
    tags = sorted({tag for _, of_source in wanted for tag in of_source})
    number = {tag: at for at, tag in enumerate(tags)}
    parts: dict[str, list[NDArray[Any]]] = {
        "source": [np.empty(0, np.int32)],
        "tag": [np.empty(0, np.int32)],
        "step": [np.empty(0, np.int64)],
        "wall_time": [np.empty(0, np.float64)],
        "value": [np.empty(0, np.float64)],
    }
    for at, (source, of_source) in enumerate(wanted):
        rows = [source.point_rows(tag, superseded=superseded) for tag in sorted(of_source)]
        if not rows:
            continue
        counts = [len(each) for each in rows]
        numbers = np.array([number[tag] for tag in sorted(of_source)], np.int32)
        every = np.concatenate(rows)
        parts["source"].append(np.full(len(every), at, np.int32))
        parts["tag"].append(np.repeat(numbers, counts))
        for name in ("step", "wall_time", "value"):
            parts[name].append(source.columns(name)[every])
    columns = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    return Long([source.name for source, _ in wanted], tags, **columns)


@dataclass(frozen=True)
class _Wide:
    source: NDArray[np.int32]
    step: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]


def _widened(long: Long) -> _Wide:
    """Return one row a source and step, and a column a tag, NaN where nothing was logged; a step occurs once in a series."""
    in_order = np.lexsort((long.step, long.source))
    source, step = long.source[in_order], long.step[in_order]
    begins = np.ones(len(step), np.bool_)
    begins[1:] = (step[1:] != step[:-1]) | (source[1:] != source[:-1])
    row = np.empty(len(step), np.intp)
    row[in_order] = np.cumsum(begins) - 1
    columns = {}
    of_tag = np.argsort(long.tag, kind="stable")
    ends = np.cumsum(np.bincount(long.tag, minlength=len(long.tags)))
    for tag, mine in zip(long.tags, np.split(of_tag, ends[:-1]), strict=True) if long.tags else ():
        column = np.full(int(begins.sum()), np.nan)
        column[row[mine]] = long.value[mine]
        columns[tag] = column
    return _Wide(source[begins], step[begins], columns)


def wide_pandas(long: Long) -> pd.DataFrame:
    """Return a data frame with a row for each (source, step), its index, and a column for each tag."""
    pd = pandas()
    wide = _widened(long)
    index = pd.MultiIndex.from_arrays(
        [pd.Categorical.from_codes(wide.source, long.sources), wide.step], names=["source", "step"]
    )
    return pd.DataFrame(wide.columns, index=index)


def wide_arrow(long: Long) -> pa.Table:
    """Return an Arrow table with the columns source and step, and one for each tag, null where nothing was logged."""
    pa = pyarrow()
    wide = _widened(long)
    sources = pa.DictionaryArray.from_arrays(wide.source, pa.array(long.sources, pa.string()))
    names = ["source", "step", *wide.columns]
    return pa.Table.from_arrays(
        [sources, pa.array(wide.step), *map(pa.array, wide.columns.values())], names=names
    )
