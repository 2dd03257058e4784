"""One whole record with everything that its event says: the door to what a `Batch` only points at.

A `Batch` locates summaries by their record's offset and length. These bytes in, `read_record` gives the values, in the order of
`Batch.summaries`; `runcast.events.plugins` turns each into what its plugin means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from google.protobuf.message import DecodeError

from runcast.errors import BadValue
from runcast.events.framing import HEADER, OVERHEAD, payload_length, payload_verified
from runcast.events.meaning import GRAPH_TAG, META_GRAPH_TAG, V1_PLUGINS, point_of
from runcast.events.proto import Event

__all__ = ["Form", "LogMessage", "Logged", "Metadata", "Record", "Session", "read_record"]

Form = Literal[
    "",
    "simple_value",
    "obsolete_old_style_histogram",
    "image",
    "histo",
    "audio",
    "tensor",
    "graph_def",
    "meta_graph_def",
    "run_metadata",
]
"""How a value is written: the field of `Summary.Value` that holds it, or that of the event; "" if it is metadata only."""

_SESSION = ("unspecified", "start", "stop", "checkpoint")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an event says about its tag (SummaryMetadata); writers may leave it out but for a tag's first event.

    `content` is the plugin's own; `data_class` is 0 (unknown), 1 (scalar), 2 (tensor) or 3 (blob sequence).
    """

    plugin: str = ""
    content: bytes = b""
    display_name: str = ""
    description: str = ""
    data_class: int = 0


@dataclass(frozen=True, slots=True)
class Logged:
    """One tagged value as it was written.

    `message` is what the field `form` holds: a protobuf message, bytes, or a number. `plugin` is what the value itself says, that of
    its v1 form, or "". `point` is its value if it is a scalar point, else None.
    """

    tag: str
    plugin: str
    step: int
    wall_time: float
    form: Form
    message: Any = field(repr=False)
    metadata: Metadata | None = None
    point: float | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A SessionLog: a writer's `purge_step` is a "start" at its event's step."""

    status: str
    checkpoint_path: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A line of text that was logged, at a level of Python's `logging`."""

    level: int
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """One event. `file_version` stands in a file's first record, and there `writer` names who wrote it (SourceMetadata)."""

    step: int
    wall_time: float
    values: tuple[Logged, ...] = ()
    file_version: str = ""
    writer: str = ""
    session: Session | None = None
    log: LogMessage | None = None

    @property
    def summaries(self) -> tuple[Logged, ...]:
        """The values that are no scalar points: the same, in the same order, as `Batch.summaries` has of this record."""
        return tuple(value for value in self.values if value.point is None)


def read_record(data: bytes) -> Record:
    """Read one whole record, framing included. Raises `BadValue` if it is cut short, damaged or holds no Event."""
    view = memoryview(data)
    length = payload_length(view, 0)
    if length is None or len(view) < OVERHEAD + length or not payload_verified(view, 0, length):
        raise BadValue(
            "the bytes are no whole, verified record; has the file been changed since it was indexed?"
        )
    try:
        event = Event.FromString(bytes(view[HEADER : HEADER + length]))
    except (DecodeError, ValueError) as error:
        raise BadValue(f"the record holds no Event: {error}") from error
    what = event.WhichOneof("what")
    session, log = event.session_log, event.log_message
    return Record(
        event.step,
        event.wall_time,
        _values(event, what),
        event.file_version,
        event.source_metadata.writer,
        Session(_status(session.status), session.checkpoint_path, session.msg)
        if what == "session_log"
        else None,
        LogMessage(log.level, log.message) if what == "log_message" else None,
    )


def _values(event: Any, what: str | None) -> tuple[Logged, ...]:
    step, wall_time = event.step, event.wall_time
    if what == "summary":
        return tuple(_logged(value, step, wall_time) for value in event.summary.value)
    if what == "graph_def":
        return (Logged(GRAPH_TAG, "graphs", step, wall_time, "graph_def", event.graph_def),)
    if what == "meta_graph_def":
        return (Logged(META_GRAPH_TAG, "graphs", step, wall_time, "meta_graph_def", event.meta_graph_def),)
    if what == "tagged_run_metadata":
        tagged = event.tagged_run_metadata
        plugin = "graph_tagged_run_metadata"
        return (Logged(tagged.tag, plugin, step, wall_time, "run_metadata", tagged.run_metadata),)
    return ()


def _logged(value: Any, step: int, wall_time: float) -> Logged:
    form: Form = value.WhichOneof("value") or ""
    metadata = _metadata(value.metadata) if value.HasField("metadata") else None
    return Logged(
        value.tag or value.node_name,
        V1_PLUGINS.get(form) or (metadata.plugin if metadata else ""),
        step,
        wall_time,
        form,
        getattr(value, form) if form else None,
        metadata,
        point_of(value),
    )


def _metadata(metadata: Any) -> Metadata:
    data = metadata.plugin_data
    return Metadata(
        data.plugin_name,
        data.content,
        metadata.display_name,
        metadata.summary_description,
        metadata.data_class,
    )


def _status(number: int) -> str:
    return _SESSION[number] if 0 <= number < len(_SESSION) else str(number)
