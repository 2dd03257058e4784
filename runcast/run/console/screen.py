"""What a terminal would show of a stream of text: progress bars that draw over themselves end as one line each.

Understood are the control characters that such programs use: newline, carriage return, backspace, tab, the cursor going up and
down by lines, erasing in a line, and colours, which are kept as they were sent. Every other escape sequence is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LONGEST_LINE", "Screen"]

LONGEST_LINE = 8192
"""Characters that are kept of one line."""

REACH = 64
"""Lines above the cursor that can still be drawn over."""

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f\x9b]+)"
    r"|(?:\x1b\[|\x9b)(?P<numbers>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a title, a link
    r"|\x1b[ -/]*[0-~]"
    r"|(?P<control>.)",
    re.DOTALL,
)
_UNFINISHED = re.compile(r"(?:\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,4096}\x1b?|[ -/]*)?|\x9b[0-?]*[ -/]*)\Z")


@dataclass
class _Line:
    number: int
    characters: list[str] = field(default_factory=list)
    styles: list[str] | None = None
    """The colours that hold at each character; None while there were none in this line."""
    left_out: int = 0
    changed: bool = True
    told: bool = False

    def put(self, column: int, text: str, style: str) -> None:
        room = max(0, LONGEST_LINE - column)
        self.left_out = max(self.left_out, column + len(text) - LONGEST_LINE)
        text = text[:room]
        if column > len(self.characters):
            self._pad(column)
        if style and self.styles is None:
            self.styles = [""] * len(self.characters)
        self.characters[column : column + len(text)] = text
        if self.styles is not None:
            self.styles[column : column + len(text)] = [style] * len(text)
        self.changed = True

    def erase(self, start: int, stop: int | None) -> None:
        if stop is None or stop >= len(self.characters):
            del self.characters[start:]
            if self.styles is not None:
                del self.styles[start:]
        else:
            self.put(start, " " * (stop - start), "")
        self.changed = True

    def _pad(self, column: int) -> None:
        missing = column - len(self.characters)
        self.characters += " " * missing
        if self.styles is not None:
            self.styles += [""] * missing

    def text(self) -> str:
        suffix = f"… ({self.left_out} more characters)" if self.left_out > 0 else ""
        if self.styles is None:
            return "".join(self.characters).rstrip() + suffix
        parts, now = [], ""
        for character, style in zip(self.characters, self.styles, strict=True):
            if style != now:
                parts.append("\x1b[0m" * bool(now) + style)
                now = style
            parts.append(character)
        return "".join(parts).rstrip() + "\x1b[0m" * bool(now) + suffix


class Screen:
    """Follows one stream. Lines are numbered from 0; `lines` says which of them are new or look different now."""

    def __init__(self) -> None:
        self._lines = [_Line(0)]
        self._row = 0
        self._column = 0
        self._style = ""
        self._rest = ""

    def feed(self, text: str) -> None:
        """Take in what was written next; an escape sequence may be cut anywhere."""
        text = self._rest + text
        unfinished = _UNFINISHED.search(text)
        self._rest = text[unfinished.start() :] if unfinished else ""
        end = len(text) - len(self._rest)
        for token in _TOKEN.finditer(text, 0, end):
            if (written := token["text"]) is not None:
                self._lines[self._row].put(self._column, written, self._style)
                self._column += len(written)
            elif (control := token["control"]) is not None:
                self._control(control)
            elif (final := token["final"]) is not None:
                self._sequence(token["numbers"], final)

    def lines(self, *, everything: bool) -> Iterator[tuple[int, str, bool]]:
        """Return number and text of the lines that are complete and were not returned before, and whether each is still open.

        With `everything` also the line that is being written, which is the open one, and those that changed since they were
        returned.
        """
        gone = max(0, min(len(self._lines) - REACH, self._row))
        for row, line in enumerate(self._lines):
            due = everything or row < gone or (not line.told and row != self._row)
            if line.changed and due and (line.characters or row < len(self._lines) - 1):
                line.changed, line.told = False, True
                yield line.number, line.text(), row == self._row
        del self._lines[:gone]
        self._row -= gone

    def _control(self, control: str) -> None:
        if control == "\n":
            self._column = 0
            self._down(1)
        elif control == "\r":
            self._column = 0
        elif control == "\b":
            self._column = max(0, self._column - 1)
        elif control == "\t":
            stop = self._column // 8 * 8 + 8
            self._lines[self._row].put(self._column, " " * (stop - self._column), self._style)
            self._column = stop

    def _down(self, rows: int) -> None:
        self._row += rows
        while self._row >= len(self._lines):
            self._lines.append(_Line(self._lines[-1].number + 1))

    def _sequence(self, numbers: str, final: str) -> None:
        given = [int(number) if number.isdigit() else 0 for number in numbers.split(";")]
        count = max(1, given[0])
        line = self._lines[self._row]
        if final == "m":
            reset = given[0] == 0
            self._style = (
                "" if reset and len(given) == 1 else f"{'' if reset else self._style}\x1b[{numbers}m"
            )
            self._style = self._style[-256:] if len(self._style) <= 256 else ""
        elif final in "AF":
            self._row = max(0, self._row - count)
            self._column = 0 if final == "F" else self._column
        elif final in "BE":
            self._down(min(count, REACH))
            self._column = 0 if final == "E" else self._column
        elif final == "C":
            self._column = min(self._column + count, LONGEST_LINE)
        elif final == "D":
            self._column = max(0, self._column - count)
        elif final == "G":
            self._column = min(count - 1, LONGEST_LINE)
        elif final == "K":
            start, stop = {0: (self._column, None), 1: (0, self._column + 1)}.get(given[0], (0, None))
            line.erase(start, stop)
