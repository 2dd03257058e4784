"""The static form's picture: charts laid out by hand, in CSS pixels.

matplotlib's own axes would take most of the time that a cell's end can spare, so these charts are lines and text on a sheet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.recorder.static_charts import SMOOTHING, WIDTH
from runcast.recorder.static_numbers import format_duration, format_tick, format_value, ticks
from runcast.recorder.static_sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runcast.recorder.static_charts import Chart, Line, Picture
    from runcast.run.record import RunRecord

__all__ = ["COLOURS", "paint", "warm_fonts"]

COLOURS = (
    "#2a6fdb", "#e36a0d", "#129a74", "#c03a96", "#7754e0", "#b38600", "#0b8fab", "#d4403a", "#6b7b2b", "#68778d",
)  # fmt: skip
"""The sources' colours, in order: the panel's on a light page."""

_INK, _MUTED, _GRID, _AXIS = "#1b2430", "#68758a", "#e9edf2", "#c9d1dc"
_STATES = {"finished": "#129a74", "failed": "#d4403a", "crashed": "#d4403a"}

_MARGIN, _GAP = 22, 26
_PLOT_HEIGHTS = {1: 220, 2: 160, 3: 120}
_TITLE, _X_LABELS, _ROW_GAP, _HEADING = 24, 20, 18, 24
_MOST_LABELS = 4
"""A chart with more lines than this has no values at their ends."""


def paint(run: RunRecord, picture: Picture, *, points: int, seconds: float, state: str) -> bytes:
    """Return the picture as PNG. `points`, `seconds` and `state`, in words, are the run's, for the line under its name."""
    columns = {1: 1, 2: 2, 4: 2}.get(len(picture.charts), 3)
    # Three columns of which groups of two would fill no more than two are two.
    columns = max((len(row) for row in _rows(picture.charts, columns)), default=1)
    plot_height = _PLOT_HEIGHTS[columns]
    width = (WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) / columns
    sheet = Sheet()
    top = _header(sheet, run, picture, points, seconds, state)
    group = ""
    for row in _rows(picture.charts, columns):
        headings = {}
        for column, chart in row:
            if chart.group != group:
                headings[column] = group = chart.group
        for column, heading in headings.items():
            text = sheet.fit(heading, width, 12, bold=True)
            sheet.text(_MARGIN + column * (width + _GAP), top + 14, text, 12, _INK, bold=True)
        top += _HEADING if headings else 0
        for column, chart in row:
            _chart(sheet, chart, _MARGIN + column * (width + _GAP), top, width, plot_height)
        top += _TITLE + plot_height + _X_LABELS + _ROW_GAP
    note = "No scalars yet"
    if picture.charts:
        note = f"{picture.more_charts:,} more charts are in the run" if picture.more_charts else ""
    if note:
        sheet.text(_MARGIN, top + 6, note, 10.5, _MUTED)
        top += 18
    return sheet.png(top + 6)


def _rows(charts: Sequence[Chart], columns: int) -> list[list[tuple[int, Chart]]]:
    """Place charts in rows: a group starts a new row unless all of it fits in what is left of the last one."""
    rows: list[list[tuple[int, Chart]]] = []
    column = columns
    for index, chart in enumerate(charts):
        if index == 0 or chart.group != charts[index - 1].group:
            members = sum(other.group == chart.group for other in charts)
            if members > columns - column:
                column = columns
        if column == columns:
            rows.append([])
            column = 0
        rows[-1].append((column, chart))
        column += 1
    return rows


def _header(sheet: Sheet, run: RunRecord, picture: Picture, points: int, seconds: float, state: str) -> float:
    """Write the run's name, what became of it and the legend; return where the charts begin."""
    room = WIDTH - 2 * _MARGIN
    sheet.text(_MARGIN, 30, sheet.fit(run.name, room, 17, bold=True), 17, _INK, bold=True)
    x = sheet.text(_MARGIN, 51, sheet.fit(run.project, room / 2, 11), 11, _MUTED) + 14
    sheet.dot(x + 3, 47, 3.2, _STATES.get(run.state, _MUTED))
    facts = [state, f"{points:,} point{'' if points == 1 else 's'}", format_duration(seconds)]
    sheet.text(x + 12, 51, " · ".join(facts), 11, _MUTED)
    if not picture.charts:
        return 84
    note = f"smoothing {SMOOTHING:g} · raw values faint · x is the step"
    sheet.text(WIDTH - _MARGIN, 51, note, 9.5, _MUTED, align="right")
    x, y = float(_MARGIN), 78.0
    labels = [sheet.fit(label, 260, 11) for label in picture.sources]
    for index, label in enumerate(labels):
        width = 22 + sheet.width(label, 11)
        if x > _MARGIN and x + width > WIDTH - _MARGIN:
            x, y = float(_MARGIN), y + 18
        sheet.line([x, x + 14], [y - 4, y - 4], COLOURS[index], 2.4)
        sheet.text(x + 20, y, label, 11, _INK)
        x += width + 18
    if picture.more_sources:
        sheet.text(x, y, f"and {picture.more_sources:,} more", 11, _MUTED)
    return y + 24


def _chart(sheet: Sheet, chart: Chart, left: float, top: float, width: float, height: float) -> None:
    title = sheet.fit(chart.tag, width, 11)
    x = left
    if chart.group and title.startswith(f"{chart.group}/"):
        x = sheet.text(x, top + 11, f"{chart.group}/", 11, _MUTED)
        title = title[len(chart.group) + 1 :]
    sheet.text(x, top + 11, title, 11, _INK)
    top += _TITLE
    bottom = top + height

    low, high = _y_range(chart.lines)
    y_ticks, y_increment = ticks(low, high, 4)
    y_labels = [format_tick(tick, y_increment) for tick in y_ticks]
    ends = [format_value(line.last) for line in chart.lines] if len(chart.lines) <= _MOST_LABELS else []
    plot_left = left + max([30.0, *(sheet.width(label, 9.5) + 7 for label in y_labels)])
    plot_right = left + width - max([6.0, *(sheet.width(label, 10) + 8 for label in ends)])
    first, last = _x_range(chart.lines)

    def to_x(step: Any) -> Any:
        return plot_left + (step - first) / (last - first) * (plot_right - plot_left)

    def to_y(value: Any) -> Any:
        return bottom - (value - low) / (high - low) * height

    for tick, label in zip(y_ticks, y_labels, strict=True):
        y = to_y(tick)
        sheet.line([plot_left, plot_right], [y, y], _GRID, 1)
        sheet.text(plot_left - 6, y + 3.4, label, 9.5, _MUTED, align="right")
    sheet.line([plot_left, plot_right], [bottom, bottom], _AXIS, 1)
    x_ticks, x_increment = ticks(first, last, max(2, int((plot_right - plot_left) / 50)), whole=True)
    for tick in x_ticks:
        sheet.line([to_x(tick)] * 2, [bottom, bottom + 3], _AXIS, 1)
        sheet.text(to_x(tick), bottom + 14, format_tick(tick, x_increment), 9.5, _MUTED, align="center")

    box = (plot_left - 1, top - 2, plot_right + 2, bottom + 2)
    drawn = [(line, to_x(line.step), to_y(_tame(line.raw)), to_y(_tame(line.smooth))) for line in chart.lines]
    for line, xs, raw, _ in drawn:
        sheet.line(xs, raw, COLOURS[line.source], 1, alpha=0.25, clip=box)
    # The first source is drawn last, so that it is on top as it is in the legend.
    for line, xs, raw, smooth in reversed(drawn):
        colour = COLOURS[line.source]
        sheet.line(xs, smooth, colour, 1.6, clip=box)
        for index in _alone(raw):
            sheet.dot(xs[index], raw[index], 2, colour)
    if ends:
        _end_labels(sheet, drawn, ends, plot_right, (top, bottom))


def _end_labels(
    sheet: Sheet,
    drawn: Sequence[tuple[Line, Any, Any, Any]],
    ends: Sequence[str],
    right: float,
    span: tuple[float, float],
) -> None:
    """Write each line's last value beside its end, moved apart where they would overlap."""
    spots = []
    for (line, xs, raw, _), label in zip(drawn, ends, strict=True):
        finite = np.flatnonzero(np.isfinite(raw))
        if len(finite):
            sheet.dot(xs[finite[-1]], raw[finite[-1]], 2.3, COLOURS[line.source])
        spots.append((float(raw[finite[-1]]) if len(finite) else span[1], label, COLOURS[line.source]))
    spots.sort()
    distance = 12.0
    ys: list[float] = []
    for y, _, _ in spots:
        ys.append(max([y, *(ys[-1:] and [ys[-1] + distance])]))
    overshoot = max(0.0, ys[-1] - span[1])
    ys = [y - overshoot for y in ys]
    for index in range(len(ys) - 2, -1, -1):
        ys[index] = min(max(ys[index], spots[index][0]), ys[index + 1] - distance)
    for y, (_, label, colour) in zip(ys, spots, strict=True):
        sheet.text(right + 6, y + 3.5, label, 10, colour)


def _tame(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values whose differences can be represented."""
    return np.clip(values, -1e300, 1e300)


def _x_range(lines: Sequence[Line]) -> tuple[float, float]:
    low = min(float(line.step[0]) for line in lines)
    high = max(float(line.step[-1]) for line in lines)
    room = max(1.0, 4 * math.ulp(high))
    return (low, high) if low < high else (low - room, high + room)


def _y_range(lines: Sequence[Line]) -> tuple[float, float]:
    values = _tame(np.concatenate([line.raw for line in lines]))
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    # Neighbouring floats are no range that could be divided.
    apart = high - low > 1e-12 * max(abs(low), abs(high))
    room = (high - low) * 0.06 if apart else abs(low) * 0.1 or 1.0
    # An axis that would begin just below zero begins at zero.
    return 0.0 if 0 <= low < room else low - room, high + room


def _alone(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the places of points that no line reaches: those whose neighbours are missing."""
    finite = np.concatenate([[False], np.isfinite(values), [False]])
    return np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:])


def warm_fonts() -> None:
    """Have matplotlib find its fonts and draw one letter in each that is used."""
    sheet = Sheet()
    for bold in (False, True):
        sheet.text(0, 20, "0", 11, _INK, bold=bold)
    sheet.png(40)
