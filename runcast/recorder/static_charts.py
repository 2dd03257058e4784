"""What the static form's picture shows: which charts, in which order, whose lines, how smoothed. No drawing here."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.run.record import OWN_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from runcast.store.protocol import Points, SeriesRecord

    Source = tuple[str, str]

__all__ = [
    "SMOOTHING",
    "WIDTH",
    "Chart",
    "Line",
    "Picture",
    "compose",
    "drawing_order",
    "is_system",
    "source_labels",
]

WIDTH = 900
"""The picture's width in CSS pixels."""

SMOOTHING = 0.6
"""TensorBoard's default weight."""

_MOST_CHARTS = 12
_MOST_SOURCES = 10


@dataclass(frozen=True, slots=True)
class Line:
    """One series in one chart; `source` indexes the picture's sources. Values that are not finite are NaN."""

    source: int
    step: NDArray[np.float64]
    raw: NDArray[np.float64]
    smooth: NDArray[np.float64]
    last: float


@dataclass(frozen=True, slots=True)
class Chart:
    """All lines of one tag; `group` is the tag's text before its first slash, empty where it has none."""

    group: str
    tag: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Labels of the sources in the order of their colours, the charts in order, and how many of each are left out."""

    sources: tuple[str, ...]
    charts: tuple[Chart, ...]
    more_sources: int = 0
    more_charts: int = 0


def compose(series: Sequence[SeriesRecord], points: Mapping[int, Points]) -> Picture:
    """Return the picture of these scalar series, which are in `drawing_order`; `points` has the columns of each, by id.

    The run's system metrics are in it only if there is nothing else.
    """
    shown = [one for one in series if not is_system(one)] or list(series)
    weight = Counter((one.root, one.source) for one in shown)
    # Where there are too many, those that have the most to show.
    kept = {source for source, _ in weight.most_common(_MOST_SOURCES)}
    # A source keeps its colour from the first point to the last form: the ids of its series grow as they come.
    arrival = {(one.root, one.source): one.id for one in sorted(shown, key=lambda one: -one.id)}
    place = {source: index for index, source in enumerate(sorted(kept, key=arrival.__getitem__))}
    labels = source_labels(weight)
    tags: dict[str, list[SeriesRecord]] = {}
    for one in shown:
        if (one.root, one.source) in place:
            tags.setdefault(one.tag, []).append(one)
    ordered = sorted(tags, key=lambda tag: (_natural(_group(tag)), _natural(tag)))
    charts = []
    for tag in ordered[:_MOST_CHARTS]:
        lines = [_line(place[one.root, one.source], points[one.id], one.last) for one in tags[tag]]
        charts.append(Chart(_group(tag), tag, tuple(sorted(lines, key=lambda line: line.source))))
    return Picture(
        tuple(labels[source] for source in place),
        tuple(charts),
        len(weight) - len(place),
        len({one.tag for one in shown}) - len(charts),
    )


def drawing_order(series: SeriesRecord) -> tuple[Any, ...]:
    """Return a sort key: first the user's series, then those of run.log, then system metrics, and layer 10 after layer 9."""
    names = (_natural(series.root), _natural(series.source), _natural(series.tag))
    return (is_system(series), series.root == OWN_ROOT, *names)


def is_system(series: SeriesRecord) -> bool:
    """Say whether the run itself measured this: CPU, memory, GPU."""
    return series.root == OWN_ROOT and series.source == "system"


def source_labels(sources: Iterable[Source]) -> dict[Source, str]:
    """Return short labels that tell the sources apart: paths without the leading folders that all of them share.

    A source that is itself the shared folder keeps that folder's name. The panel names them by the same rule.
    """
    sources = list(sources)
    paths = {source: _path(*source) for source in sources if source[0] != OWN_ROOT}
    shared = 0
    for folders in zip(*paths.values(), strict=False):
        if len(set(folders)) > 1:
            break
        shared += 1
    labels = {}
    for source in sources:
        if source in paths:
            path = paths[source]
            labels[source] = "/".join(path[shared:] or path[-1:]) or "."
        else:
            labels[source] = "run.log" if source[1] == "log" else source[1]
    return labels


def _path(root: str, source: str) -> list[str]:
    folders = [folder for folder in source.split("/") if folder not in ("", ".")]
    return folders if root in ("cwd", "abs") else [root, *folders]


def _group(tag: str) -> str:
    group, slash, _ = tag.partition("/")
    return group if slash else ""


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts layer 10 after layer 9."""
    parts = re.split(r"([0-9]+)", text.casefold()[:500])
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _line(source: int, points: Points, last: float) -> Line:
    value = np.where(np.isfinite(points.value), points.value, np.nan)
    return Line(source, points.step.astype(np.float64), value, _smooth(value), last)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return TensorBoard's smoothing: a moving average that starts at zero and is corrected for that start.

    NaN passes through and leaves the average alone; a series that has been constant so far is left exactly as it is.
    """
    smoothed = []
    average, correction, constant = 0.0, 1.0, True
    first = None
    for value in values.tolist():
        if value != value:  # noqa: PLR0124  NaN
            smoothed.append(value)
            continue
        first = value if first is None else first
        constant = constant and value == first
        average = average * SMOOTHING + (1 - SMOOTHING) * value
        correction *= SMOOTHING
        smoothed.append(value if constant else average / (1 - correction))
    return np.array(smoothed, np.float64)
