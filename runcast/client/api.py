"""`Api`: the runs of a server, or of this machine, from Python."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, overload

from runcast.client.stored import StoredRun, read_run
from runcast.errors import StoreError
from runcast.settings import runcast_dir, server_url
from runcast.store.protocol import RunQuery
from runcast.store.query import parse_filters, parse_order

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from runcast.store.local import LocalStore
    from runcast.store.remote import RemoteStore

__all__ = ["Api", "Runs", "open"]

PAGE = 100
"""Runs that are fetched at a time."""


class Api:
    """The runs of the server at `url`, or of this machine without one. For one thread.

        api = runcast.Api("https://runs.example.org")
        for run in api.runs("digits", filters="config.lr >= 0.01 and state = finished", order="-summary.val/acc"):
            print(run.name, run.summary["val/acc"])

    The token is the one that `runcast login` keeps, or `RUNCAST_TOKEN`, if none is given. Everything raises `StoreError`:
    `ServerUnreachable` and `AccessDenied` among them.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, dir: str | os.PathLike[str] | None = None  # noqa: A002
    ) -> None:  # fmt: skip
        self.url = server_url(url) if url is not None else None
        """The server's address; None for this machine."""
        self._store: LocalStore | RemoteStore
        if self.url is not None:
            from runcast.credentials import checked_token, token_for
            from runcast.store.remote import RemoteStore

            given = token_for(self.url) if token is None else checked_token(token, "given")
            self._store = RemoteStore(self.url, given)
        else:
            from runcast.store.local import LocalStore

            folder = runcast_dir() if dir is None else Path(dir).expanduser().absolute()
            if not (folder / "store.db").exists():
                raise StoreError(
                    f"there are no runs in {folder}; name another folder, or a server: Api('https://…')"
                )
            self._store = LocalStore(folder)

    def runs(
        self,
        project: str | None = None,
        filters: str | None = None,
        order: str | None = None,
        *,
        state: str | None = None,
        tags: Sequence[str] = (),
        group: str | None = None,
        limit: int | None = None,
    ) -> Runs:
        """Return matching runs, newest first or by `order`; they are fetched as they are looked at.

        `filters` are conditions joined by `and`: `config.lr > 0.1`, `summary.val/acc.max >= 0.9`, `name = "swift-heron-42"`, `tags contains
        baseline`, `config.optimizer in (adam, sgd)`, `created >= 2026-11-01`. `order` is a field, with a minus for the largest first:
        `-summary.val/acc`. Raises `QueryError` for what cannot be understood.
        """
        if order is not None:
            parse_order(order)
        found = parse_filters(filters) if filters else ()
        wanted = tuple([tags] if isinstance(tags, str) else tags)
        query = RunQuery(project, state, limit, wanted, group, filters=found, order=order)
        return Runs(self, query)

    def run(self, id: str) -> StoredRun:  # noqa: A002
        """Return the run with this id. Raises `RunNotFound`."""
        return StoredRun(self._store, read_run(self._store, id))

    def close(self) -> None:
        """Close the connection, or the files."""
        self._store.close()

    def __enter__(self) -> Api:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Api {self.url or getattr(self._store, 'root', '')}>"

    def _found(self, query: RunQuery) -> Iterator[StoredRun]:
        """Yield runs, page by page."""
        store = self._store
        shapes = getattr(store, "run_shapes", None)
        if shapes is not None:
            yield from (StoredRun(store, said) for said in shapes(query, page=PAGE))
            return
        left = query.limit
        while left is None or left > 0:
            page = store.page(replace(query, limit=PAGE if left is None else min(left, PAGE)))
            yield from (StoredRun(store, record) for record in page.runs)
            left = None if left is None else left - len(page.runs)
            if page.next is None:
                return
            query = replace(query, after=page.next)


class Runs(Sequence[StoredRun]):
    """Runs that are fetched as they are looked at; `len(runs)` and `runs[-1]` fetch all of them."""

    def __init__(self, api: Api, query: RunQuery) -> None:
        self._rest: Iterator[StoredRun] = api._found(query)  # noqa: SLF001 - its other half
        self._fetched: list[StoredRun] = []

    def __iter__(self) -> Iterator[StoredRun]:
        for at in itertools.count():
            if at >= len(self._fetched) and not self._fetch(at + 1):
                return
            yield self._fetched[at]

    def __len__(self) -> int:
        self._fetch(None)
        return len(self._fetched)

    @overload
    def __getitem__(self, which: int) -> StoredRun: ...
    @overload
    def __getitem__(self, which: slice) -> list[StoredRun]: ...
    def __getitem__(self, which: int | slice) -> StoredRun | list[StoredRun]:
        last = which if isinstance(which, int) else which.stop
        self._fetch(last + 1 if last is not None and last >= 0 else None)
        return self._fetched[which]

    def __repr__(self) -> str:
        shown = ", ".join(run.name for run in self[:5])
        return f"<Runs: {shown}{', …' if self._fetch(6) else ''}>"

    def _fetch(self, count: int | None) -> bool:
        """Have at least `count` runs (all for None), if there are so many."""
        if count is None:
            self._fetched += self._rest
        else:
            self._fetched += itertools.islice(self._rest, max(0, count - len(self._fetched)))
        return count is None or len(self._fetched) >= count


def open(path: str | os.PathLike[str] | None = None, token: str | None = None) -> Api:  # noqa: A001
    """Open the runs of a server (`https://…`) or of a folder (that of `RUNCAST_DIR` for None). Raises as `Api` does."""
    if isinstance(path, str) and "://" in path:
        return Api(path, token)
    return Api(dir=path)
