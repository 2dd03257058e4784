"""What any other plugin logs, or none: an array, and the plugin's own bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.errors import BadValue
from runcast.events.arrays import array_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runcast.events.record import Logged, Metadata

__all__ = ["Tensor", "read"]


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor as it was logged, read-only; strings are an object array of `bytes`.

    `plugin` is the plugin that it was logged for, and `content` what the tag's metadata holds for that plugin.
    """

    array: NDArray[Any]
    plugin: str = ""
    content: bytes = b""


def read(value: Logged, metadata: Metadata) -> Tensor:
    """Read a value of a plugin that has no module here. A value that is metadata only gives an empty array.

    Raises `BadValue` if its tensor cannot be an array, or if it is of a kind that nothing writes any more.
    """
    if value.form == "tensor":
        array = array_of(value.message)
    elif value.form == "simple_value":
        array = np.array(value.point)
    elif value.form == "":
        array = np.empty(0, np.float32)
    else:
        raise BadValue(
            f"tag {value.tag!r}, step {value.step}: runcast does not read values of kind {value.form}"
        )
    return Tensor(array, metadata.plugin, metadata.content)
