"""Users' pictures (arrays, tensors, PIL images, figures, files) as encoded images. Pillow and NumPy are imported when one comes."""

from __future__ import annotations

import io
import os
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

from runcast.errors import SettingsError

__all__ = ["Picture", "animation_of", "array_of", "figure_of", "is_pil", "pictures_of"]

SHOWN_AS_THEY_ARE = {"PNG", "JPEG", "GIF"}
"""Formats that every browser shows: such a file is kept byte for byte."""


class Picture(NamedTuple):
    """One encoded image (PNG, JPEG or GIF) and its size in pixels."""

    data: bytes
    width: int
    height: int


def pictures_of(data: Any) -> list[Picture]:
    """Return the pictures in what a user takes for an image: one, but for a batch of them in one array.

    Raises `SettingsError` for anything else, naming what was given.
    """
    if (figure := figure_of(data)) is not None:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return [_encoded(buffer.getvalue(), "a figure")]
    if isinstance(data, (str, os.PathLike)):
        try:
            return [_encoded(Path(data).read_bytes(), f"the file {os.fspath(data)}")]
        except OSError as error:
            raise SettingsError(
                f"cannot read the image {os.fspath(data)}: {error.strerror}; check the path"
            ) from error
    if isinstance(data, (bytes, bytearray)):
        return [_encoded(bytes(data), "these bytes")]
    if is_pil(data):
        return [_png(data)]
    array = array_of(data)
    if array is None or array.ndim not in (2, 3, 4) or not array.size:
        raise SettingsError(f"{_described(data, array)} is no image: {_WHAT_IS_ONE}")
    frames = array if array.ndim == 4 else array[None]
    return [_picture(frame, data) for frame in _bytes_of(frames)]


def animation_of(data: Any, fps: float) -> Picture:
    """Return frames (time, channel, height, width), or a GIF file, as an animated GIF. Raises `SettingsError`."""
    if isinstance(data, (str, os.PathLike, bytes)):
        (picture,) = pictures_of(data)
        if not picture.data.startswith(b"GIF8"):
            raise SettingsError(
                "only an animated GIF can be shown as a video; keep other files with run.save(path)"
            )
        return picture
    from PIL import Image  # see the module's docstring

    array = array_of(data)
    if array is None or array.ndim != 4 or not array.size:
        raise SettingsError(
            f"{_described(data, array)} is no video: give frames as (time, channel, height, width), or a GIF"
        )
    frames = [Image.open(io.BytesIO(_picture(frame, data).data)) for frame in _bytes_of(array)]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=max(1, round(1000 / fps)), loop=0
    )
    return Picture(buffer.getvalue(), *frames[0].size)


def figure_of(value: Any) -> Any:
    """Return a Matplotlib figure for one, for its axes, and for `matplotlib.pyplot` itself; None for anything else."""
    if isinstance(value, types.ModuleType):
        return value.gcf() if value.__name__ == "matplotlib.pyplot" else None
    if type(value).__module__.startswith("matplotlib."):
        value = getattr(value, "figure", value) if not hasattr(value, "savefig") else value
    return value if hasattr(value, "savefig") and not isinstance(value, type) else None


def array_of(value: Any) -> Any:
    """Return what is an array or tensor of numbers of any library, on any device, as a NumPy array; None for what is none."""
    import numpy as np  # see the module's docstring

    if isinstance(value, np.ndarray):
        array = value
    elif hasattr(value, "detach"):  # torch, which NumPy would refuse where it has a gradient or lies on a GPU
        tensor = value.detach().cpu()
        array = np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
    elif hasattr(value, "__array__") and hasattr(value, "shape"):
        array = np.asarray(value)
    else:
        return None
    if array.dtype.kind not in "biuf":  # such as bfloat16, an extension of NumPy
        try:
            array = array.astype(np.float32)
        except (TypeError, ValueError):
            return None
    return array


_WHAT_IS_ONE = (
    "give an array or tensor of height x width (and 1, 3 or 4 channels, which may come first), a PIL image, "
    "a Matplotlib figure, or the path of a file"
)


def _bytes_of(array: Any) -> Any:
    """Return pixels as bytes: values from 0 to 1 are stretched to 255, those with negative ones from their least to their most."""
    import numpy as np

    if array.dtype == np.uint8 and array.max() > 1:
        return array
    values = np.nan_to_num(array.astype(np.float64))
    low, high = values.min(), values.max()
    if low < 0:
        values = (values - low) / ((high - low) or 1.0)
        high = 1.0
    if high <= 1:
        values = values * 255
    return values.clip(0, 255).astype(np.uint8)


def _picture(frame: Any, data: Any) -> Picture:
    from PIL import Image

    if frame.ndim == 3:
        if frame.shape[-1] not in (1, 3, 4) or (frame.shape[0] in (1, 3, 4) and hasattr(data, "detach")):
            frame = frame.transpose(1, 2, 0)  # channels first, as in torch
        if frame.shape[-1] not in (1, 3, 4):
            raise SettingsError(f"{_described(data, frame)} is no image: {_WHAT_IS_ONE}")
        frame = frame[..., 0] if frame.shape[-1] == 1 else frame
    return _png(Image.fromarray(frame))


def _png(image: Any) -> Picture:
    if image.mode not in {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"}:  # what a PNG can hold
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return Picture(buffer.getvalue(), *image.size)


def _encoded(data: bytes, what: str) -> Picture:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            return Picture(data, *image.size) if image.format in SHOWN_AS_THEY_ARE else _png(image)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise SettingsError(
            f"{what} cannot be read as an image ({error}); give a PNG, JPEG or GIF"
        ) from error


def is_pil(value: Any) -> bool:
    """Whether a value is a PIL image."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(value, pil.Image)


def _described(data: Any, array: Any) -> str:
    shape = f" of shape {tuple(array.shape)}" if array is not None else ""
    return f"a {type(data).__name__}{shape}"
