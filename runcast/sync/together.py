"""What several runs ask of a store at once: each transaction costs as much as the bytes of a small run."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from runcast.errors import AccessDenied, RunNotFound, ServerUnreachable, StorageFull, StoreError
from runcast.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.run.record import RunRecord
    from runcast.store.protocol import Append, Facts, FileRecord, Store

__all__ = ["Grow", "Make", "Note", "Turn", "Work", "do_together"]

GLOBAL = (ServerUnreachable, AccessDenied, StorageFull)
"""Errors that are about the store, not about one run."""


class Make(NamedTuple):
    """Make a run known. Answered with whether it is new, None for one that was deleted for good."""

    record: RunRecord


class Grow(NamedTuple):
    """Append to files of a run. Answered as by `Store.append_all`."""

    run: str
    appends: Sequence[Append]


class Note(NamedTuple):
    """Say what became of files, and change facts of the run."""

    run: str
    files: Sequence[FileRecord]
    facts: Facts


class Turn(NamedTuple):
    """Let the others go first: what is fetched for this run comes meanwhile."""


Request: TypeAlias = "Make | Grow | Note"
Work: TypeAlias = Generator[Any, Any, None]
"""Yields requests and is sent their answers, or has the `StoreError` thrown in that came of one."""


def do_together(works: Sequence[Work], store: Store) -> dict[int, StoreError]:
    """Do several runs' work, what they ask for at the same time in one transaction; return by number what went wrong.

    Raises `ServerUnreachable`, `AccessDenied` and `StorageFull`.
    """
    errors: dict[int, StoreError] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(works)))
    try:
        while answers:
            requests: dict[int, Request | Turn] = {}
            for number, answer in answers.items():
                try:
                    requests[number] = (
                        works[number].throw(answer)
                        if isinstance(answer, StoreError)
                        else works[number].send(answer)
                    )
                except StopIteration:  # noqa: PERF203 - each run's own
                    continue
                except GLOBAL:
                    raise
                except StoreError as error:
                    errors[number] = error
            answers = {number: None for number, each in requests.items() if isinstance(each, Turn)}
            for kind in (Make, Grow, Note):
                answers |= _answer(
                    {number: each for number, each in requests.items() if isinstance(each, kind)}, store
                )
    finally:
        for work in works:
            work.close()
    return errors


def _answer(requests: dict[int, Any], store: Store) -> dict[int, Any]:
    """Return the answers to requests of one kind."""
    if not requests:
        return {}
    several = list(requests.values())
    try:
        if not isinstance(store, LocalStore):
            answers = [_alone(each, store) for each in several]
        elif isinstance(several[0], Make):
            found = store.create_all([each.record for each in several])
            answers = [found.get(each.record.id) for each in several]
        elif isinstance(several[0], Grow):
            grown = store.append_runs({each.run: each.appends for each in several})
            answers = [grown[each.run] for each in several]
        else:
            store.note_all({each.run: (each.files, each.facts) for each in several})
            answers = [None] * len(several)
    except GLOBAL:
        raise
    except StoreError as error:
        if len(several) == 1:
            return dict.fromkeys(requests, error)
        return {
            number: answer
            for each in requests
            for number, answer in _answer({each: requests[each]}, store).items()
        }
    return dict(zip(requests, answers, strict=True))


def _alone(request: Request, store: Store) -> Any:
    """Return the answer to a request of a store that does one run at a time."""
    try:
        if isinstance(request, Make):
            return _make(request.record, store)
        if isinstance(request, Grow):
            return _grow(request.run, request.appends, store)
        if request.files:
            store.describe(request.run, *request.files)
        store.update(request.run, request.facts)
    except GLOBAL:
        raise
    except StoreError as error:
        return error
    return None


def _make(record: RunRecord, store: Store) -> bool | None:
    try:
        store.run(record.id)
    except RunNotFound:
        try:
            store.create(record)
        except RunNotFound:
            return None
        return True
    return False


def _grow(run: str, appends: Sequence[Append], store: Store) -> Sequence[Any]:
    try:
        if len(appends) == 1:  # maybe a record that is longer than what may be sent of several files
            (one,) = appends
            return [store.append(run, one.path, one.offset, bytes(one.data), final=one.final)]
        return store.append_all(run, appends)
    except (*GLOBAL, RunNotFound):
        raise
    except StoreError as error:
        if len(appends) == 1:
            return [error]
        return [
            answer for each in appends for answer in _grow(run, [each], store)
        ]  # nobody knows for whose sake
