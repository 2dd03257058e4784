"""What TensorBoard's mesh plugin logs: each part of a mesh (vertices, faces, colours) under a tag of its own.

The tags are NAME_VERTEX, NAME_FACE and NAME_COLOR; the metadata's content, a `MeshPluginData`
(tensorboard/plugins/mesh/plugin_data.proto), says which part of which mesh a tag holds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from google.protobuf.message import DecodeError

from runcast.errors import BadValue
from runcast.events.arrays import array_of
from runcast.events.descriptors import Messages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runcast.events.record import Logged, Metadata

__all__ = ["PLUGIN", "Mesh", "MeshPart", "Part", "assembled", "read", "read_metadata"]

PLUGIN = "mesh"

Part = Literal["", "vertices", "faces", "colors"]
_PARTS: tuple[Part, ...] = ("", "vertices", "faces", "colors")

_PluginData = Messages(
    "runcast.mesh",
    """
message MeshPluginData
    int32 version = 1
    string name = 2
    int32 content_type = 3
    string json_config = 5
    repeated int32 shape = 6
    uint32 components = 7
""",
)["MeshPluginData"]


@dataclass(frozen=True, slots=True, eq=False)
class MeshPart:
    """One part of the mesh `name`: an array of shape (batch, points, 3), and the settings for its display."""

    name: str
    part: Part
    array: NDArray[Any]
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A mesh or point cloud of one step.

    `vertices` has shape (batch, vertices, 3), x, y and z; `faces` (batch, faces, 3), the indices of each triangle's corners; `colors`
    (batch, vertices, 3), RGB from 0 to 255. `config` are the settings for its display: ThreeJS classes as JSON.
    """

    vertices: NDArray[Any]
    faces: NDArray[Any] | None = None
    colors: NDArray[Any] | None = None
    config: dict[str, Any] = field(default_factory=dict)


def read_metadata(content: bytes) -> tuple[str, Part, dict[str, Any]]:
    """Return which mesh and which part of it a tag holds, and the settings. Raises `BadValue`."""
    try:
        data = _PluginData.FromString(content)
    except (DecodeError, ValueError) as error:
        raise BadValue(f"the mesh plugin's content is no MeshPluginData: {error}") from error
    try:
        config = json.loads(data.json_config) if data.json_config else {}
    except (ValueError, RecursionError):
        config = {}
    part: Part = _PARTS[data.content_type] if 0 <= data.content_type < len(_PARTS) else ""
    return data.name, part, config if isinstance(config, dict) else {}


def read(value: Logged, metadata: Metadata) -> MeshPart:
    """Read one part of a mesh. Raises `BadValue`."""
    if value.form != "tensor":
        raise BadValue(f"tag {value.tag!r}, step {value.step}: {value.form or 'nothing'} holds no mesh")
    name, part, config = read_metadata(metadata.content)
    return MeshPart(name, part, array_of(value.message), config)


def assembled(parts: list[MeshPart]) -> Mesh:
    """Put the parts of one mesh and step together. Raises `BadValue` if there are no vertices among them."""
    arrays = {part.part: part.array for part in parts}
    if "vertices" not in arrays:
        raise BadValue(f"the mesh {parts[0].name if parts else ''!r} has no vertices")
    config = next((part.config for part in parts if part.config), {})
    return Mesh(arrays["vertices"], arrays.get("faces"), arrays.get("colors"), config)
