"""What TensorBoard's graphs plugin shows: graphs, Keras models and what was measured while a graph ran, as bytes.

A run's graph is an event's `graph_def` or `meta_graph_def`, run metadata its `tagged_run_metadata`; TensorFlow 2 logs Keras models and
run metadata as string tensors (tensorboard/plugins/graph/metadata.py). The bytes are protobuf messages of TensorFlow, a Keras
model is JSON; runcast needs neither to keep them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from runcast.errors import BadValue
from runcast.events.arrays import strings_of

if TYPE_CHECKING:
    from runcast.events.record import Logged, Metadata

__all__ = ["PLUGINS", "Blob", "Kind", "read"]

Kind = Literal["graph_def", "meta_graph_def", "keras", "run_metadata", "run_metadata_graph"]

PLUGINS: dict[str, Kind] = {
    "graphs": "graph_def",
    "graph_keras_model": "keras",
    "graph_run_metadata": "run_metadata",
    "graph_run_metadata_graph": "run_metadata_graph",
    "graph_tagged_run_metadata": "run_metadata",
}
"""The plugins that this is about, and what each logs."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A serialized GraphDef, MetaGraphDef, Keras model (UTF-8 JSON) or RunMetadata (with or without the graph itself)."""

    kind: Kind
    data: bytes = field(repr=False)


def read(value: Logged, metadata: Metadata) -> Blob:
    """Read a graph or what belongs to one. Raises `BadValue`."""
    if value.form in {"graph_def", "meta_graph_def", "run_metadata"}:
        return Blob(cast("Kind", value.form), value.message)
    kind = PLUGINS.get(metadata.plugin, "graph_def")
    strings = strings_of(value.message) if value.form == "tensor" else []
    if len(strings) != 1:
        raise BadValue(f"tag {value.tag!r}, step {value.step}: a graph is one string, not {len(strings)}")
    return Blob(kind, strings[0])
