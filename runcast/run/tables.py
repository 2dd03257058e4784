"""`runcast.Table`: rows that TensorBoard shows as a Markdown table, and that the run keeps without loss."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from runcast.errors import SettingsError
from runcast.events.media import text_value
from runcast.run.media import Filed, Media, media_of
from runcast.run.plain import plain

__all__ = ["Table"]

SHOWN_ROWS = 100
SHOWN_LETTERS = 200


class Table(Filed):
    """Rows of values under named columns.

    `data` is a list of rows, an array, or a data frame (pandas, polars), which brings its columns' names. Cells may be
    anything; images, histograms and sounds are kept as such, what JSON does not know as text. `add_data` adds a row: log the table again,
    or when it is complete, for what is logged is what it holds at that moment.
    """

    folder, suffix = "tables", ".json"

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        **others: Any,
    ) -> None:
        if unknown := others.keys() - {
            "dtype",
            "optional",
            "allow_mixed_types",
            "log_mode",
        }:  # W&B's, of no use here
            raise SettingsError(f"Table() knows no {', '.join(sorted(unknown))}")
        data = next((each for each in (data, rows, dataframe) if each is not None), ())
        named = [str(name) for name in columns] if columns is not None else None
        if hasattr(data, "columns"):
            found = [str(name) for name in data.columns]
            listed = (
                data.itertuples(index=False, name=None) if hasattr(data, "itertuples") else data.iter_rows()
            )
        else:
            listed = data.tolist() if hasattr(data, "tolist") else data
            found = []
        self.data: list[list[Any]] = []
        self.columns = named or found
        for row in listed:
            self._add(row)
        if not self.columns:
            width = len(self.data[0]) if self.data else 0
            self.columns = [str(number) for number in range(1, width + 1)] or ["Input", "Output", "Expected"]

    def add_data(self, *values: Any) -> None:
        """Add a row. Raises `SettingsError` when it has not one value a column."""
        self._add(values)

    def add_column(self, name: str, data: Iterable[Any]) -> None:
        """Add a column. Raises `SettingsError` when it has not one value a row."""
        values = list(data)
        if self.data and len(values) != len(self.data):
            raise SettingsError(
                f"the column {name!r} has {len(values)} values; the table has {len(self.data)} rows"
            )
        if not self.data:
            self.data, self.columns = [[] for _ in values], []
        self.columns.append(str(name))
        for row, value in zip(self.data, values, strict=True):
            row.append(value)

    def get_column(self, name: str) -> list[Any]:
        """Return the values of a column. Raises `SettingsError` for one that is not there."""
        if name not in self.columns:
            raise SettingsError(f"the table has no column {name!r}; it has: {', '.join(self.columns)}")
        at = self.columns.index(name)
        return [row[at] for row in self.data]

    def encoded(self, tag: str, kept_as: str = "") -> list[bytes]:
        return [text_value(tag, self._markdown(kept_as))]

    def as_json(self) -> dict[str, Any]:
        return {"columns": self.columns, "data": [[_cell(value) for value in row] for row in self.data]}

    def dump(self) -> bytes:
        return json.dumps(self.as_json(), separators=(",", ":"), allow_nan=False).encode()

    def _add(self, row: Any) -> None:
        values = list(row) if isinstance(row, (Sequence, Iterable)) and not isinstance(row, str) else [row]
        width = len(self.columns) or (len(self.data[0]) if self.data else len(values))
        if len(values) != width:
            raise SettingsError(f"a row of {len(values)} values does not fit a table of {width} columns")
        self.data.append(values)

    def _markdown(self, kept_as: str) -> str:
        lines = [_row(self.columns), _row(["---"] * len(self.columns))]
        lines += [_row(row) for row in self.data[:SHOWN_ROWS]]
        if len(self.data) > SHOWN_ROWS:
            where = f"; all of them are in `{kept_as}`" if kept_as else ""
            lines += ["", f"The first {SHOWN_ROWS} of {len(self.data)} rows{where}."]
        return "\n".join(lines)


def _row(values: Iterable[Any]) -> str:
    return f"| {' | '.join(map(_shown, values))} |"


def _shown(value: Any) -> str:
    if isinstance(value, Media):
        text = f"({type(value).__name__.lower()}{f': {value.caption}' if value.caption else ''})"
    else:
        text = f"{value:.6g}" if isinstance(value, float) else str(plain(value))
    text = " ".join(text.split())
    text = text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}…"
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _cell(value: Any) -> Any:
    if not isinstance(value, (Media, str, Sequence)) and hasattr(value, "save"):  # a PIL image
        value = media_of(value) or value
    return value.as_json() if isinstance(value, Media) else _strict(plain(value))


def _strict(value: Any) -> Any:
    """Return a JSON value with what is no number as a text, which is what all our JSON does."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_strict(each) for each in value]
    return value
