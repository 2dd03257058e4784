"""What a store is told and answers, as JSON: the words that `RemoteStore` and the server say to each other.

Readers pass over what they do not know, so that a newer peer may say more. Numbers that JSON cannot say are texts: `"NaN"`,
`"Infinity"` and `"-Infinity"`.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar, cast, get_args

from runcast.errors import StoreError
from runcast.run.record import RunRecord, State
from runcast.run.strict import strict
from runcast.store.protocol import Facts, FileRecord, SeriesRecord, SummaryRecord

__all__ = [
    "facts_from",
    "facts_json",
    "file_from",
    "file_json",
    "run_from",
    "run_json",
    "series_from",
    "series_json",
    "summary_from",
    "summary_json",
]

T = TypeVar("T")

_NUMBERS = ("last", "min", "max", "last_wall_time")


def run_json(run: RunRecord) -> dict[str, Any]:
    """Return a run: its fields, and the labels among its facts by their names."""
    return {
        "id": run.id,
        "project": run.project,
        "name": run.name,
        "state": run.state,
        "created": run.created,
        "ended": run.ended,
        "heartbeat": run.heartbeat,
        "tags": list(run.tags),
        "notes": run.notes,
        "group": run.group,
        "job_type": run.job_type,
        "config": strict(run.config),
        "facts": strict(run.facts),
    }


def run_from(said: Any) -> RunRecord:
    """Return the run that somebody said. Raises `StoreError` for what is no run."""
    run = _read(RunRecord, said)
    text = all(isinstance(each, str) for each in (run.id, run.project, run.name))
    times = all(each is None or _is_number(each) for each in (run.ended, run.heartbeat))
    parts = isinstance(run.config, dict) and isinstance(run.facts, dict)
    if not (text and times and parts and _is_number(run.created) and run.state in get_args(State)):
        raise StoreError(f"this is no run: {str(said)[:200]}")
    return run


def facts_json(facts: Facts) -> dict[str, Any]:
    """Return what is to be changed of a run: only what is given."""
    said = {}
    for field in fields(Facts):
        value = getattr(facts, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != default:
            said[field.name] = strict(value)
    return said


def facts_from(said: Any) -> Facts:
    """Return the facts that somebody said. Raises `StoreError` for what is none."""
    facts = _read(Facts, said)
    texts = (facts.name, facts.project)
    times = (facts.ended, facts.heartbeat)
    if not (
        all(each is None or isinstance(each, str) for each in texts)
        and all(each is None or _is_number(each) for each in times)
        and (facts.state is None or facts.state in get_args(State))
        and isinstance(facts.config, dict)
        and isinstance(facts.facts, dict)
    ):
        raise StoreError(f"these are no facts of a run: {str(said)[:200]}")
    return facts


def file_json(file: FileRecord) -> dict[str, Any]:
    """Return what is said of a file."""
    return asdict(file)


def file_from(said: Any) -> FileRecord:
    """Return the file that somebody said. Raises `StoreError` for what is none."""
    file = _read(FileRecord, said)
    numbers = (file.size, file.records, file.skipped, file.source_size)
    texts = (file.path, file.source_path, file.state, file.why)
    if not (
        all(type(each) is int for each in numbers)  # no bool
        and all(isinstance(each, str) for each in texts)
    ):
        raise StoreError(f"this is no file of a run: {str(said)[:200]}")
    return file


def series_json(series: SeriesRecord) -> dict[str, Any]:
    """Return what is said of a series."""
    said: dict[str, Any] = strict(asdict(series))
    return said


def series_from(said: Any) -> SeriesRecord:
    """Return the series that somebody said. Raises `StoreError` for what is none."""
    if isinstance(said, dict):
        said = {**said, **{name: _number(said.get(name)) for name in _NUMBERS}}
    return _read(SeriesRecord, said)


def summary_json(summary: SummaryRecord) -> dict[str, Any]:
    """Return where a summary is."""
    said: dict[str, Any] = strict(asdict(summary))
    return said


def summary_from(said: Any) -> SummaryRecord:
    """Return where somebody says that a summary is. Raises `StoreError` for what is none."""
    if isinstance(said, dict):
        said = {**said, "wall_time": _number(said.get("wall_time"))}
    return _read(SummaryRecord, said)


def _read(kind: type[T], said: Any) -> T:
    if not isinstance(said, dict):
        raise StoreError(f"{str(said)[:200]!r} is no {kind.__name__}: an object is expected")
    known = {field.name: said[field.name] for field in fields(cast("Any", kind)) if field.name in said}
    try:
        return kind(**known)
    except TypeError as error:
        raise StoreError(f"{str(said)[:200]} is no {kind.__name__}: {error}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{value!r} is no number") from error
