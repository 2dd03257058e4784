"""What `run.log` takes beside numbers: `Image`, `Histogram`, `Table`, `Audio`, `Video`, `Html`, and plain values that stand for one.

Values are encoded when they are made, so that what the training changes afterwards does not matter. Bad ones raise `SettingsError`
there, where the user's code is; `run.log` itself never raises.
"""

from __future__ import annotations

import base64
import io
import logging
import os
import wave
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runcast.errors import SettingsError
from runcast.events import media as plugins
from runcast.run.pictures import Picture, animation_of, array_of, figure_of, is_pil, pictures_of

__all__ = ["Audio", "Filed", "Histogram", "Html", "Image", "Media", "Video", "media_of"]

log = logging.getLogger("runcast")

MOST_BINS = 512

_told: set[str] = set()


class Loggable(ABC):
    """A value that is more than a number, as `run.log` writes it."""

    @abstractmethod
    def encoded(self, tag: str) -> list[bytes]:
        """Return the values to write under the tag (see `runcast.events.media`)."""


class Media(Loggable):
    """Such a value that users make themselves, and may put into a table."""

    caption: str | None = None

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """Return the value without loss, as JSON can hold it."""


class Filed(Media):
    """Such a value that TensorBoard shows a part of, and of which the whole is kept as a file of the run's."""

    folder: str
    suffix: str

    @abstractmethod
    def encoded(self, tag: str, kept_as: str = "") -> list[bytes]:
        """See `Loggable.encoded`; `kept_as` names the file that has all of it."""

    @abstractmethod
    def dump(self) -> bytes:
        """Return the whole of it, as the file has it."""


class Html(Filed):
    """A page, kept as a file: its text, its path (of a file that is there), or an open file. TensorBoard shows where it is."""

    folder, suffix = "html", ".html"

    def __init__(self, data: Any, inject: bool = True, data_is_not_path: bool = False) -> None:
        del inject  # W&B's style sheet
        text = data.read() if hasattr(data, "read") else data
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        if not isinstance(text, (str, os.PathLike)):
            raise SettingsError(f"a page must be a text, a path or an open file, not a {type(data).__name__}")
        if isinstance(text, os.PathLike) or (not data_is_not_path and _is_page(text)):
            try:
                text = Path(text).read_text("utf-8", "replace")
            except OSError as error:
                raise SettingsError(
                    f"cannot read the page {os.fspath(text)}: {error.strerror}; check the path"
                ) from error
        self.html: str = text

    def encoded(self, tag: str, kept_as: str = "") -> list[bytes]:
        return [plugins.text_value(tag, f"A page: `{kept_as}`")]

    def dump(self) -> bytes:
        return self.html.encode("utf-8", "replace")

    def as_json(self) -> dict[str, Any]:
        return {"type": "html", "data": self.html}


class Image(Media):
    """An image, or a batch of them: an array or tensor, a PIL image, a Matplotlib figure, the path of a file, or its bytes.

    Arrays are height x width, with 1, 3 or 4 channels last or (tensors) first; a fourth axis before those is a batch. Values from
    0 to 1 are stretched to 255. `mode` is taken as W&B does, and ignored, as are overlays (`boxes`, `masks`), which is told.
    """

    def __init__(self, data: Any, mode: str | None = None, caption: str | None = None, **others: Any) -> None:
        del mode
        _tell_ignored("Image", others, quiet={"file_type", "grouping", "normalize"})
        if isinstance(data, Image):
            caption = data.caption if caption is None else caption
            self.pictures: list[Picture] = data.pictures
        else:
            self.pictures = pictures_of(data)
        self.caption = None if caption is None else str(caption)

    def encoded(self, tag: str) -> list[bytes]:
        return _images(tag, [self])

    def as_json(self) -> dict[str, Any]:
        return {
            "type": "image",
            "caption": self.caption,
            "data": [_base64(each.data) for each in self.pictures],
        }


class Video(Media):
    """Frames as (time, channel, height, width), shown as an animated GIF, or the path of a GIF."""

    def __init__(
        self, data: Any, caption: str | None = None, fps: float | None = None, **others: Any
    ) -> None:
        _tell_ignored("Video", others, quiet={"format"})
        self.pictures = [animation_of(data, 4.0 if fps is None else float(fps))]
        self.caption = None if caption is None else str(caption)

    def encoded(self, tag: str) -> list[bytes]:
        return _images(tag, [self])

    def as_json(self) -> dict[str, Any]:
        return {
            "type": "video",
            "caption": self.caption,
            "data": [_base64(each.data) for each in self.pictures],
        }


class Histogram(Media):
    """How values are distributed: the values themselves, or `np_histogram=(counts, edges)` as `numpy.histogram` returns it.

    NaN and infinities are left out.
    """

    def __init__(
        self,
        sequence: Any = None,
        np_histogram: tuple[Any, Any] | None = None,
        num_bins: int = 64,
    ) -> None:
        import numpy as np  # the training may have none

        if np_histogram is not None:
            try:
                counts, edges = (np.asarray(each, dtype=np.float64) for each in np_histogram)
            except (TypeError, ValueError) as error:
                raise SettingsError(f"np_histogram must be (counts, edges): {error}") from error
            if counts.ndim != 1 or edges.shape != (counts.size + 1,):
                raise SettingsError(
                    f"np_histogram has {counts.size} counts and {edges.size} edges; there must be one edge more"
                )
        else:
            array = array_of(sequence)
            try:
                values = np.asarray(sequence if array is None else array, dtype=np.float64).ravel()
            except (TypeError, ValueError) as error:
                raise SettingsError(f"a histogram needs numbers: {error}") from error
            values = values[np.isfinite(values)]
            counts, edges = np.histogram(values, bins=min(max(int(num_bins), 1), MOST_BINS))
        self.counts: list[float] = counts.tolist()
        self.edges: list[float] = edges.tolist()

    def encoded(self, tag: str) -> list[bytes]:
        return [plugins.histogram_value(tag, self.edges, self.counts)]

    def as_json(self) -> dict[str, Any]:
        return {"type": "histogram", "counts": self.counts, "edges": self.edges}


class Audio(Media):
    """A sound: samples from -1 to 1 (or 16-bit integers), one column a channel, with their `sample_rate`; or a WAV file's path."""

    def __init__(self, data_or_path: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        self.caption = None if caption is None else str(caption)
        if isinstance(data_or_path, (str, os.PathLike)):
            try:
                self.wav = Path(data_or_path).read_bytes()
            except OSError as error:
                raise SettingsError(
                    f"cannot read the sound {os.fspath(data_or_path)}: {error.strerror}; check the path"
                ) from error
            if not (self.wav.startswith(b"RIFF") and self.wav[8:12] == b"WAVE"):
                raise SettingsError(
                    f"{os.fspath(data_or_path)} is no WAV file, which is all that TensorBoard plays; "
                    "keep other files with run.save(path)"
                )
            return
        if sample_rate is None:
            raise SettingsError("a sound of samples needs its sample_rate, such as 44100")
        self.wav = _wav(data_or_path, int(sample_rate))

    def encoded(self, tag: str) -> list[bytes]:
        return [plugins.audio_value(tag, [self.wav]), *_caption(tag, [self.caption])]

    def as_json(self) -> dict[str, Any]:
        return {"type": "audio", "caption": self.caption, "data": [_base64(self.wav)]}


class Text(Loggable):
    """A text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def encoded(self, tag: str) -> list[bytes]:
        return [plugins.text_value(tag, self.text)]


class _Several(Loggable):
    """Images that were logged as a list."""

    def __init__(self, images: list[Image | Video]) -> None:
        self._images = images

    def encoded(self, tag: str) -> list[bytes]:
        return _images(tag, self._images)


def media_of(value: Any) -> Loggable | None:
    """Return what a plain value stands for; None for one that nobody understands.

    Images and figures are images, a list of them several; a text is a text; an array, a tensor or a list of numbers is a
    histogram. May raise whatever a user's object does.
    """
    if isinstance(value, Loggable):
        return value
    if isinstance(value, str):
        return Text(value)
    if _is_image(value):
        return Image(value)
    if isinstance(value, Sequence) and value and not isinstance(value, (bytes, bytearray)):
        if all(isinstance(each, (Image, Video)) or _is_image(each) for each in value):
            return _Several([each if isinstance(each, (Image, Video)) else Image(each) for each in value])
        if all(isinstance(each, (int, float)) for each in value):
            return Histogram(value)
        return None
    if hasattr(value, "shape") and (array := array_of(value)) is not None and array.size > 1:
        return Histogram(array)
    return None


def _is_page(text: str) -> bool:
    """Whether a text is the path of a file, as W&B takes it to be where it is one."""
    try:
        return text.endswith((".html", ".htm")) and Path(text).is_file()
    except (OSError, ValueError):
        return False


def _is_image(value: Any) -> bool:
    return is_pil(value) or figure_of(value) is not None


def _images(tag: str, images: Sequence[Image | Video]) -> list[bytes]:
    pictures = [picture for image in images for picture in image.pictures]
    captions = [image.caption for image in images]
    value = plugins.image_value(tag, [each.data for each in pictures], pictures[0].width, pictures[0].height)
    return [value, *_caption(tag, captions)]


def _caption(tag: str, captions: Sequence[str | None]) -> list[bytes]:
    """Return the captions as a text beside the tag: TensorBoard has no place for them at the image itself."""
    if not any(captions):
        return []
    lines = captions if len(captions) == 1 else [f"{at}. {each or ''}" for at, each in enumerate(captions, 1)]
    return [plugins.text_value(f"{tag}/caption", "\n".join(line or "" for line in lines))]


def _wav(data: Any, sample_rate: int) -> bytes:
    import numpy as np

    array = array_of(data)
    samples = np.asarray(data if array is None else array)
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf" or not samples.size:
        raise SettingsError("a sound must be numbers, as samples or as samples x channels")
    if samples.dtype != np.int16:
        samples = (np.nan_to_num(samples.astype(np.float64)).clip(-1, 1) * 32767).round().astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _tell_ignored(what: str, others: dict[str, Any], quiet: set[str]) -> None:
    for name in others.keys() - quiet:
        if f"{what}.{name}" not in _told and others[name] is not None:
            _told.add(f"{what}.{name}")
            log.warning("runcast: %s(%s=…) is not shown by TensorBoard; the rest is recorded", what, name)
