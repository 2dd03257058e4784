"""What TensorBoard's images plugin logs: one or more encoded images a step.

v1 values are a `Summary.Image`; v2 values a string tensor [width, height, image, image, …], the numbers in decimal
(tensorboard/plugins/image/summary_v2.py). PyTorch's `add_video` logs animated GIFs.
"""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runcast.errors import BadValue
from runcast.events.arrays import strings_of

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image
    from numpy.typing import NDArray

    from runcast.events.record import Logged, Metadata

__all__ = ["PLUGIN", "Image", "read"]

PLUGIN = "images"

_SIGNATURES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp", b"RIFF": "webp"}

# Modes that are uint8 pixels already; what each of the others is turned into.
_MODES = {
    "L": "L",
    "LA": "LA",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "1": "L",
    "PA": "RGBA",
    "La": "LA",
    "RGBa": "RGBA",
}


@dataclass(frozen=True, slots=True)
class Image:
    """One image as it was logged: `encoded` are the bytes of a PNG, JPEG or GIF file.

    `width` and `height`, in pixels, are what was logged beside it. Decoding happens on demand and raises `BadValue` if the bytes
    are no image that Pillow reads.
    """

    encoded: bytes = field(repr=False)
    width: int
    height: int

    @property
    def format(self) -> str:
        """The file type, such as "png", by its first bytes; "" for an unknown one."""
        found = (name for signature, name in _SIGNATURES.items() if self.encoded.startswith(signature))
        return next(found, "")

    def pil(self) -> PIL.Image.Image:
        """Return the image as Pillow's, its pixels loaded; of an animation, the first frame."""
        return self._frames(1)[0]

    def array(self) -> NDArray[np.uint8]:
        """Return the pixels, uint8 of shape (height, width, channels); of an animation, the first frame.

        There are 1, 2, 3 or 4 channels: grey, grey and alpha, RGB, RGBA. Palettes are resolved, 16-bit grey keeps its upper 8.
        """
        return _pixels(self.pil())

    def frames(self) -> NDArray[np.uint8]:
        """Return all frames of an animation, uint8 of shape (frames, height, width, channels); of a still image, one."""
        import numpy as np

        frames = [_pixels(frame) for frame in self._frames(None)]
        if len({frame.shape for frame in frames}) > 1:  # a GIF may add alpha or colours as it goes on
            frames = [_pixels(frame.convert("RGBA")) for frame in self._frames(None)]
        return np.stack(frames)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        kind = self.format
        return {f"image/{kind}": b64encode(self.encoded).decode()} if kind in {"png", "jpeg", "gif"} else {}

    def _frames(self, most: int | None) -> list[PIL.Image.Image]:
        import PIL.Image
        import PIL.ImageSequence

        frames: list[PIL.Image.Image] = []
        try:
            with PIL.Image.open(io.BytesIO(self.encoded)) as image:
                for frame in PIL.ImageSequence.Iterator(image):
                    frames.append(frame.copy())
                    if len(frames) == most:
                        break
        except (OSError, ValueError, SyntaxError, EOFError, PIL.Image.DecompressionBombError) as error:
            raise BadValue(f"{len(self.encoded)} bytes are no image that can be read: {error}") from error
        return frames


def read(value: Logged, metadata: Metadata) -> tuple[Image, ...]:  # noqa: ARG001 - as all of them are called
    """Read the images of one step, v1 or v2. Raises `BadValue`."""
    if value.form == "image":
        image = value.message
        return (Image(image.encoded_image_string, image.width, image.height),)
    if value.form != "tensor":
        raise BadValue(f"tag {value.tag!r}, step {value.step}: {value.form or 'nothing'} holds no images")
    strings = strings_of(value.message)
    try:
        width, height = int(strings[0]), int(strings[1])
    except (IndexError, ValueError) as error:
        raise BadValue(f"tag {value.tag!r}, step {value.step}: images begin with width and height") from error
    return tuple(Image(encoded, width, height) for encoded in strings[2:])


def _pixels(image: PIL.Image.Image) -> NDArray[np.uint8]:
    import numpy as np

    if image.mode.startswith("I;16"):
        pixels = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
    elif image.mode == "P":
        pixels = np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))
    else:
        mode = _MODES.get(image.mode, "RGB")
        pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]
