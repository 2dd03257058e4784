"""What the commands show to people: tables that fit the terminal, and plain text when piped."""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runcast.cli.facts import fact_lines, plain
from runcast.cli.words import ago, duration, figure, size, spark
from runcast.run.record import OWN_ROOT
from runcast.run.trials import summary_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runcast.run.record import RunRecord
    from runcast.store.protocol import FileRecord, SeriesRecord

__all__ = ["show_history", "show_rows", "show_run", "show_runs", "show_status"]

NARROW = 90
"""Columns of a terminal below which a table leaves out what matters least."""

NAME_WIDTH = 32

_PIPED_WIDTH = 1000
_STATES = {"running": "cyan", "finished": "green", "failed": "red", "crashed": "red", "synced": "blue"}


def show_runs(runs: Sequence[tuple[RunRecord, Mapping[str, Any]]], *, more: bool) -> None:
    """Print runs with their summaries, as a table."""
    console = _console()
    now = time.time()
    short = _short_ids([run.id for run, _ in runs])
    columns = {
        "run": [Text(short[run.id], "dim") for run, _ in runs],
        "project": [Text(run.project) for run, _ in runs],
        "state": [_state(run.state) for run, _ in runs],
        "started": [Text(ago(now - run.created)) for run, _ in runs],
        "took": [Text(_took(run, now)) for run, _ in runs],
    }
    if console.width < NARROW:
        del columns["project"]
    name_room = min(NAME_WIDTH, _room(console, columns))
    names = [_end_cut(Text(run.name, "bold"), name_room) for run, _ in runs]
    columns = {"run": columns.pop("run"), "name": names, **columns}
    room = _room(console, columns)
    if room >= 16:
        columns["last values"] = [_end_cut(_values(summary), room) for _, summary in runs]
    console.print(_filled(columns, right={"started", "took"}))
    if more:
        console.print(Text(f"The newest {len(runs)} runs; -n 0 lists all.", "dim"))


def show_run(
    run: RunRecord,
    series: Sequence[SeriesRecord],
    files: Sequence[FileRecord],
    folder: Path,
    defined: Mapping[str, Any],
) -> None:
    """Print all about one run; `defined` is the summary of metrics that are to have more than their last value."""
    console = _console()
    now = time.time()
    console.print(Text.assemble((run.name, "bold"), "  ", _state(run.state)), soft_wrap=True)
    about = Table.grid(padding=(0, 2))
    about.add_column(style="dim", no_wrap=True)
    about.add_column(overflow="fold")
    about.add_row("run", Text(run.id))
    about.add_row("project", Text(run.project))
    started = datetime.fromtimestamp(run.created).astimezone()
    about.add_row("started", f"{started:%Y-%m-%d %H:%M:%S %z} ({ago(now - run.created)})")
    about.add_row("took", _took(run, now))
    about.add_row("folder", Text(str(folder / "runs" / run.id)))
    last = {(each.root, each.source, each.tag): each.last for each in series if each.plugin == "scalars"}
    summary = {**_flat(defined), **summary_of(run.facts, last), **run.summary}
    for what, values in (("config", run.config), ("summary", summary)):
        if values:
            lines = [f"{key} = {plain(value)}" for key, value in values.items()]
            about.add_row(what, Text("\n".join(lines)))
    for what, text in fact_lines(run.facts):
        about.add_row(what, Text(text))
    console.print(about)
    cores = [each for each in series if _is_core(each)]
    if series:
        console.print()
        shown = [each for each in series if not _is_core(each)]
        console.print(_series_table(shown, wide=console.width >= NARROW))
    if cores:
        console.print(
            Text(f"and {cores[0].tag} … {cores[-1].tag.partition('/')[2]}, one series a core", "dim")
        )
    if files:
        console.print()
        console.print(_file_table(files, console))
        for file in files:
            if file.skipped and file.why:
                console.print(Text(f"{file.path}: {file.why}"), soft_wrap=True)


def show_history(series: SeriesRecord, rows: Sequence[tuple[int, float, float]]) -> None:
    """Print points of a series, with a line of their shape."""
    console = _console()
    where = series.root if series.source == "." else f"{series.root}/{series.source}"
    console.print(Text.assemble((series.tag, "bold"), (f"  {where}", "dim")), soft_wrap=True)
    bounds = f"last {figure(series.last)}   min {figure(series.min)}   max {figure(series.max)}"
    shown = "" if len(rows) == series.count else f" ({len(rows)} shown, peaks kept; --points N for more)"
    console.print(
        Text(f"{series.count} point{'' if series.count == 1 else 's'}{shown}   {bounds}"), soft_wrap=True
    )
    console.print(Text(spark([value for _, _, value in rows][: console.width]), "cyan"), soft_wrap=True)
    table = _table("step", "time", "after", "value")
    for column in table.columns:
        column.justify = "right"
    for step, wall_time, value in rows:
        table.add_row(str(step), _clock(wall_time), _after(wall_time - rows[0][1]), figure(value))
    console.print(table)


def show_status(runs: Sequence[tuple[RunRecord, Sequence[Mapping[str, Any]]]], network: str) -> None:
    """Print how far each file of some runs is recorded."""
    console = _console()
    for number, (run, files) in enumerate(runs):
        if number:
            console.print()
        console.print(
            Text.assemble((run.name, "bold"), "  ", _state(run.state), (f"  {run.id}", "dim")), soft_wrap=True
        )
        if not files:
            console.print("No files yet: they appear when a writer opens one.", soft_wrap=True)
            continue
        columns = {
            "state": [Text(file["state"]) for file in files],
            "written": [Text(size(file["size"])) for file in files],
            "recorded": [Text(size(file["recorded"])) for file in files],
            "lag": [Text(size(file["lag"]), "yellow" if file["lag"] else "green") for file in files],
            "skipped": [_skipped(file["skipped"]) for file in files],
        }
        room = _room(console, columns)
        whys = [Text(file["why"]) for file in files]
        if any(whys) and (left := room - 26) >= 12:
            columns["why"] = [_end_cut(why, left) for why in whys]
            room = _room(console, columns)
        paths = [_middle_cut(file["path"].removeprefix("files/"), room) for file in files]
        console.print(_filled({"file": paths, **columns}, right={"written", "recorded", "lag", "skipped"}))
        if any(whys) and "why" not in columns:
            for file in files:
                if file["why"]:
                    console.print(f"{file['path'].removeprefix('files/')}: {file['why']}", markup=False)
    if network:
        note = f"The store is on a network file system ({network}): writing to it is slower, with a rollback journal."
        console.print(Text(note, "dim"), soft_wrap=True)


def show_rows(columns: Mapping[str, Sequence[str]]) -> None:
    """Print plain texts as a table."""
    console = _console()
    texts = {header: [Text(cell) for cell in cells] for header, cells in columns.items()}
    console.print(_filled(texts, right=set()), soft_wrap=True)


def _console() -> Console:
    if sys.stdout.isatty():
        return Console(highlight=False)
    return _PipedConsole(width=None if "COLUMNS" in os.environ else _PIPED_WIDTH, highlight=False)


class _PipedConsole(Console):
    """Writes lines that end where their text ends: a table fills them up with blanks, which a file has no use for."""

    def print(self, *objects: Any, **options: Any) -> None:
        with self.capture() as captured:
            super().print(*objects, **options)
        self.file.write(re.sub(r"[ \t]+$", "", captured.get(), flags=re.MULTILINE))


def _table(*headers: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, no_wrap=True)
    return table


def _is_core(series: SeriesRecord) -> bool:
    """Whether a series is one of the many that tell how busy each core was."""
    is_system = (series.root, series.source) == (OWN_ROOT, "system")
    return is_system and series.tag.startswith("cpu/core") and series.tag.endswith("_percent")


def _series_table(series: Sequence[SeriesRecord], *, wide: bool) -> Table:
    table = _table("source", "tag", "points", "steps", "last", "min", "max")
    for column in table.columns[2:]:
        column.justify = "right"
    for column in table.columns[:2]:
        column.overflow, column.no_wrap = "fold", False
    roots = {each.root for each in series}
    for each in series:
        source = (
            each.source
            if len(roots) == 1
            else each.root
            if each.source == "."
            else f"{each.root}/{each.source}"
        )
        scalar = each.plugin == "scalars"
        table.add_row(
            Text(source, "dim"),
            Text(each.tag),
            str(each.count),
            f"{each.first_step} … {each.last_step}" if wide else str(each.last_step),
            *(
                [figure(each.last), figure(each.min), figure(each.max)]
                if scalar
                else [Text(each.plugin or "unknown", "dim"), "", ""]
            ),
        )
    return table


def _file_table(files: Sequence[FileRecord], console: Console) -> Table:
    columns = {
        "recorded": [Text(size(file.size)) for file in files],
        "records": [Text(str(file.records)) for file in files],
        "skipped": [_skipped(file.skipped) for file in files],
        "state": [Text(file.state) for file in files],
    }
    room = _room(console, columns)
    paths = [_middle_cut(file.path, room) for file in files]
    return _filled({"file": paths, **columns}, right={"recorded", "records", "skipped"})


def _filled(columns: Mapping[str, Sequence[Text]], right: set[str]) -> Table:
    table = _table(*columns)
    for column, header in zip(table.columns, columns, strict=True):
        column.justify = "right" if header in right else "left"
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _room(console: Console, columns: Mapping[str, Sequence[Text]]) -> int:
    """Return how wide one more column may be."""
    taken = sum(max(len(header), *(cell.cell_len for cell in cells)) + 2 for header, cells in columns.items())
    return max(12, console.width - taken)


def _end_cut(text: Text, room: int) -> Text:
    text.truncate(room, overflow="ellipsis")
    return text


def _middle_cut(path: str, room: int) -> Text:
    """Return a path that fits: its beginning says which folder, its end which file."""
    if len(path) > room:
        tail = (room - 1) // 2
        path = f"{path[: room - 1 - tail]}…{path[-tail:]}"
    return Text(path)


def _skipped(count: int) -> Text:
    return Text(str(count), "red" if count else "dim")


def _state(state: str) -> Text:
    return Text.assemble(("● ", _STATES.get(state, "")), state)


def _flat(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return a summary with one number under each name: `loss.min` where it says several things of a metric."""
    flat = {}
    for key, value in summary.items():
        several = value if isinstance(value, dict) else {"": value}
        flat.update({f"{key}.{kind}" if kind else key: number for kind, number in several.items()})
    return flat


def _values(summary: Mapping[str, Any]) -> Text:
    text = Text()
    for number, (key, value) in enumerate(_flat(summary).items()):
        text.append("   " if number else "").append(key, "dim").append(f" {figure(value)}")
    return text


def _took(run: RunRecord, now: float) -> str:
    if run.ended is not None:
        return duration(run.ended - run.created)
    if run.state == "running":
        return duration(now - run.created)
    return "" if run.heartbeat is None else duration(run.heartbeat - run.created)


def _short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return the shortest beginnings, six characters at least, that tell the ids apart."""
    length = 6
    while len({each[:length] for each in ids}) < len(ids):
        length += 1
    return {each: each[:length] for each in ids}


def _clock(wall_time: float) -> str:
    try:
        return f"{datetime.fromtimestamp(wall_time).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return figure(wall_time)


def _after(seconds: float) -> str:
    return duration(seconds) if 0 <= seconds < float("inf") else ""
