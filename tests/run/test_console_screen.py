"""What a stream of text looks like in the end, line by line."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from runcast.run.console.screen import LONGEST_LINE, Screen


def shown(*pieces):
    """Return the lines as they look in the end."""
    screen = Screen()
    lines = {}
    for piece in pieces:
        screen.feed(piece)
        lines.update((number, text) for number, text, _ in screen.lines(everything=False))
    lines.update((number, text) for number, text, _ in screen.lines(everything=True))
    return [lines[number] for number in sorted(lines)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("no newline", ["no newline"]),
        ("a\n\nb\n", ["a", "", "b"]),
        ("10%\r50%\r100%\n", ["100%"]),
        ("loading...\rdone\n", ["doneing..."]),
        ("loading...\r\x1b[Kdone\n", ["done"]),
        ("windows\r\n", ["windows"]),
        ("abc\b\bX\n", ["aXc"]),
        ("a\tb\n", ["a       b"]),
        ("\x1b[31mred\x1b[0m plain\n", ["\x1b[31mred\x1b[0m plain"]),
        ("\x1b]0;a title\x07text\n", ["text"]),
        ("first\nsecond\x1b[A\rFIRST\x1b[B\rSECOND\n", ["FIRST", "SECOND"]),
        ("\x1b[2J\x1b[Hclean\n", ["clean"]),
        ("naïve 进度 🚀\n", ["naïve 进度 🚀"]),
    ],
)
def test_control_characters_do_what_a_terminal_does(text, lines):
    """Progress bars, colours and corrections end as a person would have seen them."""
    assert shown(text) == lines


@given(st.text(alphabet="ab\n\r\b\x1b[]0;1mAKB\x07 ", max_size=60), st.integers(0, 60))
def test_where_the_text_is_cut_makes_no_difference(text, cut):
    """A write may end anywhere, within an escape sequence as well."""
    assert shown(text[:cut], text[cut:]) == shown(text)


def test_a_bar_is_one_line_that_is_told_when_it_is_over():
    """What tqdm draws is the last state of its bar, among the lines that were printed meanwhile."""
    stream = io.StringIO()
    for step in tqdm(range(50), file=stream, mininterval=0, ascii=True, ncols=60):
        if step == 20:
            tqdm.write("checkpoint", file=stream)
    lines = shown(*stream.getvalue())
    assert lines[0] == "checkpoint"
    assert lines[1].startswith("100%|")
    assert len(lines) == 2


def test_nested_bars_keep_their_lines():
    """Bars above each other are drawn with the cursor going up: each is a line of its own."""
    stream = io.StringIO()
    look = {"file": stream, "mininterval": 0, "ascii": True, "ncols": 60}
    for _ in tqdm(range(3), desc="outer", **look):
        for _ in tqdm(range(4), desc="inner", leave=False, **look):
            seen = shown(stream.getvalue())
            assert [line[:5] for line in seen] == ["outer", "inner"]
    assert [line.partition("%")[0] for line in shown(stream.getvalue())] == ["outer: 100", ""]


def test_a_line_is_told_once_it_is_complete():
    """A line that is being written is not told before its newline, and not again after."""
    screen = Screen()
    screen.feed("one\ntw")
    assert list(screen.lines(everything=False)) == [(0, "one", False)]
    assert list(screen.lines(everything=True)) == [(1, "tw", True)]
    screen.feed("o\n")
    assert list(screen.lines(everything=True)) == [(1, "two", False)]
    assert list(screen.lines(everything=True)) == []


def test_a_line_without_end_is_cut():
    """A megabyte without a newline takes the room of a long line, and says how much is missing."""
    (line,) = shown("x" * 1_000_000)
    assert line == "x" * LONGEST_LINE + f"… ({1_000_000 - LONGEST_LINE} more characters)"


def test_lines_far_above_are_as_they_were_seen_last():
    """A bar that has gone out of reach is told with its last state."""
    lines = shown("bar 1%\n", "\x1b[A\rbar 99%\n", "".join(f"{number}\n" for number in range(200)))
    assert lines[0] == "bar 99%"
    assert lines[1:] == [str(number) for number in range(200)]
