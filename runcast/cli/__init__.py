"""The command line: `runcast runs | show | history | status`."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 for what cannot be done, 2 for what cannot be understood, or a command's own.

    An error is one line on stderr. `arguments` are those of the process if None.
    """
    import click

    from runcast.cli.commands import runcast
    from runcast.errors import RuncastError

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name or a config may hold what is no text, and a terminal may know fewer letters.
        sys.stdout.reconfigure(errors="replace")
    try:
        code = runcast.main(arguments, prog_name="runcast", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "runcast"
        return _fail(f"{error.format_message().rstrip('.')}; see `{command} --help`", 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 1)
    except RuncastError as error:
        return _fail(str(error), 1)
    except BrokenPipeError:
        # The reader has seen enough (`runcast runs | head`). Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (click.Abort, KeyboardInterrupt):
        return 130
    return 0


def _fail(message: str, code: int) -> int:
    print(f"runcast: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - a command line prints
    return code
