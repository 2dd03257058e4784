"""Images, histograms, texts and sounds as TensorBoard's plugins expect them, for `EventWriter`: no protobuf, no NumPy.

Each function returns one `Summary.Value` message in bytes, of the form that TensorBoard's own `tf.summary` writes: a tensor
whose metadata name the plugin.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import TYPE_CHECKING

from runcast.events.wire import sized, varint

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["audio_value", "histogram_value", "image_value", "text_value"]

_DOUBLE, _STRING = 2, 7
_TENSOR, _BLOBS = 2, 3
_WAV = b"\x10\x0b"


def image_value(tag: str, images: Sequence[bytes], width: int, height: int) -> bytes:
    """Return images of one step: encoded ones (PNG, JPEG or GIF), the first of which is `width` by `height` pixels."""
    strings = [str(width).encode(), str(height).encode(), *images]
    return _value(tag, "images", b"", _BLOBS, _strings(strings, [len(strings)]))


def histogram_value(tag: str, edges: Sequence[float], counts: Sequence[float]) -> bytes:
    """Return a histogram: `counts[i]` values lie between `edges[i]` and `edges[i + 1]`."""
    buckets = list(zip(edges[:-1], edges[1:], counts, strict=True))
    packed = struct.pack(f"<{3 * len(buckets)}d", *chain.from_iterable(buckets))
    tensor = _tensor(_DOUBLE, [len(buckets), 3], b"\x22" + sized(packed))
    return _value(tag, "histograms", b"", _TENSOR, tensor)


def text_value(tag: str, text: str) -> bytes:
    """Return a text, which TensorBoard shows as Markdown."""
    return _value(tag, "text", b"", _TENSOR, _strings([text.encode(errors="replace")], []))


def audio_value(tag: str, sounds: Sequence[bytes]) -> bytes:
    """Return sounds of one step, each a WAV file."""
    strings = list(chain.from_iterable((sound, b"") for sound in sounds))  # each with an empty label
    return _value(tag, "audio", _WAV, _BLOBS, _strings(strings, [len(sounds), 2]))


def _value(tag: str, plugin: str, content: bytes, data_class: int, tensor: bytes) -> bytes:
    plugin_data = b"\x0a" + sized(plugin.encode()) + (b"\x12" + sized(content) if content else b"")
    metadata = b"\x0a" + sized(plugin_data) + b"\x20" + varint(data_class)
    return b"\x0a" + sized(tag.encode(errors="replace")) + b"\x4a" + sized(metadata) + b"\x42" + sized(tensor)


def _strings(strings: Sequence[bytes], shape: Sequence[int]) -> bytes:
    return _tensor(_STRING, shape, b"".join(b"\x42" + sized(string) for string in strings))


def _tensor(kind: int, shape: Sequence[int], content: bytes) -> bytes:
    dimensions = b"".join(b"\x12" + sized(b"\x08" + varint(size)) for size in shape)
    return b"\x08" + varint(kind) + b"\x12" + sized(dimensions) + content
