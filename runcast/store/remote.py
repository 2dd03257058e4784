"""`RemoteStore`: the runs of a server, over HTTP."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from runcast.errors import FileReplaced, RunNotFound, SeriesNotFound, StoreError
from runcast.run.channel import pack, read_messages
from runcast.store import wire
from runcast.store.connection import PATIENCE, Connection, packed, quoted
from runcast.store.paths import FilePath, check_run_id
from runcast.store.protocol import Appended, OffsetMismatch, Points, RunPage, RunQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from runcast.run.record import RunRecord
    from runcast.store.protocol import Append, Facts, FileRecord, SeriesRecord, SummaryRecord

__all__ = ["RemoteStore"]

PIECE = 1 << 20
"""Bytes of a file that are in memory while it is sent or fetched."""

MOST_RUNS = 1000
"""Runs that a server lists at a time."""

PROBE = 1 << 16
"""Bytes of a file that tell whether compressing it is worth the work."""

LONG = 4 << 20
"""Bytes from which on what is appended is compressed piece by piece, while it is sent."""

_POINTS = {"Accept": "application/octet-stream"}


class RemoteStore:
    """The runs of the server at `url`, as the user whose API token is given may see and change them. For one thread.

    Requests are tried again for `patience` seconds (see `Connection`). An append that arrived although its answer was lost is
    answered, the second time, with an `OffsetMismatch` behind it: whoever goes on there loses and repeats nothing. No answer has a
    batch. Every method raises `StoreError`: `ServerUnreachable` when trying again later may help, `AccessDenied` when another token may.
    """

    def __init__(self, url: str, token: str | None = None, *, patience: float = PATIENCE) -> None:
        self.url = url.rstrip("/")
        self._connection = Connection(url, token, patience=patience)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> RemoteStore:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RemoteStore {self.url}>"

    # Runs.

    def create(self, run: RunRecord) -> None:
        """See `Store.create`."""
        check_run_id(run.id)
        self._connection.json("POST", "/runs", body=wire.run_json(run))

    def update(self, run: str, facts: Facts) -> None:
        """See `Store.update`."""
        self._connection.json("PATCH", _of(run), body=wire.facts_json(facts))

    def trash(self, run: str) -> None:
        """See `Store.trash`."""
        self._connection.json("DELETE", _of(run))

    def restore(self, run: str) -> None:
        """See `Store.restore`."""
        self._connection.json("POST", f"{_of(run)}/restore")

    def purge(self, run: str) -> None:
        """See `LocalStore.purge`."""
        self._connection.json("POST", f"{_of(run)}/purge")

    def run(self, run: str) -> RunRecord:
        """See `Store.run`."""
        return wire.run_from(self.run_shape(run))

    def run_shape(self, run: str) -> dict[str, Any]:
        """Return one run as the server says it: with its summary. Raises `RunNotFound`."""
        said = self._connection.json("GET", _of(run))
        return said if isinstance(said, dict) else {}

    def runs(self, query: RunQuery = RunQuery()) -> Sequence[RunRecord]:  # noqa: B008 - immutable
        """See `Store.runs`."""
        return [wire.run_from(said) for said in self.run_shapes(query)]

    def page(self, query: RunQuery = RunQuery()) -> RunPage:  # noqa: B008 - immutable
        """See `LocalStore.page`; without a limit, it is as many as the server lists at a time."""
        said = self._connection.json("GET", "/runs", params=_params(query))
        return RunPage(tuple(wire.run_from(each) for each in _list(said, "runs")), said.get("next"))

    def run_shapes(self, query: RunQuery, *, page: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield matching runs as the server says them, in its order; they are fetched `page` at a time, or as many as it lists."""
        after = query.after
        left = query.limit
        while left is None or left > 0:
            asked = min(each for each in (left, page, MOST_RUNS) if each is not None)
            said = self._connection.json(
                "GET", "/runs", params=_params(replace(query, limit=asked, after=after))
            )
            found = _list(said, "runs")
            yield from found if left is None else found[:left]
            left = None if left is None else left - len(found)
            after = said.get("next")
            if not after:
                return

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """See `Store.changes`."""
        said = self._connection.json("GET", "/changes", params={"since": since})
        return int(said["mark"]), [str(run) for run in _list(said, "runs")]

    # Files.

    def append(
        self, run: str, path: str, offset: int, data: bytes, *, final: bool = False
    ) -> Appended | OffsetMismatch:
        """See `Store.append`."""
        body: bytes | Callable[[], Iterable[bytes]]
        if len(data) <= LONG:
            headers, body = packed(data)
        elif packed(data[:PROBE])[0]:
            headers, body = {"Content-Encoding": "gzip"}, lambda: _compressed(io.BytesIO(data))
        else:
            headers, body = {}, data
        headers["Upload-Offset"] = str(offset)
        headers["Content-Type"] = "application/octet-stream"
        if final:
            headers["Upload-Complete"] = "?1"
        response = self._connection.request(
            "PATCH", _file(run, path), data=body, headers=headers, accept=(409,)
        )
        if response.status_code != 409:
            return Appended(_offset(response))
        try:
            return OffsetMismatch(int(response.json()["size"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self.url} refuses bytes of {path} of run {run}: {response.text[:200]}"
            ) from error

    def append_all(
        self, run: str, appends: Sequence[Append]
    ) -> Sequence[Appended | OffsetMismatch | StoreError]:
        """See `Store.append_all`. What is given is sent in one request, so it should fit into one."""
        if not appends:
            return []
        heads = [{"path": each.path, "offset": each.offset, "final": each.final} for each in appends]
        headers, body = packed(pack({"appends": heads}, [each.data for each in appends]))
        headers["Content-Type"] = "application/octet-stream"
        response = self._connection.request("POST", f"{_of(run)}/appends", data=body, headers=headers)
        try:
            answers = [_answer(said) for said in response.json()["answers"]]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self.url} answers appends with what is no answer: {response.text[:200]}"
            ) from error
        if len(answers) != len(appends):
            raise StoreError(f"{self.url} answers {len(answers)} of {len(appends)} appends")
        return answers

    def append_runs(
        self, appends: dict[str, Sequence[Append]]
    ) -> dict[str, Sequence[Appended | OffsetMismatch | StoreError]]:
        """See `Store.append_runs`. Each run's appends are a request, and a transaction, of their own."""
        return {run: self.append_all(run, several) for run, several in appends.items()}

    def put(self, run: str, path: str, data: bytes | Path) -> int:
        """See `Store.put`. A file is sent in pieces, compressed if its beginning gets smaller by that."""
        headers = {"Content-Type": "application/octet-stream"}
        if isinstance(data, bytes):
            more, body = packed(data)
            response = self._connection.request(
                "PUT", _file(run, path), data=body, headers={**headers, **more}
            )
            return _size(response)
        with data.open("rb") as file:
            shrinks = bool(packed(file.read(PROBE))[0])

            def content() -> Any:
                file.seek(0)
                return _compressed(file) if shrinks else file

            if shrinks:
                headers["Content-Encoding"] = "gzip"
            return _size(self._connection.request("PUT", _file(run, path), data=content, headers=headers))

    def size(self, run: str, path: str) -> int:
        """See `Store.size`."""
        response = self._connection.request("HEAD", _file(run, path), accept=(404,))
        return 0 if response.status_code == 404 else _offset(response)

    def read(self, run: str, path: str, start: int, stop: int) -> bytes:
        """See `Store.read`."""
        return b"".join(self.chunks(run, path, start, stop))

    def open(self, run: str, path: str) -> RemoteContent | None:
        """Return a file as it is now, to be read in pieces that belong together; None if the run has none such."""
        response = self._connection.request("HEAD", _file(run, path), accept=(404,))
        if response.status_code == 404:
            return None
        return RemoteContent(self, run, path, _offset(response), response.headers.get("ETag"))

    def chunks(
        self, run: str, path: str, start: int = 0, stop: int | None = None, *, version: str | None = None
    ) -> Iterator[bytes]:
        """Yield recorded bytes [start, stop) in pieces; None: up to the end. Raises `StoreError` if the answer breaks off.

        `version` is the ETag that the file must have; raises `FileReplaced` for another one.
        """
        if stop is not None and stop <= start:
            return
        headers = {
            "Range": f"bytes={start}-{'' if stop is None else stop - 1}",
            "Accept-Encoding": "identity",
        }
        if version is not None:
            headers["If-Range"] = version
        response = self._connection.request(
            "GET", _file(run, path), headers=headers, accept=(416,), stream=True
        )
        with response:
            if version is not None and response.headers.get("ETag", version) != version:
                raise FileReplaced(f"{path} of run {run} has been replaced on {self.url} while it was read")
            if response.status_code == 416:  # nothing is recorded there (yet)
                return
            skip = start if response.status_code == 200 else 0  # a server may answer with the whole
            left = None if stop is None else stop - start
            for piece in self._connection.body(response, PIECE):
                part = piece[skip:]
                skip -= len(piece) - len(part)
                part = part if left is None else part[:left]
                left = None if left is None else left - len(part)
                if part:
                    yield part
                if left == 0:
                    return

    def describe(self, run: str, *files: FileRecord) -> None:
        """See `Store.describe`."""
        body = {"files": [wire.file_json(file) for file in files]}
        self._connection.json("POST", f"{_of(run)}/describe", body=body)

    def files(self, run: str) -> Sequence[FileRecord]:
        """See `Store.files`."""
        said = self._connection.json("GET", f"{_of(run)}/files")
        return [wire.file_from(each) for each in _list(said, "files")]

    # Series.

    def series(self, run: str) -> Sequence[SeriesRecord]:
        """See `Store.series`."""
        said = self._connection.json("GET", f"{_of(run)}/series")
        return [wire.series_from(each) for each in _list(said, "series")]

    def points(
        self,
        run: str,
        root: str,
        source: str,
        tag: str,
        *,
        step_range: tuple[int, int] | None = None,
        pixels: int | None = None,
    ) -> Points:
        """See `Store.points`."""
        import numpy as np

        params: dict[str, Any] = {"root": root, "source": source, "tag": tag, "pixels": pixels}
        if step_range is not None:
            params["from"], params["to"] = step_range
        with self._series_missing(run, tag):
            response = self._connection.request("GET", f"{_of(run)}/points", params=params, headers=_POINTS)
        messages = list(read_messages(io.BytesIO(response.content)))
        if len(messages) != 1 or len(messages[0][1]) != 3:
            raise StoreError(f"{self.url} answers with no points: {len(response.content)} bytes")
        step, wall_time, value = messages[0][1]
        return Points(
            np.frombuffer(step, "<i8").astype(np.int64, copy=False),
            np.frombuffer(wall_time, "<f8").astype(np.float64, copy=False),
            np.frombuffer(value, "<f8").astype(np.float64, copy=False),
        )

    def summaries(self, run: str, root: str, source: str, tag: str) -> Sequence[SummaryRecord]:
        """See `Store.summaries`."""
        params = {"root": root, "source": source, "tag": tag}
        with self._series_missing(run, tag):
            said = self._connection.json("GET", f"{_of(run)}/summaries", params=params)
        return [wire.summary_from(each) for each in _list(said, "summaries")]

    def _series_missing(self, run: str, tag: str) -> _SeriesMissing:
        return _SeriesMissing(run, tag)


class RemoteContent:
    """A file of a server as it was when it was opened. `version` is its ETag, None where the server says none."""

    def __init__(self, store: RemoteStore, run: str, path: str, size: int, version: str | None) -> None:
        self.size = size
        self.version = version
        self._store = store
        self._run = run
        self._path = path

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes [start, stop); see `chunks`."""
        return b"".join(self.chunks(start, stop))

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield bytes [start, stop) in pieces. Raises `FileReplaced` if they are not there any more, else as `RemoteStore.chunks`."""
        return self._store.chunks(self._run, self._path, start, stop, version=self.version)


class _SeriesMissing:
    """Says of a 404 that it is the series that is not there: `run` would have been missed before."""

    def __init__(self, run: str, tag: str) -> None:
        self._what = f"run {run} has no series {tag!r}"

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, RunNotFound):
            raise SeriesNotFound(f"{self._what}, or there is no such run: {error}") from error


def _of(run: str) -> str:
    return f"/runs/{check_run_id(run)}"


def _file(run: str, path: str) -> str:
    FilePath.parse(path)
    try:
        return f"{_of(run)}/files/{quoted(path)}"
    except UnicodeEncodeError as error:
        raise StoreError(f"{path!r} cannot be sent: its name is no Unicode text") from error


def _params(query: RunQuery) -> dict[str, Any]:
    """Return a query as the server reads it; what is None is left out by requests."""
    return {
        "project": query.project,
        "state": query.state,
        "group": query.group,
        "tag": list(query.tags),
        "filter": " and ".join(map(str, query.filters)) or None,
        "order": query.order,
        "limit": query.limit,
        "after": query.after,
        "trashed": "true" if query.trashed else None,
    }


def _list(said: Any, name: str) -> list[Any]:
    found = said.get(name) if isinstance(said, dict) else None
    if not isinstance(found, list):
        raise StoreError(f"the server's answer has no list of {name}: {str(said)[:200]}")
    return found


def _offset(response: Any) -> int:
    try:
        return int(response.headers["Upload-Offset"])
    except (KeyError, ValueError) as error:
        raise StoreError("the server's answer does not say how much it has (Upload-Offset)") from error


def _size(response: Any) -> int:
    if "Upload-Offset" in response.headers:
        return _offset(response)
    try:
        return int(response.json()["size"])
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError("the server's answer does not say how large the file is") from error


def _answer(said: dict[str, Any]) -> Appended | OffsetMismatch | StoreError:
    error = said.get("error")
    if error is None:
        return Appended(int(said["size"]))
    return OffsetMismatch(int(said["size"])) if error == "offset" else StoreError(str(error))


def _compressed(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes as gzip."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    while piece := file.read(PIECE):
        if part := squeeze.compress(piece):
            yield part
    yield squeeze.flush()
