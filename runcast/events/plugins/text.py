"""What TensorBoard's text plugin logs: strings, which it shows as Markdown (tensorboard/plugins/text/summary_v2.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.errors import BadValue
from runcast.events.arrays import array_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runcast.events.record import Logged, Metadata

__all__ = ["PLUGIN", "read"]

PLUGIN = "text"


def read(value: Logged, metadata: Metadata) -> str | NDArray[Any]:  # noqa: ARG001 - as all of them are called
    """Read the text of one step: one `str`, or an object array of them if it is a table.

    The text is untouched, Markdown and all; bytes that are no UTF-8 become U+FFFD. Raises `BadValue`.
    """
    if value.form != "tensor":
        raise BadValue(f"tag {value.tag!r}, step {value.step}: {value.form or 'nothing'} holds no text")
    encoded = array_of(value.message)
    if encoded.dtype != object:
        raise BadValue(f"tag {value.tag!r}, step {value.step}: text is strings, not {encoded.dtype}")
    texts = [each.decode("utf-8", "replace") for each in encoded.flat]
    return texts[0] if len(texts) == 1 else np.array(texts, object).reshape(encoded.shape)
