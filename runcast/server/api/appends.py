"""Several appends at once: how a recorder sends what its files have grown by."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from runcast.errors import RunNotFound, StorageFull, StoreError
from runcast.server.access import Action, requires, run_in_path
from runcast.server.api import schemas
from runcast.server.api.operation import Body, operation
from runcast.server.body import content_type, read_body
from runcast.server.errors import Problem
from runcast.server.service import service_of
from runcast.store.paths import FilePath
from runcast.store.protocol import Append, OffsetMismatch

if TYPE_CHECKING:
    from starlette.requests import Request

    from runcast.store.protocol import Appended

__all__ = ["ENDPOINTS"]

MOST_APPENDS = 10_000
"""Files that one request may append to."""

_LENGTH = struct.Struct("<I")


@operation(
    "POST",
    "/runs/{id}/appends",
    "Append to several files",
    group="files",
    description="""One message of a header and buffers: the header's length (32 bits, little-endian), the header as JSON,
`{"appends": [{"path", "offset", "final"}], "buffers": [length, …]}`, and a buffer for each append. Each is answered for itself, in order.""",
    body=Body(None, ("application/octet-stream",)),
    answers={200: Body(schemas.APPEND_ANSWERS)},
)
@requires(Action.WRITE, run_in_path)
async def append_to_files(request: Request) -> Response:
    service = service_of(request)
    if content_type(request) not in {"", "application/octet-stream"}:
        raise Problem(415, f"the body must be application/octet-stream, not {content_type(request)}")
    with service.committer.room() as room:
        body = await read_body(request, service.limits.append, service.limits, room)
        appends = _unpack(body)
        answers = await service.committer.append(request.path_params["id"], appends) if appends else []
    if answers and isinstance(answers[0], RunNotFound):
        raise answers[0]
    if (
        answers
        and isinstance(answers[0], StorageFull)
        and all(isinstance(each, StorageFull) for each in answers)
    ):
        raise answers[0]
    return JSONResponse({"answers": [_shape(answer) for answer in answers]})


def _shape(answer: Appended | OffsetMismatch | StoreError) -> dict[str, Any]:
    if isinstance(answer, StoreError):
        return {"size": None, "error": str(answer)}
    if isinstance(answer, OffsetMismatch):
        return {"size": answer.size, "error": "offset"}
    return {"size": answer.size}


def _unpack(body: bytes) -> list[Append]:
    """Return what is to be appended. Raises `Problem` 400 for a body that is no such message."""
    try:
        (length,) = _LENGTH.unpack_from(body)
        start = _LENGTH.size + length
        if start > len(body):
            raise ValueError("it is cut short")  # noqa: TRY301
        header = json.loads(body[_LENGTH.size : start])
        heads, lengths = header["appends"], header["buffers"]
        if len(heads) != len(lengths) or len(heads) > MOST_APPENDS:
            raise ValueError(f"{len(heads)} appends with {len(lengths)} buffers; {MOST_APPENDS} are taken")  # noqa: TRY301
        appends = []
        for head, size in zip(heads, lengths, strict=True):
            path, offset, final = head["path"], head["offset"], head.get("final", False)
            if not (
                isinstance(path, str) and _is_size(offset) and _is_size(size) and isinstance(final, bool)
            ):
                raise ValueError(f"{str(head)[:200]} is no append")  # noqa: TRY301
            appends.append(Append(path, offset, body[start : start + size], final))
            start += size
        if start != len(body):
            raise ValueError("its buffers have other lengths than it says")  # noqa: TRY301
        for append in appends:
            FilePath.parse(append.path)
        if len({append.path for append in appends}) != len(appends):
            raise ValueError("a file is in it twice")  # noqa: TRY301
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        struct.error,
        StoreError,
    ) as error:
        raise Problem(400, f"the body is no message of appends: {error}") from error
    return appends


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


ENDPOINTS = (append_to_files,)
