"""The options of the magics: parsed like a command line, refused in one line."""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from runcast.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SYNC_USAGE", "SyncOptions", "parse_sync", "split"]

SYNC_USAGE = """\
%sync_tensorboard [LOGDIR ...] [--project P] [--name N] [--to URL] [--no-save] [--no-tensorboard] [--height H]

  LOGDIR            a folder, or s3://…, gs://… or az://…, to watch, also for other processes; it need not exist yet
  --project P       the project that the run belongs to
  --name N          the run's name
  --to URL          bring the run to this server as well (`runcast login URL` stores a token for it)
  --no-save         record the metrics, keep no copy of the event files
  --no-tensorboard  no TensorBoard tab
  --height H        height of the panel in pixels (200 to 4000)

%%sync_tensorboard takes the same, records its cell as one run and finishes it."""

HEIGHT = 560
"""Pixels of the panel when nobody asks for more."""


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """What `%sync_tensorboard` was asked for."""

    logdirs: tuple[str, ...] = ()
    project: str | None = None
    name: str | None = None
    to: str | None = None
    save: bool = True
    tensorboard: bool = True
    height: int = HEIGHT
    help: bool = False


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(
            f"{message.removeprefix('argument ')}; %sync_tensorboard --help lists the options"
        )


def _height(text: str) -> int:
    if not text.isdecimal() or not 200 <= int(text) <= 4000:
        raise argparse.ArgumentTypeError(f"{text!r} is no height; give pixels from 200 to 4000")
    return int(text)


def _sync_parser() -> _Parser:
    parser = _Parser(prog="%sync_tensorboard", add_help=False, allow_abbrev=False)
    parser.add_argument("logdirs", nargs="*")
    parser.add_argument("--project")
    parser.add_argument("--name")
    parser.add_argument("--to", metavar="URL")
    parser.add_argument("--no-save", dest="save", action="store_false")
    parser.add_argument("--no-tensorboard", dest="tensorboard", action="store_false")
    parser.add_argument("--height", type=_height, default=HEIGHT)
    parser.add_argument("-h", "--help", action="store_true")
    return parser


def parse_sync(line: str) -> SyncOptions:
    """Return the options in `line`. Raises `SettingsError`, one line, for what cannot be understood."""
    parser = _sync_parser()
    known, unknown = parser.parse_known_intermixed_args(split(line))
    if unknown:
        raise SettingsError(_unknown(unknown[0], list(parser._option_string_actions)))  # noqa: SLF001
    values = vars(known)
    values["logdirs"] = tuple(os.path.expanduser(logdir) for logdir in known.logdirs)  # noqa: PTH111
    return SyncOptions(**values)


def split(line: str) -> list[str]:
    """Split a magic's line into words as a shell would; on Windows a backslash is no escape.

    Raises `SettingsError` for a quotation that is not closed.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if os.name == "nt":
        lexer.escape = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise SettingsError(f"cannot read {line!r}: {str(error).lower()}") from error


def nearest(word: str, known: Sequence[str]) -> str:
    """Return "; did you mean …?" for the known word that is nearest, or nothing if none is near."""
    found = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _unknown(option: str, known: Sequence[str]) -> str:
    name = option.partition("=")[0]
    hint = nearest(name, known) or "; %sync_tensorboard --help lists the options"
    return f"unknown option {name}{hint}"
