"""What each TensorBoard plugin logs, as typed values: one module a kind.

    record = read_record(file_bytes[summary.offset : summary.offset + summary.length])
    for logged in record.summaries:
        value = plugins.read(logged, first_metadata_of_the_tag)

Each module has `read(value, metadata)`, where `metadata` is the value's own or, as writers may leave it out, that of the tag's first
event. Both the old (v1) and the new (v2) form of a kind give the same type. Values are frozen; arrays are read-only or new. A
value that is not what its plugin promises raises `BadValue`, which names the tag and step where there is one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from runcast.events.record import Metadata

if TYPE_CHECKING:
    from runcast.events.record import Logged

__all__ = ["read"]

_MODULES = {
    "images": "images",
    "histograms": "histograms",
    "text": "text",
    "audio": "audio",
    "pr_curves": "pr_curves",
    "mesh": "mesh",
    "custom_scalars": "custom_scalars",
    "graphs": "graphs",
    "graph_keras_model": "graphs",
    "graph_run_metadata": "graphs",
    "graph_run_metadata_graph": "graphs",
    "graph_tagged_run_metadata": "graphs",
}


def read(value: Logged, first: Metadata | None = None) -> Any:
    """Read a value as its plugin means it; `first` is the metadata of its tag's first event.

    Returns what the plugin's module says: a tuple of `images.Image` or `audio.Audio`, a `Histogram`, a `PrCurve`, a `MeshPart`, a
    `Layout`, a graph's `Blob`, text, one of the `hparams`; for any other plugin, or none, a `tensors.Tensor`. Raises `BadValue`.
    """
    metadata = value.metadata if value.metadata and value.metadata.plugin else first or Metadata()
    plugin = value.plugin or metadata.plugin
    if plugin == "hparams":
        from runcast.events.plugins import hparams

        return hparams.read(metadata.content)
    module = import_module(f"{__name__}.{_MODULES.get(plugin, 'tensors')}")
    return module.read(value, metadata)
