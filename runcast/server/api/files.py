"""Files of runs: listed, read, appended to, put."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response, StreamingResponse

from runcast.errors import StoreError
from runcast.server.access import Action, requires, run_in_path
from runcast.server.api import schemas
from runcast.server.api.operation import NOTHING, Body, header, operation
from runcast.server.api.read import whole
from runcast.server.body import content_type, read_body, read_json, stream_body
from runcast.server.errors import ErrorResponse, Problem
from runcast.server.ranges import Unsatisfiable, parse_range
from runcast.server.service import service_of
from runcast.store import wire
from runcast.store.paths import FilePath
from runcast.store.protocol import Append, FileRecord, OffsetMismatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from runcast.server.service import Service

__all__ = ["ENDPOINTS"]

PIECE = 1 << 20
"""Bytes of a file that are in memory while it is read."""

BYTES = ("application/octet-stream",)
GROUP = "files"

_BINARY = {"", "application/octet-stream", "application/partial-upload"}

_HARMLESS = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""A file is what somebody sent: no browser shows it as a page of this site, or runs what is in it."""


@operation(
    "GET", "/runs/{id}/files", "List the files of a run", group=GROUP, answers={200: Body(schemas.FILES)}
)
@requires(Action.VIEW, run_in_path)
async def list_files(request: Request) -> Response:
    service = service_of(request)
    files = await service.call(service.store.files, request.path_params["id"])
    return JSONResponse({"files": [wire.file_json(file) for file in files]})


@operation(
    "GET",
    "/runs/{id}/files/{path:path}",
    "Read a file",
    group=GROUP,
    description="As recorded, byte for byte. Event files and other files that are appended to have an ETag, for their bytes never change.",
    parameters=(
        header("Range", schemas.TEXT, "One range of bytes; several are answered with the whole."),
        header("If-None-Match", schemas.TEXT),
        header("If-Range", schemas.TEXT),
    ),
    answers={
        200: Body(None, BYTES, {"Upload-Offset": "How many bytes are recorded.", "ETag": "Changes when the file grows."}),
        206: Body(None, BYTES, {"Content-Range": "Which bytes these are, and of how many."}),
        304: NOTHING,
    },
    errors={416: "The range begins behind the end of the file."},
)  # fmt: skip
@requires(Action.VIEW, run_in_path)
async def read_file(request: Request) -> Response:
    service = service_of(request)
    run, path, place = _place(request)
    size = await service.call(_find, service, run, path)
    if size is None:
        raise Problem(
            404, f"run {run} has no file {path!r}; GET /api/v1/runs/{run}/files lists those that it has"
        )
    headers = {
        **_HARMLESS,
        "Accept-Ranges": "bytes",
        "Upload-Offset": str(size),
        "Cache-Control": "private, no-cache",
    }
    headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(place.name, safe='')}"
    etag = None
    if _only_grows(place):
        etag = headers["ETag"] = f'"{size}"'
        if etag in [each.strip() for each in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if "if-range" in request.headers and request.headers["if-range"] != etag:
        wanted = None
    try:
        part = parse_range(wanted, size)
    except Unsatisfiable:
        more = {"Content-Range": f"bytes */{size}", "Upload-Offset": str(size)}
        return ErrorResponse(416, f"{path!r} has {size} bytes; ask for a range of them", more)
    start, stop = part or (0, size)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    if stop - start <= PIECE:
        body = await service.call(service.store.read, run, path, start, stop)
        if len(body) != stop - start:
            raise Problem(503, f"{path!r} changes just now; try again", {"Retry-After": "1"})
        return Response(body, status, headers, "application/octet-stream")
    pieces = _pieces(service, run, path, start, stop)
    return StreamingResponse(pieces, status, headers, "application/octet-stream")


@operation(
    "PATCH",
    "/runs/{id}/files/{path:path}",
    "Append to a file",
    group=GROUP,
    description="All or nothing. Of an event file only whole records are taken, so the new offset may be less than what was sent: go on there.",
    parameters=(
        header("Upload-Offset", schemas.INTEGER, "Where the bytes belong: the file's size.", required=True),
        header("Upload-Complete", {"enum": ["?0", "?1"]}, "?1: what fails verification will not get better; it is passed over."),
    ),
    body=Body(None, ("application/octet-stream", "application/partial-upload")),
    answers={204: Body(None, (), {"Upload-Offset": "How many bytes are recorded now."})},
    errors={409: "The file has another size, which is `size` in the answer and the header Upload-Offset. Nothing was appended."},
)  # fmt: skip
@requires(Action.WRITE, run_in_path)
async def append_to_file(request: Request) -> Response:
    service = service_of(request)
    run, path, place = _place(request)
    offset = _offset(request)
    complete = request.headers.get("upload-complete", "?0").strip()
    if complete not in {"?0", "?1"}:
        raise Problem(400, f"the header Upload-Complete is {complete[:40]!r}; it must be ?0 or ?1")
    _check_bytes(request)
    if place.is_whole:
        raise Problem(400, f"{path!r} is put as a whole; use PUT")
    with service.committer.room() as room:
        data = await read_body(request, service.limits.append, service.limits, room)
        (answer,) = await service.committer.append(run, (Append(path, offset, data, complete == "?1"),))
    if isinstance(answer, StoreError):
        raise answer
    headers = {"Upload-Offset": str(answer.size)}
    if isinstance(answer, OffsetMismatch):
        return ErrorResponse(409, f"{path!r} has {answer.size} bytes; go on there", headers, size=answer.size)
    return Response(status_code=204, headers=headers)


@operation(
    "PUT",
    "/runs/{id}/files/{path:path}",
    "Put a whole file",
    group=GROUP,
    description="It replaces the one that was there, at once. Event files and files that are appended to cannot be put.",
    body=Body(None, BYTES),
    answers={200: Body(schemas.SIZE, headers={"Upload-Offset": "The file's size."})},
)
@requires(Action.WRITE, run_in_path)
async def put_file(request: Request) -> Response:
    service = service_of(request)
    run, path, place = _place(request)
    _check_bytes(request)
    if not (place.is_whole or (path.startswith("files/") and not place.is_event_file)):
        raise Problem(400, f"{path!r} is written by appending to it; use PATCH")
    limits = service.limits
    descriptor, name = await service.call(tempfile.mkstemp, prefix="runcast-put-")
    try:
        with os.fdopen(descriptor, "wb", buffering=PIECE) as file:
            async for chunk in stream_body(request, limits.file, limits):
                await service.call(file.write, chunk)
            await service.call(file.flush)
        size = await service.call(service.store.put, run, path, Path(name))
    finally:
        os.unlink(name)  # noqa: PTH108
    return JSONResponse({"size": size}, headers={"Upload-Offset": str(size)})


@operation(
    "POST",
    "/runs/{id}/describe",
    "Say what became of the sources of files",
    group=GROUP,
    body=Body(schemas.DESCRIBED),
    answers={204: NOTHING},
)
@requires(Action.WRITE, run_in_path)
async def describe_files(request: Request) -> Response:
    service = service_of(request)
    said = await read_json(request, service.limits)
    described = _described(said)
    await service.call(service.store.describe, request.path_params["id"], *described)
    return Response(status_code=204)


ENDPOINTS = (list_files, read_file, append_to_file, put_file, describe_files)


def _place(request: Request) -> tuple[str, str, FilePath]:
    """Return the run, the path and what it says. Raises `Problem` 400 for one that cannot be a file of a run."""
    run, path = request.path_params["id"], request.path_params["path"]
    try:
        return run, path, FilePath.parse(path)
    except StoreError as error:
        raise Problem(400, str(error)) from error


def _only_grows(place: FilePath) -> bool:
    return place.grows


def _find(service: Service, run: str, path: str) -> int | None:
    """Return the size of a file, None if the run has no such file."""
    size = service.store.size(run, path)
    if size or any(file.path == path for file in service.store.files(run)):
        return size
    return None


async def _pieces(service: Service, run: str, path: str, start: int, stop: int) -> AsyncIterator[bytes]:
    while start < stop:
        piece = await service.call(service.store.read, run, path, start, min(stop, start + PIECE))
        if not piece:  # replaced by a smaller one meanwhile: the answer breaks off, which tells the reader
            raise Problem(503, f"{path!r} has changed while it was read; try again")
        start += len(piece)
        yield piece


def _offset(request: Request) -> int:
    said = request.headers.get("upload-offset")
    if said is None:
        raise Problem(
            400, "the header Upload-Offset is missing: say at which size of the file the bytes belong"
        )
    return whole(said.strip(), "the header Upload-Offset", least=0, most=2**62)


def _check_bytes(request: Request) -> None:
    kind = content_type(request)
    if kind not in _BINARY:
        raise Problem(415, f"the body must be application/octet-stream, not {kind}")


def _described(said: Any) -> list[FileRecord]:
    listed = said.get("files") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise Problem(400, 'the body must be {"files": […]}')
    try:
        files = [wire.file_from(each) for each in listed]
        for file in files:
            FilePath.parse(file.path)
    except StoreError as error:
        raise Problem(400, str(error)) from error
    return files
