"""`runcast reindex`: the index anew, from the files of runs."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from runcast.cli.serve import database_option, files_option, open_served

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["COMMANDS"]


@click.command()
@click.argument("runs", metavar="[ID]...", nargs=-1)
@database_option
@files_option
@click.pass_obj
def reindex(place: Path | None, runs: tuple[str, ...], database: str | None, files: str | None) -> None:
    """Rebuild the index of all runs, or of those named by id, from their files.

    In place, while others read and write, or into a new database; users, tokens and shares are not part of it. A run that is being
    recorded on this machine is left as it is.
    """
    with open_served(place, database, files) as store:
        index = store.reindex()
        chosen = list(runs) or index.runs()
        outcomes: Counter[str] = Counter()
        with click.progressbar(
            chosen, label="rebuilding", file=sys.stderr, width=30, show_pos=True
        ) as progress:
            for run in progress:
                done = index.rebuild(run)
                outcomes[done.outcome] += 1
                if done.why:
                    click.echo(
                        f"\n{run}: {done.why}" if sys.stderr.isatty() else f"{run}: {done.why}", err=True
                    )
    rebuilt, left = outcomes["rebuilt"], len(chosen) - outcomes["rebuilt"]
    click.echo(
        f"rebuilt: {rebuilt} {'run' if rebuilt == 1 else 'runs'}"
        + (f"; left as they are: {left}" if left else "")
    )
    if outcomes["recording"] or outcomes["failed"]:
        sys.exit(1)


COMMANDS = (reindex,)
