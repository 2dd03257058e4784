"""What TensorBoard's custom_scalars plugin logs: how its page arranges charts of scalars.

The value is a string tensor that holds one `Layout` (tensorboard/plugins/custom_scalar/layout.proto).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from runcast.errors import BadValue
from runcast.events.arrays import strings_of
from runcast.events.descriptors import Messages

if TYPE_CHECKING:
    from runcast.events.record import Logged, Metadata

__all__ = ["PLUGIN", "Category", "Chart", "Layout", "Margin", "read"]

PLUGIN = "custom_scalars"

_Layout = Messages(
    "runcast.custom_scalars",
    """
message Layout
    int32 version = 1
    repeated Category category = 2

message Category
    string title = 1
    repeated Chart chart = 2
    bool closed = 3

message Chart
    string title = 1
    content: Multiline multiline = 2
    content: Margin margin = 3

message Multiline
    repeated string tag = 1

message Margin
    repeated Series series = 1

message Series
    string value = 1
    string lower = 2
    string upper = 3
""",
)["Layout"]


@dataclass(frozen=True, slots=True)
class Margin:
    """A line with a band around it: the tags of all three."""

    value: str
    lower: str
    upper: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: `tags` are regular expressions of the tags that it draws, or `margins` its lines with bands."""

    title: str
    tags: tuple[str, ...] = ()
    margins: tuple[Margin, ...] = ()


@dataclass(frozen=True, slots=True)
class Category:
    """Charts under one heading, which is folded at first if `closed`."""

    title: str
    charts: tuple[Chart, ...] = ()
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """All of the page."""

    categories: tuple[Category, ...] = ()


def read(value: Logged, metadata: Metadata) -> Layout:  # noqa: ARG001 - as all of them are called
    """Read a layout. Raises `BadValue`."""
    where = f"tag {value.tag!r}, step {value.step}"
    strings = strings_of(value.message) if value.form == "tensor" else []
    if len(strings) != 1:
        raise BadValue(f"{where}: a layout is one string, not {len(strings)}")
    try:
        layout = _Layout.FromString(strings[0])
    except (DecodeError, ValueError) as error:
        raise BadValue(f"{where}: the string is no Layout: {error}") from error
    return Layout(
        tuple(
            Category(category.title, tuple(map(_chart, category.chart)), category.closed)
            for category in layout.category
        )
    )


def _chart(chart: Any) -> Chart:
    margins = tuple(Margin(series.value, series.lower, series.upper) for series in chart.margin.series)
    return Chart(chart.title, tuple(chart.multiline.tag), margins)
