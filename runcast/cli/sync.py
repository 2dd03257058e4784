"""`runcast login`, `runcast logout` and `runcast sync`: runs of this machine, and a server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from runcast.run.record import RunRecord
    from runcast.settings import Settings
    from runcast.store.local import LocalStore
    from runcast.sync.stores import Destination

__all__ = ["COMMANDS"]


@click.command()
@click.argument("url")
@click.option("--token", metavar="-", help="`-`: read an API token from standard input.")
@click.option("--user", metavar="NAME", help="Make a token with this user's password, which is asked for.")
def login(url: str, token: str | None, user: str | None) -> None:
    """Keep an API token for the server at URL, so that runs can be brought there.

    It is asked for, and kept where only you can read it.
    """
    from runcast.client.login import keep_token, new_token
    from runcast.settings import server_url

    server = server_url(url)
    if token is not None and token != "-":  # noqa: S105
        raise click.UsageError(
            "a token on the command line can be read by others: write `--token -` and pipe it in"
        )
    if token is not None:
        secret = sys.stdin.readline()
    elif user is not None:
        secret = new_token(server, user, click.prompt("Password", hide_input=True, err=True))
    else:
        secret = click.prompt(f"API token for {server}", hide_input=True, err=True)
    who, place = keep_token(server, secret)
    click.echo(f"logged in to {server} as {who}; the token is kept in {place}")


@click.command()
@click.argument("url")
def logout(url: str) -> None:
    """Forget the token for the server at URL. It stays valid until it is revoked there."""
    from runcast.credentials import forget_token
    from runcast.settings import server_url

    server = server_url(url)
    known = forget_token(server)
    click.echo(f"the token for {server} is forgotten" if known else f"no token for {server} was kept")


@click.command()
@click.argument("what", metavar="[PATH|URL|RUN]...", nargs=-1)
@click.option("-p", "--project", metavar="P", help="The project of the runs that logs become.")
@click.option("-n", "--name", metavar="N", help="The name of the run that logs become; for one run.")
@click.option(
    "--id",
    "run_id",
    metavar="ID",
    help="The id of the run that logs become, new or there already; for one run.",
)
@click.option(
    "--to",
    metavar="STORE",
    help="A server, another folder of runs, or postgresql://…; without it, the setting's server, else the runs of this machine.",
)
@click.option(
    "--files",
    metavar="URL",
    envvar="RUNCAST_FILES",
    help="s3://…, gs://… or az://…: where a store on PostgreSQL keeps its files, if not in DIR.",
)
@click.option("--one-run", is_flag=True, help="All that is found becomes one run.")
@click.option("--run-per-dir", is_flag=True, help="Each folder with event files becomes a run.")
@click.option(
    "--include",
    metavar="GLOB",
    multiple=True,
    help="Only files, or files in folders, that match; several: any of them.",
)
@click.option("--exclude", metavar="GLOB", multiple=True, help="No files, nor files in folders, that match.")
@click.option("--dry-run", is_flag=True, help="Only say what would become which run.")
@click.option(
    "-j", "--jobs", metavar="N", type=click.IntRange(min=1), help="Processes at work (default: what fits)."
)
@click.option(
    "--executor",
    metavar="CLUSTER",
    help="dask://HOST:PORT, ray or ray://HOST:PORT: the workers of a cluster bring the logs.",
)
@click.option("--watch", is_flag=True, help="Go on bringing what is new, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "json"]),
    default="auto",
    help="json: say on stderr how far it is as JSON lines, for a program that shows it.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Without PATH: also runs that were meant to stay here."
)
@click.pass_context
def sync(
    context: click.Context,
    what: tuple[str, ...],
    project: str | None,
    name: str | None,
    run_id: str | None,
    to: str | None,
    files: str | None,
    *,
    one_run: bool,
    run_per_dir: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
    jobs: int | None,
    executor: str | None,
    watch: bool,
    as_json: bool,
    progress: Literal["auto", "json"],
    everything: bool,
) -> None:
    """Bring to a store what is not there yet: logs that were written without runcast, or runs of this machine.

    PATH and URL are TensorBoard logs: folders, event files, archives. They become runs, here or on a server; again, and what is new
    in them is added to the same runs. Without them, runs of this machine (RUN, or all that were meant for a server and are not wholly
    there) are brought to their server. Nothing is sent or written twice.
    """
    from runcast.errors import RunNotFound
    from runcast.sync.find import is_location

    place: Path | None = context.obj
    logs = [each for each in what if is_location(each)]
    if not logs:
        options: dict[str, Any] = {
            "--project": project,
            "--name": name,
            "--id": run_id,
            "--one-run": one_run,
            "--run-per-dir": run_per_dir,
        }
        options |= {
            "--include": include,
            "--exclude": exclude,
            "--dry-run": dry_run,
            "--jobs": jobs,
            "--executor": executor,
            "--watch": watch,
            "--json": as_json,
        }
        if given := next((option for option, value in options.items() if value), None):
            raise click.UsageError(
                f"{given} is for logs: name a folder, an event file or an archive{_not_there(what)}"
            )
        try:
            _bring_runs(place, what, to, everything=everything)
        except RunNotFound as error:
            if not what:
                raise
            names = ", ".join(map(repr, what))
            raise RunNotFound(f"{names}: no file or folder in {os.getcwd()}, and {error}") from error
        return
    if len(logs) < len(what):
        run = next(each for each in what if each not in logs)
        raise click.UsageError(
            f"{run}: there is no such file or folder; runs of this machine are brought by themselves, without paths"
        )
    if one_run and run_per_dir:
        raise click.UsageError("--one-run and --run-per-dir exclude each other")
    if watch and dry_run:
        raise click.UsageError("--watch and --dry-run exclude each other")
    if everything:
        raise click.UsageError("--all is for runs of this machine, not for logs")
    from runcast.cli.bringing import Wishes, bring
    from runcast.settings import load_settings
    from runcast.sync.transfer import Terms

    settings = load_settings(project=project, name=name, id=run_id)
    wishes = Wishes(
        "one" if one_run else "folder" if run_per_dir else "auto",
        include,
        exclude,
        dry_run,
        jobs,
        as_json,
        watch,
        executor,
        progress,
    )
    destination = _destination_of_logs(place, to, files, settings)
    if executor is not None and not destination.is_shared:
        raise click.UsageError(
            f"the workers of a cluster cannot write to {destination}, a folder of this machine: name a store that they share, "
            "--to https://… (a server), or --to postgresql://… with --files s3://…"
        )
    terms = Terms(
        settings.project if project else None,
        settings.project or Path.cwd().name or "uncategorized",
        settings.name if name else None,
        settings.id if run_id else None,
    )
    context.exit(bring(logs, destination, terms, wishes))


def _not_there(what: tuple[str, ...]) -> str:
    return f"; {what[0]!r} is none" if what else ""


def _destination_of_logs(
    place: Path | None, to: str | None, files: str | None, settings: Settings
) -> Destination:
    """Return where logs go: what was named, else the setting's server, else this machine's runs."""
    from runcast.credentials import token_for
    from runcast.settings import server_url
    from runcast.sync.stores import Destination

    if to is not None and to.startswith(("postgresql:", "postgres:")):
        folder = place.expanduser().absolute() if place is not None else settings.dir
        return Destination(folder=None if files else folder, database=to, files=files or None)
    if to is not None and "://" not in to:
        return Destination(folder=Path(to).expanduser().absolute())
    if to is not None or (settings.to and place is None):
        url = server_url(to or settings.to or "")
        return Destination(url=url, token=token_for(url))
    return Destination(folder=place.expanduser().absolute() if place is not None else settings.dir)


def _bring_runs(place: Path | None, runs: tuple[str, ...], to: str | None, *, everything: bool) -> None:
    """Bring runs of this machine to a server: the given ones, or all that were meant for one and are not (wholly) there."""
    from runcast.cli.commands import open_local
    from runcast.cli.find import find_run
    from runcast.errors import RunNotFound
    from runcast.settings import load_settings, server_url

    store = open_local(place)
    if store is None:
        raise RunNotFound("there are no runs here; name another folder with --dir or RUNCAST_DIR")
    server = server_url(to) if to is not None else None
    usual = load_settings().to or None
    chosen = [find_run(store, run) for run in runs] or list(store.runs())
    wanted = [
        (run, url)
        for run in dict.fromkeys(run.id for run in chosen)
        if (url := _destination(store.root / "runs" / run, server, usual, asked=bool(runs) or everything))
    ]
    if runs and len(wanted) < len(runs):
        raise click.UsageError("no server is named: add --to URL, or set RUNCAST_TO")
    _complete(store, [run for run, _ in wanted])
    left = [run for run, url in wanted if not _bring(store, store.run(run), url)]
    if left:
        raise click.ClickException(
            f"{len(left)} of {len(wanted)} runs are not (wholly) on the server: {', '.join(left[:5])}; try `runcast sync` again"
        )
    if not wanted:
        click.echo("nothing to bring: every run that was meant for a server is there")


def _destination(folder: Path, to: str | None, usual: str | None, *, asked: bool) -> str | None:
    """Return the server that a run is to be brought to now; None for one that is there, or is to stay here."""
    from runcast.recorder.replica import Note
    from runcast.run.state import read_state

    if asked:
        return to or read_state(folder / "run.jsonl").to or usual
    meant = read_state(folder / "run.jsonl").to
    notes = Note.all(folder)
    url = to or meant
    if not url or (url != meant and url not in notes):
        return None
    note = Note.read(folder, url)
    return None if note is not None and (note.complete or note.gone) else url


def _complete(store: LocalStore, runs: list[str]) -> None:
    """Have runs completed whose process and recorder are both gone."""
    from runcast.recorder.recover import complete, unfinished

    abandoned = set(unfinished(store.root)) & set(runs)
    if abandoned:
        complete(store.root, sorted(abandoned)).wait()


def _bring(store: LocalStore, run: RunRecord, url: str) -> bool:
    """Bring a run to a server, and say how that goes; whether it is there."""
    from runcast.recorder.replica import Replica, size_words
    from runcast.store import open as open_store

    who = f"{run.name} ({run.id})"
    if run.ended is None:
        click.echo(f"{who} is still being recorded: its recorder brings it to its server", err=True)
        return True
    shown = sys.stderr.isatty()

    def progress() -> bool:
        if shown:
            row = replica.row()
            share = f"{size_words(row.size)} of {size_words(row.source_size)}"
            click.echo(f"\r\x1b[K{who}: {share}{f' · {row.why}' if row.why else ''}", nl=False, err=True)
        return False

    # What is wrong is said at the end.
    replica = Replica(store.root / "runs" / run.id, lambda: open_store(store.root), url, lambda _: None)
    replica.start()
    try:
        there = replica.settle(stop=progress)
    finally:
        replica.stop()
        if shown:
            click.echo("\r\x1b[K", nl=False, err=True)
    why = replica.missing
    if there and not why:
        click.echo(f"{who}: {url}/runs/{run.id}")
    else:
        click.echo(f"{who}: {why or 'it goes on'}", err=True)
    return there and not why


COMMANDS = (login, logout, sync)
