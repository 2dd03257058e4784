"""What TensorBoard's audio plugin logs: one or more encoded clips a step.

v1 values are a `Summary.Audio`; v2 values a string tensor of shape (clips, 2), clip and label, or (clips,)
(tensorboard/plugins/audio/summary_v2.py). All known writers encode WAV.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from runcast.errors import BadValue
from runcast.events.arrays import array_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runcast.events.record import Logged, Metadata

__all__ = ["PLUGIN", "Audio", "read"]

PLUGIN = "audio"

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_DTYPES = {(_PCM, 8): "u1", (_PCM, 16): "<i2", (_PCM, 32): "<i4", (_FLOAT, 32): "<f4", (_FLOAT, 64): "<f8"}


@dataclass(frozen=True, slots=True)
class Audio:
    """One clip as it was logged: `encoded` are the bytes of an audio file of type `content_type`.

    `sample_rate` is in frames a second, 0.0 if neither the event nor the file says it.
    """

    encoded: bytes = field(repr=False)
    sample_rate: float
    content_type: str = "audio/wav"
    label: str = ""

    def array(self) -> NDArray[np.generic]:
        """Return the samples of a WAV file as it stores them, of shape (frames, channels).

        uint8, int16, int32, float32 or float64; 24 bits become the upper ones of an int32. Raises `BadValue` for any other file.
        """
        import numpy as np

        wave = _read_wave(self.encoded)
        if wave is None:
            raise BadValue(f"a clip of type {self.content_type!r} is no WAV file that can be read")
        if (wave.encoding, wave.bits) == (_PCM, 24):
            bytes_of = np.frombuffer(wave.samples, np.uint8, len(wave.samples) // 3 * 3).reshape(-1, 3)
            widened = np.zeros((len(bytes_of), 4), np.uint8)
            widened[:, 1:] = bytes_of
            samples: NDArray[np.generic] = widened.view("<i4").reshape(-1)
        elif dtype := _DTYPES.get((wave.encoding, wave.bits)):
            size = np.dtype(dtype).itemsize
            samples = np.frombuffer(wave.samples, dtype, len(wave.samples) // size)
        else:
            raise BadValue(f"a WAV file holds samples of encoding {wave.encoding} with {wave.bits} bits")
        frames = len(samples) // wave.channels
        return samples[: frames * wave.channels].reshape(frames, wave.channels)

    def _repr_html_(self) -> str:
        data = b64encode(self.encoded).decode()
        return f'<audio controls src="data:{escape(self.content_type)};base64,{data}"></audio>'


class _Wave(NamedTuple):
    encoding: int
    channels: int
    rate: int
    bits: int
    samples: memoryview


def read(value: Logged, metadata: Metadata) -> tuple[Audio, ...]:  # noqa: ARG001 - as all of them are called
    """Read the clips of one step, v1 or v2. Raises `BadValue`."""
    if value.form == "audio":
        audio = value.message
        return (Audio(audio.encoded_audio_string, audio.sample_rate, audio.content_type or "audio/wav"),)
    if value.form != "tensor":
        raise BadValue(f"tag {value.tag!r}, step {value.step}: {value.form or 'nothing'} holds no audio")
    strings = array_of(value.message)
    if strings.dtype != object or strings.ndim not in {1, 2} or (strings.ndim == 2 and strings.shape[1] != 2):
        raise BadValue(
            f"tag {value.tag!r}, step {value.step}: audio has the shape (clips, 2) or (clips,), not {strings.shape}"
        )
    rows = strings.tolist() if strings.ndim == 2 else [(clip, b"") for clip in strings]
    return tuple(_of_v2(encoded, label) for encoded, label in rows)


def _of_v2(encoded: bytes, label: bytes) -> Audio:
    wave = _read_wave(encoded)
    text = label.decode("utf-8", "replace")
    return Audio(encoded, float(wave.rate), label=text) if wave else Audio(encoded, 0.0, "", text)


def _read_wave(encoded: bytes) -> _Wave | None:
    """Find a RIFF WAVE file's format and samples; None if it has none."""
    view = memoryview(encoded)
    if len(view) < 12 or encoded[:4] != b"RIFF" or encoded[8:12] != b"WAVE":
        return None
    position, wave = 12, None
    while position + 8 <= len(view):
        name, size = struct.unpack_from("<4sI", view, position)
        body = view[position + 8 : position + 8 + size]
        if name == b"fmt " and len(body) >= 16:
            encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if encoding == _EXTENSIBLE and len(body) >= 26:
                (encoding,) = struct.unpack_from("<H", body, 24)
            wave = _Wave(encoding, channels, rate, bits, memoryview(b"")) if channels else None
        elif name == b"data" and wave is not None:
            return wave._replace(samples=body)
        position += 8 + size + size % 2
    return None
