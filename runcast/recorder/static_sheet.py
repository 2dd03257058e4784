"""A white sheet of CSS pixels to write and draw on: the little of matplotlib that the static form's picture needs.

Fonts, colours and text modes are all stated, whatever a user's matplotlibrc says, and no global state is kept or changed.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any, Literal, cast

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox, TransformedBbox
from PIL import Image

from runcast.recorder.static_charts import WIDTH

__all__ = ["Sheet"]

_SHARPNESS = 2
"""The picture's own pixels for each CSS pixel."""

_FAMILIES = ("Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans")
_FALLBACKS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Yu Gothic",
    "Malgun Gothic", "WenQuanYi Micro Hei", "Arial Unicode MS",
)  # fmt: skip
_NO_GLYPH = "\N{WHITE VERTICAL RECTANGLE}"

Align = Literal["left", "center", "right"]


class Sheet:
    """A white figure, `WIDTH` CSS pixels wide and as high as `png` is told, whose origin is the top left corner."""

    def __init__(self) -> None:
        self._figure = Figure(
            figsize=(WIDTH / 72, 1), dpi=72 * _SHARPNESS, facecolor="white", edgecolor="white"
        )
        self._canvas = cast("Any", FigureCanvasAgg(self._figure))
        self._measure: Any = self._canvas.get_renderer()
        self._to_device = Affine2D()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        colour: str,
        *,
        bold: bool = False,
        align: Align = "left",
    ) -> float:
        """Write `text` with its baseline at `y` and return where it ends (if it is aligned left)."""
        text = _readable(text)
        self._figure.add_artist(
            Text(
                x,
                y,
                text,
                color=colour,
                fontproperties=_font(size, bold=bold),
                horizontalalignment=align,
                verticalalignment="baseline",
                transform=self._to_device,
                parse_math=False,
                usetex=False,
            )
        )
        return x + (self.width(text, size, bold=bold) if align == "left" else 0)

    def line(
        self,
        xs: Any,
        ys: Any,
        colour: str,
        width: float,
        *,
        alpha: float = 1,
        clip: tuple[float, float, float, float] | None = None,
    ) -> None:
        """Draw a line through the points, with a gap at each that is not finite."""
        line = Line2D(
            xs,
            ys,
            color=colour,
            alpha=alpha,
            linewidth=width,
            linestyle="-",
            marker="None",
            antialiased=True,
            solid_joinstyle="round",
            solid_capstyle="butt",
            transform=self._to_device,
        )
        self._figure.add_artist(line)
        if clip is not None:
            line.set_clip_box(TransformedBbox(_box(*clip), self._to_device))

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        """Draw a filled circle."""
        self._figure.add_artist(
            Line2D(
                [x],
                [y],
                linestyle="None",
                marker="o",
                markersize=2 * radius,
                markerfacecolor=colour,
                markeredgecolor="none",
                markeredgewidth=0,
                antialiased=True,
                transform=self._to_device,
            )
        )

    def width(self, text: str, size: float, *, bold: bool = False) -> float:
        """Return how wide `text` is."""
        width, _, _ = self._measure.get_text_width_height_descent(
            _readable(text), _font(size, bold=bold), ismath=False
        )
        return float(width) / _SHARPNESS

    def fit(self, text: str, room: float, size: float, *, bold: bool = False) -> str:
        """Return `text`, with as much of its middle left out as it takes to fit in `room`."""
        text = text[:1000]
        if self.width(text, size, bold=bold) <= room:
            return text
        low, high = 0, len(text) - 1
        while low < high:
            kept = (low + high + 1) // 2
            if self.width(_shorten(text, kept), size, bold=bold) <= room:
                low = kept
            else:
                high = kept - 1
        return _shorten(text, low)

    def png(self, height: float) -> bytes:
        """Draw and return the PNG."""
        height = round(height)
        self._figure.set_size_inches(WIDTH / 72, height / 72)
        self._to_device.scale(_SHARPNESS, -_SHARPNESS).translate(0, height * _SHARPNESS)
        self._canvas.draw()
        image = Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB")
        # So few colours are in it that a palette of 256 cannot be told from all of them, at a third of the size.
        image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        image.putpalette([255 if level == 254 else level for level in image.getpalette() or ()])
        file = io.BytesIO()
        image.save(file, "png", compress_level=6)
        return file.getvalue()


def _shorten(text: str, kept: int) -> str:
    head = kept - kept * 2 // 3
    return f"{text[:head]}…{text[len(text) - (kept - head) :]}"


def _box(left: float, top: float, right: float, bottom: float) -> Any:
    return Bbox([[left, top], [right, bottom]])


@cache
def _font(size: float, *, bold: bool) -> FontProperties:
    return FontProperties(
        family=_families(),
        size=size,
        weight="bold" if bold else "normal",
        style="normal",
        variant="normal",
        stretch="normal",
    )


@cache
def _families() -> list[str]:
    """Return the fonts to look in for each character, of those that are here; the last resort comes with matplotlib."""
    here = set(font_manager.get_font_names())
    return [
        *[name for name in _FAMILIES if name in here][:1],
        "DejaVu Sans",
        *[name for name in _FALLBACKS if name in here][:2],
    ]


def _readable(text: str) -> str:
    """Return `text` with something in place of characters that no font has, and of those that would break the line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if ord(character) in _covered() else " " if character.isspace() else _NO_GLYPH
        for character in text
    )


@cache
def _covered() -> frozenset[int]:
    """Return the characters that can be drawn."""
    codes: set[int] = set()
    for family in _families():
        path = font_manager.findfont(FontProperties(family=[family]))
        codes.update(font_manager.get_font(path).get_charmap())
    return frozenset(code for code in codes if code >= 32 and code != 127)
