"""What a run's series hold, as columns, tables and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runcast.errors import TagNotFound
from runcast.logdir.choice import near
from runcast.logdir.tables import Long, wide_arrow, wide_pandas

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow as pa

    from runcast.logdir.series import Series
    from runcast.store.protocol import SeriesRecord

__all__ = ["History", "label_of"]


class History(Mapping[str, "Series"]):
    """Series by tag, `history["loss"]`, or by source and tag where several sources have the tag: `history["train/loss"]`.

    All of them are `history.series`; the tables are those of `runcast.read`.
    """

    def __init__(self, series: Sequence[Series]) -> None:
        self.series = list(series)
        by_tag: dict[str, list[Series]] = {}
        for each in self.series:
            by_tag.setdefault(each.tag, []).append(each)
        self._by_key = {
            tag if len(same) == 1 else f"{each.source}/{tag}": each
            for tag, same in by_tag.items()
            for each in same
        }

    def __getitem__(self, key: str) -> Series:
        found = self._by_key.get(key)
        if found is None:
            found = next((each for each in self.series if f"{each.source}/{each.tag}" == key), None)
        if found is None:
            raise TagNotFound(f"there is no series {key!r} in this history{near(key, self._by_key)}")
        return found

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def to_pandas(self, *, wide: bool = False) -> pd.DataFrame:
        """Return a data frame: columns source, tag, step, wall_time, value, a row a point; `wide`: a column a tag, indexed by source and step.

        Raises `MissingPackage` without pandas.
        """
        return wide_pandas(self._long()) if wide else self._long().to_pandas()

    def to_arrow(self, *, wide: bool = False) -> pa.Table:
        """Return what `to_pandas` does as an Arrow table; source and step are columns of the wide form too."""
        return wide_arrow(self._long()) if wide else self._long().to_arrow()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every step of each source: `source`, `step`, and the values of its tags."""
        sources = sorted({each.source for each in self.series})
        for source in sources:
            by_step: dict[int, dict[str, Any]] = {}
            for each in self.series:
                if each.source == source:
                    for step, value in zip(each.step.tolist(), each.value.tolist(), strict=True):
                        by_step.setdefault(step, {"source": source, "step": step})[each.tag] = value
            for step in sorted(by_step):
                yield by_step[step]

    def __repr__(self) -> str:
        return f"<History: {', '.join(self) or 'empty'}>"

    def _long(self) -> Long:
        import numpy as np

        sources = sorted({each.source for each in self.series})
        tags = sorted({each.tag for each in self.series})
        ordered = sorted(self.series, key=lambda each: (each.source, each.tag))
        counts = [len(each) for each in ordered]

        def joined(columns: list[Any], dtype: Any) -> Any:
            return np.concatenate([np.empty(0, dtype), *columns])

        return Long(
            sources,
            tags,
            np.repeat(np.array([sources.index(each.source) for each in ordered], np.int32), counts),
            np.repeat(np.array([tags.index(each.tag) for each in ordered], np.int32), counts),
            joined([each.step for each in ordered], np.int64),
            joined([each.wall_time for each in ordered], np.float64),
            joined([each.value for each in ordered], np.float64),
        )


def label_of(series: Sequence[SeriesRecord]) -> dict[tuple[str, str], str]:
    """Return what each (root, source) is called: the source, after its root where several roots have it."""
    places = {(each.root, each.source) for each in series}
    by_source: dict[str, set[str]] = {}
    for root, source in places:
        by_source.setdefault(source, set()).add(root)
    return {
        (root, source): source if len(by_source[source]) == 1 else f"{root}/{source}"
        for root, source in places
    }
