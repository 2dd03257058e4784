"""`runcast rm` and `runcast restore`: into the trash, and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from runcast.store.local import LocalStore

__all__ = ["COMMANDS"]

some_runs = click.argument("runs", metavar="RUN…", nargs=-1, required=True)


@click.command("rm")
@some_runs
@click.option("--for-good", is_flag=True, help="Delete them and their files at once; there is no undo.")
@click.pass_obj
def remove(place: Path | None, runs: tuple[str, ...], for_good: bool) -> None:
    """Put runs into the trash; with --for-good also runs that are there already.

    `runcast restore` takes them out again. A server empties its trash of what has been there for 30 days.
    """
    from runcast.cli.find import find_run
    from runcast.errors import RunNotFound

    store = _open(place)
    found = []
    for wanted in runs:  # all of them or none
        try:
            found.append(find_run(store, wanted))
        except RunNotFound:  # noqa: PERF203 - a few
            if not for_good:
                raise
            found.append(find_run(store, wanted, trashed=True))
    for run in dict.fromkeys(each.id for each in found):
        store.trash(run)
        if for_good:
            store.purge(run)
    names = ", ".join(f"{run.name} ({run.id})" for run in found)
    click.echo(f"deleted for good: {names}" if for_good else f"in the trash: {names}")


@click.command()
@some_runs
@click.pass_obj
def restore(place: Path | None, runs: tuple[str, ...]) -> None:
    """Take runs out of the trash."""
    from runcast.cli.find import find_run

    store = _open(place)
    found = [find_run(store, wanted, trashed=True) for wanted in runs]
    for run in found:
        store.restore(run.id)
    click.echo(f"restored: {', '.join(f'{run.name} ({run.id})' for run in found)}")


def _open(place: Path | None) -> LocalStore:
    from runcast.cli.commands import open_local
    from runcast.errors import RunNotFound
    from runcast.settings import runcast_dir

    store = open_local(place)
    if store is None:
        raise RunNotFound(
            f"there are no runs in {place or runcast_dir()}; name another folder with --dir or RUNCAST_DIR"
        )
    return store


COMMANDS = (remove, restore)
