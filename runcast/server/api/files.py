"""Files of runs: listed, read, appended to, put."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response, StreamingResponse

from runcast.errors import StoreError
from runcast.objects import ObjectGone
from runcast.server.access import Action, requires, run_in_path
from runcast.server.api import schemas
from runcast.server.api.operation import NOTHING, Body, header, operation
from runcast.server.api.read import whole
from runcast.server.body import content_type, read_body, read_json, spool_body, stream_body
from runcast.server.errors import ErrorResponse, Problem, busy
from runcast.server.ranges import Unsatisfiable, parse_range
from runcast.server.service import service_of
from runcast.store import wire
from runcast.store.paths import FilePath
from runcast.store.protocol import Append, FileRecord, OffsetMismatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from runcast.server.service import Service
    from runcast.store.places import Content

__all__ = ["ENDPOINTS"]

PIECE = 1 << 20
"""Bytes of a file that are in memory while it is read."""

MOST_REPLACED = 5
"""How often a file may be replaced while its reading begins."""

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
    description="As recorded, byte for byte. What is sent belongs together: if the file is replaced meanwhile, it is the old one, or the answer "
    "breaks off. To go on with one, send its ETag as `If-Range`: you get the rest, or the whole of a new file.",
    parameters=(
        header("Range", schemas.TEXT, "One range of bytes; several are answered with the whole."),
        header("If-None-Match", schemas.TEXT),
        header("If-Range", schemas.TEXT),
    ),
    answers={
        200: Body(None, BYTES, {"Upload-Offset": "How many bytes are recorded.", "ETag": "Changes when the file grows or is replaced."}),
        206: Body(None, BYTES, {"Content-Range": "Which bytes these are, and of how many."}),
        304: NOTHING,
    },
    errors={416: "The range begins behind the end of the file."},
)  # fmt: skip
@requires(Action.VIEW, run_in_path)
async def read_file(request: Request) -> Response:
    service = service_of(request)
    run, path, place = _place(request)
    for _ in range(MOST_REPLACED):
        content = await service.call(service.store.open, run, path)
        if content is None:
            break
        try:
            return await _answer(request, content, path, place)
        except ObjectGone:
            continue  # it was replaced just now: its new content is there
        except BaseException:
            content.close()
            raise
    if content is not None:
        raise busy(f"{path!r} is replaced all the time; try again")
    raise Problem(
        404, f"run {run} has no file {path!r}; GET /api/v1/runs/{run}/files lists those that it has"
    )


async def _answer(request: Request, content: Content, path: str, place: FilePath) -> Response:
    """Return the answer with the part of a file that is asked for; the content is closed with it, unless this raises."""
    size, etag = content.size, f'"{content.version}"'
    headers = {
        **_HARMLESS,
        "Accept-Ranges": "bytes",
        "Upload-Offset": str(size),
        "Cache-Control": "private, no-cache",
        "ETag": etag,
    }
    headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(place.name, safe='')}"
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if etag in known:
        content.close()
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if "if-range" in request.headers and request.headers["if-range"] != etag:
        wanted = None
    try:
        part = parse_range(wanted, size)
    except Unsatisfiable:
        content.close()
        more = {"Content-Range": f"bytes */{size}", "Upload-Offset": str(size), "ETag": etag}
        return ErrorResponse(416, f"{path!r} has {size} bytes; ask for a range of them", more)
    start, stop = part or (0, size)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    status = 200 if part is None else 206
    if request.method == "HEAD":
        content.close()
        return Response(status_code=status, headers=headers, media_type=BYTES[0])
    service = service_of(request)
    first = await service.call(content.read, start, min(stop, start + PIECE))
    if start + len(first) == stop:
        content.close()
        return Response(first, status, headers, BYTES[0])
    return _Pieces(service, content, first, (start, stop), status, headers)


class _Pieces(StreamingResponse):
    """A part of a file that is too long to be held in memory; the file is closed when it is sent, or nobody wants it any more."""

    def __init__(
        self,
        service: Service,
        content: Content,
        first: bytes,
        part: tuple[int, int],
        status: int,
        headers: dict[str, str],
    ) -> None:
        self._content = content
        super().__init__(_pieces(service, content, first, *part), status, headers, BYTES[0])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._content.close()


@operation(
    "PATCH",
    "/runs/{id}/files/{path:path}",
    "Append to a file",
    group=GROUP,
    description="All or nothing. Of an event file only whole records are taken, so the new offset may be less than what was sent: go on there. "
    "A body has at most 16 MiB, or, so that any record can be sent, 1 GiB to an event file.",
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
        if place.is_event_file:
            data = await spool_body(request, service, room)
        else:
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


async def _pieces(
    service: Service, content: Content, first: bytes, start: int, stop: int
) -> AsyncIterator[bytes]:
    piece = first
    while piece:
        yield piece
        start += len(piece)
        piece = await service.call(content.read, start, min(stop, start + PIECE)) if start < stop else b""


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
