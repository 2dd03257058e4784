"""The commands, and what they accept. What they show is in `tables` and the `shapes` of the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runcast import __version__
from runcast.cli.access import COMMANDS as ACCESS_COMMANDS
from runcast.cli.reindex import COMMANDS as REINDEX_COMMANDS
from runcast.cli.serve import serve
from runcast.cli.sync import COMMANDS
from runcast.cli.trash import COMMANDS as TRASH_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.run.record import RunRecord
    from runcast.store.local import LocalStore
    from runcast.store.protocol import FileRecord

__all__ = ["open_local", "runcast"]

DEFAULT_RUNS = 50
DEFAULT_POINTS = 40

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
a_run = click.argument("run", metavar="RUN")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--dir",
    "place",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where runs are kept (default: $RUNCAST_DIR, else the user's data folder).",
)
@click.version_option(__version__, "--version", prog_name="runcast", message="%(prog)s %(version)s")
@click.pass_context
def runcast(context: click.Context, place: Path | None) -> None:
    """Look at recorded runs.

    RUN is a run's id, the beginning of one, a name that only one run has, or `latest`.
    """
    context.obj = place


@runcast.command()
@click.option("-p", "--project", metavar="P", help="Only runs of this project.")
@click.option(
    "-t",
    "--tag",
    "tags",
    metavar="T",
    multiple=True,
    help="Only runs with this tag; several: with all of them.",
)
@click.option("-g", "--group", metavar="G", help="Only runs of this group.")
@click.option("-n", "limit", metavar="N", type=click.IntRange(min=0), help="The newest N runs (0: all).")
@as_json
@click.pass_obj
def runs(
    place: Path | None,
    project: str | None,
    tags: tuple[str, ...],
    group: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List runs, newest first: the newest 50, or all of them with --json."""
    from runcast.cli import tables
    from runcast.store import shapes
    from runcast.store.protocol import RunQuery

    count = (None if as_json else DEFAULT_RUNS) if limit is None else (limit or None)
    store = open_local(place)
    query = RunQuery(project=project, tags=tags, group=group, limit=count and count + 1)
    found = [] if store is None else store.runs(query)
    listed = [(run, [] if store is None else store.series(run.id)) for run in found[:count]]
    if as_json:
        click.echo(shapes.dumps([shapes.run_shape(run, series, store) for run, series in listed]))
    elif not listed:
        of = {"of project": project, "with tag": " and ".join(tags) or None, "of group": group}
        wanted = " ".join(f"{word} {value!r}" for word, value in of.items() if value is not None)
        what = f"no runs {wanted}" if wanted else "no runs yet"
        click.echo(f"{what} in {_folder(place)}")
    else:
        tables.show_runs(
            [(run, shapes.series_summary(run, series, store)) for run, series in listed],
            more=len(found) > len(listed),
        )


@runcast.command()
@a_run
@as_json
@click.pass_obj
def show(place: Path | None, run: str, as_json: bool) -> None:
    """Show one run: what it is, its series and its files."""
    from runcast.cli import tables
    from runcast.store import shapes

    store, found = _find(place, run)
    series, files = store.series(found.id), store.files(found.id)
    if as_json:
        shape = shapes.run_shape(found, series, store)
        shape["series"] = [shapes.series_shape(each) for each in series]
        shape["files"] = [shapes.file_shape(each) for each in files]
        click.echo(shapes.dumps(shape))
    else:
        defined = {
            name: value
            for name, value in shapes.series_summary(found, series, store).items()
            if isinstance(value, dict)
        }
        tables.show_run(found, series, files, store.root, defined)


@runcast.command()
@a_run
@click.argument("tag")
@click.option("-s", "--source", metavar="S", help="The source (such as train), where several have the tag.")
@click.option("-r", "--root", metavar="R", help="The root (the logdir's name), where several have the tag.")
@click.option(
    "--points",
    metavar="N",
    type=click.IntRange(min=4),
    help="At most N points; peaks are kept (default: all with --json or --csv, else 40).",
)
@as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.pass_obj
def history(
    place: Path | None,
    run: str,
    tag: str,
    source: str | None,
    root: str | None,
    points: int | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Print the values of one series."""
    from runcast.cli import tables
    from runcast.cli.find import find_series
    from runcast.store import shapes

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    store, found = _find(place, run)
    series = find_series(store.series(found.id), found.id, tag, source=source, root=root)
    most = points if points or as_json or as_csv else DEFAULT_POINTS
    few = most is not None and series.count > most
    columns = store.points(
        found.id, series.root, series.source, series.tag, pixels=most // 4 if few and most else None
    )
    rows = list(zip(columns.step.tolist(), columns.wall_time.tolist(), columns.value.tolist(), strict=True))
    if as_json:
        click.echo(
            shapes.dumps([dict(zip(("step", "wall_time", "value"), row, strict=True)) for row in rows])
        )
    elif as_csv:
        lines = [
            f"{step},{shapes.number(wall_time)},{shapes.number(value)}" for step, wall_time, value in rows
        ]
        click.echo("\n".join(["step,wall_time,value", *lines]))
    else:
        tables.show_history(series, rows)


@runcast.command()
@click.argument("run", metavar="[RUN]", required=False)
@as_json
@click.pass_obj
def status(place: Path | None, run: str | None, as_json: bool) -> None:
    """Show watched files, and how far each is recorded: of one run, of all that are running, or of the latest."""
    from runcast.cli import tables
    from runcast.store import shapes
    from runcast.store.protocol import RunQuery

    if run is None:
        store = open_local(place)
        running = [] if store is None else store.runs(RunQuery(state="running"))
        chosen = running or ([] if store is None else store.runs(RunQuery(limit=1)))
    else:
        store, found = _find(place, run)
        chosen = [found]
    listed = (
        []
        if store is None
        else [(each, _watched(each, store.files(each.id)) + _servers(store, each)) for each in chosen]
    )
    if as_json:
        shaped = [
            {"run": {"id": each.id, "name": each.name, "state": each.state}, "files": w} for each, w in listed
        ]
        click.echo(shapes.dumps(shaped))
    elif store is None or not listed:
        click.echo(f"no runs yet in {_folder(place)}")
    else:
        tables.show_status(listed, store.network)


@runcast.command()
@a_run
@click.option("-f", "--follow", is_flag=True, help="Go on as the run prints, until it ends.")
@click.option("-n", "last", metavar="N", type=click.IntRange(min=0), help="Only the last N lines.")
@click.option("-s", "--stream", type=click.Choice(["out", "err"]), help="Only stdout, or only stderr.")
@click.option("-t", "--times", is_flag=True, help="Put the time before each line, and the cell it is from.")
@as_json
@click.pass_obj
def console(
    place: Path | None,
    run: str,
    follow: bool,
    last: int | None,
    stream: str | None,
    times: bool,
    as_json: bool,
) -> None:
    """Print what a run has printed; a progress bar is one line."""
    from runcast.cli.console import Printer, end_of
    from runcast.run.console.spool import CONSOLE, follow_console, read_console

    store, found = _find(place, run)
    path = store.root / "runs" / found.id / CONSOLE
    printer = Printer(stream, times=times, as_json=as_json)
    if not path.exists() and not follow:
        raise click.ClickException(f"no console was recorded of run {found.id}")
    if not follow:
        printer.show(read_console(path), last)
        return
    for line in follow_console(path, end_of(store, found.id)):
        printer.show([line])


runcast.add_command(serve)
for each in ACCESS_COMMANDS:
    runcast.add_command(each)
for command in (*COMMANDS, *TRASH_COMMANDS, *REINDEX_COMMANDS):
    runcast.add_command(command)


def _watched(run: RunRecord, files: Sequence[FileRecord]) -> list[dict[str, Any]]:
    """Return how far each file is recorded, now.

    A run that has ended stopped at its last record, so what its sources became later is none of its business.
    """
    rows = []
    for file in files:
        size, why = file.source_size or file.size, file.why
        if file.source_path and run.state in {"running", "crashed"}:
            try:
                size = os.stat(file.source_path).st_size  # noqa: PTH116 - a path of the user's, as it is
            except FileNotFoundError:
                why = why or "the file is gone; what was recorded is kept"
            except OSError as error:
                why = why or f"cannot be read: {error.strerror}"
        rows.append(
            {
                "path": file.path,
                "source": file.source_path,
                "size": size,
                "recorded": file.size,
                "lag": 0 if file.state == "older" else max(0, size - file.size),
                "skipped": file.skipped,
                "state": file.state,
                "why": why,
            }
        )
    return rows


def _servers(store: LocalStore, run: RunRecord) -> list[dict[str, Any]]:
    """Return how far the run is on the servers that it is brought to, as rows among its files."""
    from runcast.recorder.replica import Note
    from runcast.store.frames import file_json

    folder = store.root / "runs" / run.id
    notes = {url: Note.read(folder, url) for url in Note.all(folder)}
    return [file_json(note.row(url)) for url, note in notes.items() if note is not None]


def _folder(place: Path | None) -> Path:
    from runcast.settings import runcast_dir

    return runcast_dir() if place is None else place.expanduser().absolute()


def open_local(place: Path | None) -> LocalStore | None:
    """Open the store, None if there is none yet: looking makes no folder."""
    from runcast.errors import StoreError

    folder = _folder(place)
    if folder.exists() and not folder.is_dir():
        raise StoreError(
            f"{folder} is a file; runs are kept in a folder: name that with --dir or RUNCAST_DIR"
        )
    if not (folder / "store.db").exists():
        return None
    from runcast.store import open as open_store

    store = open_store(folder)
    click.get_current_context().call_on_close(store.close)
    return store


def _find(place: Path | None, run: str) -> tuple[LocalStore, RunRecord]:
    from runcast.cli.find import find_run
    from runcast.errors import RunNotFound

    store = open_local(place)
    if store is None:
        raise RunNotFound(
            f"there are no runs in {_folder(place)}; name another folder with --dir or RUNCAST_DIR"
        )
    return store, find_run(store, run)
