"""`runcast sync PATH|URL …`: logs that are there already become runs."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import click

from runcast.cli.progress import Progress, tell
from runcast.cli.words import size
from runcast.errors import LogdirError, ServerUnreachable, StorageFull

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from runcast.sync.find import Found
    from runcast.sync.plan import Layout, Planned
    from runcast.sync.stores import Destination
    from runcast.sync.transfer import Brought, Terms

__all__ = ["PARTLY", "Wishes", "bring"]

PARTLY = 3
"""The exit code where something that was found is not in the store."""

RUNS_SHOWN = 20
"""Runs that are listed on a terminal's page; JSON has all."""

LEFT_OUT_SHOWN = 50

INTERVAL, FAR_INTERVAL = 2.0, 10.0
"""Seconds between two looks at what is watched; at buckets, where a look is a request for each thousand objects."""

REST = 10.0
"""How many times as long as a look took the next one waits, at least."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line."""

    layout: Layout = "auto"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    dry_run: bool = False
    jobs: int | None = None
    as_json: bool = False
    watch: bool = False
    executor: str | None = None
    progress: Literal["auto", "json"] = "auto"


@dataclass
class _Result:
    """What has become of everything so far."""

    runs: list[Brought] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    took: float = 0.0
    """Seconds."""

    @property
    def is_whole(self) -> bool:
        """Whether all that was found is in the store."""
        bad = any(
            run.outcome == "failed" or any(each.is_trouble for each in run.left_out) for run in self.runs
        )
        return not bad and not self.problems


def bring(given: Sequence[str], to: Destination, terms: Terms, wishes: Wishes) -> int:
    """Bring logs to a store, and say how that goes; return the exit code. Raises `RuncastError`."""
    if wishes.watch:
        return _watch(given, to, terms, wishes)
    with closing(_find(given, to, wishes)) as found:
        runs = _planned(found, to, terms, wishes)
        if wishes.dry_run:
            _show_plan(runs, found, as_json=wishes.as_json)
            return PARTLY if found.problems else 0
        result = _bring(runs, found, to, terms, wishes)
    _say(result, to, wishes)
    return 0 if result.is_whole else PARTLY


def _watch(given: Sequence[str], to: Destination, terms: Terms, wishes: Wishes) -> int:
    """Bring what is new again and again, until the user ends it; return the exit code."""
    whole: dict[str, Any] = {}
    said: set[str] = set()
    code = 0
    try:
        while True:
            began = time.monotonic()
            try:
                with closing(_find(given, to, wishes)) as found:
                    found.problems = [each for each in found.problems if str(each) not in said]
                    planned = _planned(found, to, terms, wishes)
                    runs = [run for run in planned if whole.get(run.key) != run.version]
                    if runs or found.problems:
                        said.update(str(each) for each in found.problems)
                        code = _tell(_bring(runs, found, to, terms, wishes), runs, to, wishes, whole)
                    far = any("://" in location.label for location, _ in found.at)
            except (LogdirError, ServerUnreachable, StorageFull) as error:
                far = False
                if str(error) not in said:
                    said.add(str(error))
                    click.echo(f"runcast: {error}; waiting", err=True)
            took = time.monotonic() - began
            time.sleep(max(FAR_INTERVAL if far else INTERVAL, REST * took))
    except KeyboardInterrupt:
        click.echo("runcast: stopped watching; the same command goes on", err=True)
        return code


def _tell(
    result: _Result, runs: Sequence[Planned], to: Destination, wishes: Wishes, whole: dict[str, Any]
) -> int:
    """Say what a round of watching brought, and note in `whole` which runs it left nothing of."""
    versions = {run.key: run.version for run in runs}
    for each in result.runs:
        if each.outcome != "failed" and not any(left.is_trouble for left in each.left_out):
            whole[each.key] = versions[each.key]
    told_all = wishes.as_json or wishes.progress == "json"
    if told_all or any(run.outcome != "unchanged" for run in result.runs) or not result.is_whole:
        _say(result, to, wishes)
    return 0 if result.is_whole else PARTLY


def _find(given: Sequence[str], to: Destination, wishes: Wishes) -> Found:
    from runcast.sync.find import find

    own = os.path.realpath(to.folder / "runs") if to.folder is not None else ""
    return find(given, wishes.include, wishes.exclude, without=own)


def _planned(found: Found, to: Destination, terms: Terms, wishes: Wishes) -> list[Planned]:
    from runcast.sync.plan import plan

    runs = plan(found.at, wishes.layout)
    if len(runs) > 1 and (terms.id is not None or terms.name is not None):
        option = "--id" if terms.id is not None else "--name"
        raise click.UsageError(
            f"{option} is for one run, but {len(runs)} were found: add --one-run, or name one of their folders"
        )
    if wishes.layout == "auto" and terms.id is None and (store := to.opened_folder()) is not None:
        from runcast.sync.known import recognise

        with store:
            return recognise(runs, store)
    return runs


def _bring(runs: Sequence[Planned], found: Found, to: Destination, terms: Terms, wishes: Wishes) -> _Result:
    result = _Result(problems=found.problems)
    began = time.monotonic()
    with (
        Progress(len(runs), sum(run.size for run in runs), as_json=wishes.progress == "json") as progress,
        closing(_executed(runs, to, terms, wishes, progress)) as brought,
    ):
        try:
            for each in brought:
                result.runs.append(each)
                progress.done()
        except KeyboardInterrupt:
            progress.say(
                f"interrupted: {len(result.runs)} of {len(runs)} runs are there; the same command goes on"
            )
            raise
    result.took = time.monotonic() - began
    return result


def _executed(
    runs: Sequence[Planned], to: Destination, terms: Terms, wishes: Wishes, progress: Progress
) -> Generator[Brought]:
    """Return what brings the runs: this machine's processes, or a cluster's."""
    if wishes.executor is None:
        from runcast.sync.jobs import bring_all, fitting_jobs

        return bring_all(runs, to, terms, progress.moved, fitting_jobs(runs, wishes.jobs))
    from runcast.sync.clusters import open_cluster
    from runcast.sync.clusters.bringing import bring_on

    cluster = open_cluster(wishes.executor)
    return bring_on(cluster, runs, to, terms, progress.moved, progress.say, wishes.jobs)


def _say(result: _Result, to: Destination, wishes: Wishes) -> None:
    """Say what has become of everything, to whoever listens."""
    if wishes.progress == "json":
        said, problems = _summary(result, to)
        tell("result", text="\n".join([*said[:-1], *problems, said[-1]]), **_shape(result, to))
    if wishes.as_json:
        from runcast.store import shapes

        text = shapes.dumps(_shape(result, to))
        click.echo(json.dumps(json.loads(text)) if wishes.watch else text)
    elif wishes.progress != "json":
        said, problems = _summary(result, to)
        for line in said[:-1]:
            click.echo(line)
        for line in problems:
            click.echo(line, err=True)
        click.echo(said[-1])


def _summary(result: _Result, to: Destination) -> tuple[list[str], list[str]]:
    """Return the lines that say what is there, the last of which says it all, and those that say what is not."""
    runs = sorted(result.runs, key=lambda run: run.name)
    changed = [run for run in runs if run.outcome in {"new", "grown"}]
    shown = [
        (run.name, run.outcome, f"{run.events:,} events", size(run.bytes), to.run_address(run.id))
        for run in changed[:RUNS_SHOWN]
    ]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    said = [
        f"{name:<{widths[0]}}  {outcome:<{widths[1]}}  {events:>{widths[2]}}  {moved:>{widths[3]}}  {address}"
        for name, outcome, events, moved, address in shown
    ]
    if len(changed) > RUNS_SHOWN:
        said.append(f"… and {len(changed) - RUNS_SHOWN} more: `runcast runs` lists them")
    told = [(f"{run.name}", run.why) for run in runs if run.why]
    told += [(each.path, each.why) for run in runs for each in run.left_out]
    told += result.problems
    problems = [f"{place}: {why}" for place, why in told[:LEFT_OUT_SHOWN]]
    if len(told) > LEFT_OUT_SHOWN:
        problems.append(f"… and {len(told) - LEFT_OUT_SHOWN} more: --json lists them all")
    return [*said, f"{_counts(runs)}: {_figures(changed, result.took)}, in {to}"], problems


def _counts(runs: Sequence[Brought]) -> str:
    words = {
        "new": "new",
        "grown": "grown",
        "unchanged": "unchanged",
        "trashed": "in the trash",
        "failed": "failed",
    }
    counts = {word: sum(run.outcome == outcome for run in runs) for outcome, word in words.items()}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'} ({said})"


def _figures(changed: Sequence[Brought], took: float) -> str:
    if not changed:
        return "nothing new"
    events, moved = sum(run.events for run in changed), sum(run.bytes for run in changed)
    return f"{events:,} events, {size(moved)} in {took:.1f} s"


def _shape(result: _Result, to: Destination) -> dict[str, Any]:
    runs = [
        {
            "id": run.id,
            "name": run.name,
            "outcome": run.outcome,
            "address": to.run_address(run.id),
            "files": run.files,
            "bytes": run.bytes,
            "events": run.events,
            "left_out": [
                {"path": each.path, "why": each.why, "damage": each.is_trouble} for each in run.left_out
            ],
            "why": run.why,
        }
        for run in sorted(result.runs, key=lambda run: run.name)
    ]
    return {
        "to": str(to),
        "whole": result.is_whole,
        "runs": runs,
        "problems": [{"path": place, "why": why} for place, why in result.problems],
        "seconds": round(result.took, 3),
    }


def _show_plan(runs: Sequence[Planned], found: Found, *, as_json: bool) -> None:
    if as_json:
        _print_plan(runs, found)
        return
    for run in runs:
        count = len(run.events) + len(run.whole)
        begun = (
            time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created))
            if run.created
            else "at a time unknown"
        )
        where = f" on {run.host}" if run.host else ""
        known = f"; it is run {run.run}" if run.run else ""
        click.echo(
            f"{run.name}: {count} file{'' if count == 1 else 's'}, {size(run.size)}, begun {begun}{where}{known}"
        )
        rows = list(_rows(run))
        if [name for name, _ in rows] == ["."]:
            continue  # the line above says it all
        for number, (name, words) in enumerate(rows):
            click.echo(f"{'└─' if number == len(rows) - 1 else '├─'} {name}: {words}")
    for place, why in found.problems:
        click.echo(f"{place}: {why}", err=True)
    click.echo(
        f"{len(runs)} run{'' if len(runs) == 1 else 's'}, {size(sum(run.size for run in runs))}; nothing was written"
    )


def _rows(run: Planned) -> Iterable[tuple[str, str]]:
    """Yield the sources of a run, and what is kept beside them."""
    roots = {member.path.split("/")[1] for member in run.events}
    sizes: dict[str, list[int]] = {}
    for member in run.events:
        name = member.source if len(roots) < 2 else f"{member.path.split('/')[1]}/{member.source}"
        sizes.setdefault(name, []).append(member.entry.size)
    for name in sorted(sizes):
        count = len(sizes[name])
        yield name, f"{count} event file{'' if count == 1 else 's'}, {size(sum(sizes[name]))}"
    if run.whole:
        names = sorted(member.entry.path.rpartition("/")[2] for member in run.whole)
        yield "beside them", ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _print_plan(runs: Sequence[Planned], found: Found) -> None:
    from runcast.store import shapes
    from runcast.sync.transfer import run_id

    shape: dict[str, Any] = {
        "runs": [
            {
                "id": run.run or run_id(run.key),
                "name": run.name,
                "created": run.created,
                "host": run.host,
                "bytes": run.size,
                "files": [
                    {
                        "path": member.location.address(member.entry),
                        "size": member.entry.size,
                        "to": member.path,
                    }
                    for member in (*run.events, *run.whole)
                ],
            }
            for run in runs
        ],
        "problems": [{"path": place, "why": why} for place, why in found.problems],
    }
    click.echo(shapes.dumps(shape))
