"""From what a user types to the run or series that is meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from runcast.errors import RunNotFound, SeriesNotFound
from runcast.store.protocol import RunQuery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.run.record import RunRecord
    from runcast.store.protocol import SeriesRecord, Store

__all__ = ["find_run", "find_series"]

LATEST = "latest"
_SHOWN = 5


def find_run(store: Store, wanted: str, *, trashed: bool = False) -> RunRecord:
    """Return the run with this id, name or beginning of an id, or the newest (`latest`); of the trash if asked for.

    Raises `RunNotFound` if there is none, or more than one.
    """
    runs = store.runs(RunQuery(limit=1 if wanted == LATEST else None, trashed=trashed))
    if wanted == LATEST and runs:
        return runs[0]
    for matching in (
        [run for run in runs if run.id == wanted],
        [run for run in runs if run.name == wanted],
        [run for run in runs if wanted and run.id.startswith(wanted.lower())],
    ):
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise RunNotFound(
                f"{len(matching)} runs answer to {wanted!r}; give more of an id: {_some([run.id for run in matching])}"
            )
    if not runs and trashed:
        raise RunNotFound("there are no runs in the trash")
    if not runs:
        raise RunNotFound(
            "there are no runs yet: `%load_ext runcast` and `%sync_tensorboard` in a notebook record one"
        )
    near = difflib.get_close_matches(wanted, [run.name for run in runs], n=1)
    hint = (
        f"; did you mean {near[0]!r}?" if near else "" if trashed else "; `runcast runs` lists those that are"
    )
    raise RunNotFound(f"there is no run {wanted!r}{' in the trash' if trashed else ''}{hint}")


def find_series(
    series: Sequence[SeriesRecord], run: str, tag: str, *, source: str | None, root: str | None
) -> SeriesRecord:
    """Return the scalar series with this tag, and the source and root where they are given.

    Raises `SeriesNotFound` if there is none, or more than one.
    """
    scalars = [each for each in series if each.plugin == "scalars"]
    found = [
        each
        for each in scalars
        if each.tag == tag and source in {None, each.source} and root in {None, each.root}
    ]
    if len(found) == 1:
        return found[0]
    if found:
        by = "source" if len({each.source for each in found}) == len(found) else "root"
        options = [f"--{by} {getattr(each, by)}" for each in found]
        if by == "root" and len(set(options)) < len(options):
            options = [f"--root {each.root} --source {each.source}" for each in found]
        raise SeriesNotFound(
            f"{len(found)} series of run {run} have the tag {tag!r}; add one of: {_some(options)}"
        )
    for each in series:
        if each.tag == tag and each.plugin != "scalars":
            raise SeriesNotFound(
                f"{tag!r} of run {run} holds {each.plugin}; only scalars have a history of values"
            )
    elsewhere = [f"--root {each.root} --source {each.source}" for each in scalars if each.tag == tag]
    if elsewhere:
        raise SeriesNotFound(f"run {run} has the tag {tag!r} elsewhere: {_some(elsewhere)}")
    near = difflib.get_close_matches(tag, [each.tag for each in scalars], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; `runcast show {run}` lists those that it has"
    raise SeriesNotFound(f"run {run} has no series {tag!r}{hint}")


def _some(options: Sequence[str]) -> str:
    shown = ", ".join(options[:_SHOWN])
    return f"{shown}, …" if len(options) > _SHOWN else shown
