"""What one Event says: scalar points, or summaries that are something else, in TensorBoard's words."""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from runcast.events.proto import Event
from runcast.events.tensors import number

__all__ = [
    "GRAPH_TAG",
    "META_GRAPH_TAG",
    "V1_PLUGINS",
    "Meaning",
    "NotAnEventError",
    "is_file_version",
    "point_of",
    "read_event",
]

GRAPH_TAG = "__run_graph__"
"""The tag under which TensorBoard keeps a run's graph."""

META_GRAPH_TAG = "__meta_graph__"

_SESSION_START = 1

V1_PLUGINS = {
    "image": "images",
    "histo": "histograms",
    "audio": "audio",
    "obsolete_old_style_histogram": "histograms",
}
"""The plugin of each old (v1) kind of value, which carries no metadata of its own."""


class NotAnEventError(ValueError):
    """The payload of a verified record is no Event message."""


class Meaning(NamedTuple):
    """One Event: `points` are (tag, value), `summaries` (tag, plugin)."""

    step: int
    wall_time: float
    points: list[tuple[str, float]]
    summaries: list[tuple[str, str]]
    session_start: bool = False


def read_event(payload: bytes) -> Meaning:
    """Decode one payload.

    Metadata may stand on a tag's first event only, so a 0-d number without any is a point, and anything else without any has
    the plugin "", for whoever knows the tag's earlier events to fill in. Raises `NotAnEventError`.
    """
    try:
        event = Event.FromString(payload)
    except (DecodeError, ValueError) as error:
        raise NotAnEventError(str(error)) from error
    what = event.WhichOneof("what")
    session_start = what == "session_log" and event.session_log.status == _SESSION_START
    meaning = Meaning(event.step, event.wall_time, [], [], session_start)
    if what == "summary":
        for value in event.summary.value:
            _add_value(meaning, value)
    elif what == "graph_def":
        meaning.summaries.append((GRAPH_TAG, "graphs"))
    elif what == "meta_graph_def":
        meaning.summaries.append((META_GRAPH_TAG, "graphs"))
    elif what == "tagged_run_metadata":
        meaning.summaries.append((event.tagged_run_metadata.tag, "graph_tagged_run_metadata"))
    return meaning


def is_file_version(payload: bytes) -> bool:
    """Say whether the payload is the record that opens every event file."""
    try:
        return bool(Event.FromString(payload).WhichOneof("what") == "file_version")
    except (DecodeError, ValueError):
        return False


def point_of(value: Any) -> float | None:
    """Return the value of a `Summary.Value` that is a scalar point, None for any other."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        point: float = value.exact_value if value.HasField("exact_value") else value.simple_value
        return point
    if kind == "tensor" and value.metadata.plugin_data.plugin_name in {"", "scalars"}:
        return number(value.tensor)
    return None


def _add_value(meaning: Meaning, value: Any) -> None:
    tag = value.tag or value.node_name
    point = point_of(value)
    if point is not None:
        meaning.points.append((tag, point))
        return
    plugin = V1_PLUGINS.get(value.WhichOneof("value"), value.metadata.plugin_data.plugin_name)
    meaning.summaries.append((tag, plugin))
