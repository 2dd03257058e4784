"""`%sync_tensorboard`, `%%sync_tensorboard` and `%runcast`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class

from runcast.errors import RuncastError
from runcast.magics.options import SYNC_USAGE, nearest, parse_sync, split

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from runcast.extension.session import Session

__all__ = ["RuncastMagics", "rewrite_cell_magic"]

RUNCAST_USAGE = """\
%runcast status   every watched file: bytes written and recorded, lag, skipped records, and why one is left out
%runcast finish   finish the run; its charts stay in the notebook
%runcast sync PATH|URL ...   make runs of logs that are there already; `%runcast sync --help` lists the options
%runcast help     this"""

COMMANDS = ("status", "finish", "sync", "help")

_CELL = re.compile(r"%%sync_tensorboard(?:[ \t]+(?P<options>.*?))?[ \t]*\r?\n?$")


@magics_class
class RuncastMagics(Magics):
    """The magics of one shell. A mistake is answered in one line (`UsageError`), never with a traceback."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self._session = session

    @line_cell_magic
    def sync_tensorboard(self, line: str, cell: str | None = None) -> None:
        """Record every TensorBoard writer of this kernel as a run, and show it live; `--help` lists the options."""
        if cell is None:
            self._start(line, for_cell=False)
        else:
            # Typed cells do not come here (see `rewrite_cell_magic`), only calls of run_cell_magic().
            assert self.shell is not None
            self.shell.run_cell(  # type: ignore[no-untyped-call]
                f"%%sync_tensorboard {line}\n{cell}"
            ).raise_error()

    @line_magic
    def _sync_tensorboard_cell(self, line: str) -> None:
        """Start the run of a `%%sync_tensorboard` cell; a line that such a cell is rewritten to."""
        self._start(line, for_cell=True)

    @line_magic
    def runcast(self, line: str) -> None:
        """`%runcast status`, `%runcast finish`, `%runcast sync …` or `%runcast help`."""
        try:
            words = split(line)
        except RuncastError as error:
            raise UsageError(str(error)) from None
        match words:
            case ["status"]:
                from runcast.magics.status import print_status

                print_status(self._session)
            case ["finish"]:
                run = self._session.finish()
                if run is None:
                    print("runcast: no run to finish; %sync_tensorboard starts one")  # noqa: T201
                else:
                    print(f"runcast: {run.name} is {run.state}; `runcast show {run.id}` shows it")  # noqa: T201
            case ["sync", *rest]:
                from runcast.magics.bring import bring

                assert self.shell is not None
                bring(rest, self.shell)
            case [] | ["help"] | ["--help"] | ["-h"]:
                print(RUNCAST_USAGE)  # noqa: T201
            case [word] if word not in COMMANDS:
                raise UsageError(
                    f"%runcast knows no {word!r}{nearest(word, COMMANDS) or '; try %runcast help'}"
                )
            case [word, *_]:
                raise UsageError(f"%runcast {word} takes nothing more; try %runcast help")

    def _start(self, line: str, *, for_cell: bool) -> None:
        try:
            options = parse_sync(line)
            if options.help:
                print(SYNC_USAGE)  # noqa: T201
            else:
                self._session.start(options, for_cell=for_cell)
        except RuncastError as error:
            raise UsageError(str(error)) from None


def rewrite_cell_magic(lines: list[str]) -> list[str]:
    """Turn the first line of a `%%sync_tensorboard` cell into a statement that starts its run; the hooks end it.

    So the body is an ordinary cell: its names land in the user's namespace, `await` works, its last expression is
    displayed, its traceback counts lines as the cell does, and its failure is the cell's.
    """
    found = _CELL.match(lines[0]) if lines else None
    if found is None or not any(line.strip() for line in lines[1:]):
        return lines
    options = found["options"] or ""
    return [f"get_ipython().run_line_magic('_sync_tensorboard_cell', {options!r})\n", *lines[1:]]


rewrite_cell_magic.has_side_effects = True  # type: ignore[attr-defined]  # IPython then asks for a blank line as for any %% cell
