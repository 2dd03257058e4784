"""How a `Logdir` looks, in a console and in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runcast.logdir.answers import Tag
    from runcast.logdir.files import LogFile

__all__ = ["as_html", "as_text"]

_ROWS = 60

_RIGHT = ("steps", "values")
_HEADINGS = ("source", "tag", "kind", "values", "steps")


def as_text(place: str, files: list[LogFile]) -> str:
    """Say where the logs are and how many; nothing has to be read for it."""
    return f"<Logdir {place!r}: {_sizes(files)}>"


def as_html(place: str, files: list[LogFile], tags: list[Tag]) -> str:
    """Return a table of the series."""
    rows = [
        (
            tag.source,
            tag.tag,
            tag.plugin or "tensor",
            f"{tag.count:,}",
            f"{tag.first_step:,} to {tag.last_step:,}",
        )
        for tag in tags[:_ROWS]
    ]
    more = (
        f"<p>… and {len(tags) - _ROWS:,} more: <code>.tags()</code> lists all</p>"
        if len(tags) > _ROWS
        else ""
    )
    return (
        f"<p><b>{escape(place)}</b>: {_sizes(files)}</p>"
        f"<table><thead>{_row('th', _HEADINGS)}</thead>"
        f"<tbody>{''.join(_row('td', row) for row in rows)}</tbody></table>{more}"
    )


def _row(cell: str, texts: tuple[str, ...]) -> str:
    cells = (
        f'<{cell} style="text-align: {"right" if heading in _RIGHT else "left"}">{escape(text)}</{cell}>'
        for heading, text in zip(_HEADINGS, texts, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _sizes(files: list[LogFile]) -> str:
    sources = len({file.source for file in files})
    return f"{_counted(sources, 'source')}, {_counted(len(files), 'file')}, {_bytes(sum(file.size for file in files))}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _bytes(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3g} GB"
