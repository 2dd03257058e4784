"""Bodies of requests: unpacked, no larger than allowed, no slower than is decent."""

from __future__ import annotations

import asyncio
import json
import mmap
import tempfile
import time
import zlib
from typing import IO, TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from runcast.server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from runcast.server.committer import Room
    from runcast.server.limits import Limits
    from runcast.server.service import Service

__all__ = ["content_type", "read_body", "read_json", "spool_body", "stream_body"]

_UNPACKED = 256 << 10
"""Bytes that are unpacked at a time: a millisecond's work."""

_JSON = {"application/json", "application/merge-patch+json"}


async def stream_body(request: Request, most: int, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the body's bytes, unpacked, at most `most` of them.

    Raises `Problem`: 413 for more, 408 for a body that stalls or trickles, 415 for an encoding that is not known, 400 for a
    body that is not what its encoding says or ends before it should.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    length = request.headers.get("content-length")
    if length is not None and length.isdigit() and int(length) > most:
        raise _too_large(most)
    if encoding == "identity":
        size = 0
        async for chunk in _received(request, limits):
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            yield chunk
    elif encoding in {"gzip", "x-gzip"}:
        async for chunk in _unpacked(request, most, limits):
            yield chunk
    else:
        raise Problem(
            415, f"cannot unpack Content-Encoding {encoding!r}: send gzip, or nothing", {"Accept-Encoding": "gzip"}
        )  # fmt: skip


async def read_body(request: Request, most: int, limits: Limits, room: Room | None = None) -> bytes:
    """Return the whole body, as far as there is room; see `stream_body`."""
    chunks = []
    async for chunk in stream_body(request, most, limits):
        if room is not None:
            room.take(len(chunk))
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def spool_body(request: Request, service: Service, room: Room) -> bytes | memoryview:
    """Return the whole body, up to `limits.record` bytes; beyond `limits.append` it is a file's, which goes when it is let go of."""
    limits = service.limits
    chunks: list[bytes] = []
    file: IO[bytes] | None = None
    try:
        async for chunk in stream_body(request, limits.record, limits):
            if file is None and room.size + len(chunk) > limits.append:
                file = spool = await service.call(_new_file)
                await service.call(spool.writelines, chunks)
                chunks.clear()
            if file is None:
                room.take(len(chunk))
                chunks.append(chunk)
            else:
                await service.call(file.write, chunk)
        if file is None:
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        await service.call(file.flush)
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    finally:
        if file is not None:
            file.close()


def _new_file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="runcast-append-")


async def read_json(request: Request, limits: Limits) -> Any:
    """Return the body as JSON says it; see `stream_body`. Raises `Problem` 415 for another type, and 400 for what is no JSON."""
    kind = content_type(request)
    if kind not in _JSON:
        raise Problem(415, f"the body must be application/json, not {kind or 'of no type'}")
    body = await read_body(request, limits.json, limits)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from error


def content_type(request: Request) -> str:
    """Return the body's media type in lower case, without parameters; "" if it is not said."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _received(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the bytes as they come."""
    receive = request.receive
    with _Patience(limits) as patience:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            if chunk:
                patience.prolong(len(chunk))
                yield chunk
            if not message.get("more_body", False):
                return


class _Patience:
    """Ends the task that reads a body, with `Problem` 408, when the body stalls or trickles.

    One timer a body, which is set anew only when it rings: most bodies are whole when they are first looked at.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._started = self._last = time.monotonic()
        self._size = 0
        self._is_over = False

    def __enter__(self) -> _Patience:  # noqa: PYI034 - Self is Python 3.11's
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._limits.stall, self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._is_over and kind is asyncio.CancelledError:
            if self._task is not None and hasattr(self._task, "uncancel"):  # Python 3.11
                self._task.uncancel()
            raise Problem(408, "the body came too slowly; send it again", {"Connection": "close"})

    def prolong(self, size: int) -> None:
        """Take note of bytes that came."""
        self._size += size
        self._last = time.monotonic()

    def _look(self) -> None:
        limits = self._limits
        until = min(self._last + limits.stall, self._started + limits.stall + self._size / limits.slowest)
        left = until - time.monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        elif self._task is not None:
            self._is_over = True
            self._task.cancel()


async def _unpacked(request: Request, most: int, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the bytes that gzip packed, of all its members; what grows beyond `most` is not unpacked further."""
    size = 0
    unpack = zlib.decompressobj(wbits=31)
    fresh = True  # nothing of a member is there yet
    async for chunk in _received(request, limits):
        packed = chunk
        while packed:
            if unpack.eof:
                unpack, fresh = zlib.decompressobj(wbits=31), True
            try:
                plain = unpack.decompress(packed, _UNPACKED)
            except zlib.error as error:
                raise Problem(400, f"the body is not gzip, as its Content-Encoding says: {error}") from error
            fresh = False
            packed = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
            size += len(plain)
            if size > most:
                raise _too_large(most)
            if plain:
                yield plain
            if packed:
                await asyncio.sleep(0)  # others' turn
        # The last of a packed chunk may still be inside, without input that is left over.
        while not unpack.eof and (plain := _more(unpack)):
            size += len(plain)
            if size > most:
                raise _too_large(most)
            yield plain
            await asyncio.sleep(0)
    if not fresh and not unpack.eof:
        raise Problem(400, "the gzip body ends before it should; send it again")


def _more(unpack: Any) -> bytes:
    try:
        more: bytes = unpack.decompress(b"", _UNPACKED)
    except zlib.error as error:
        raise Problem(400, f"the body is not gzip, as its Content-Encoding says: {error}") from error
    return more


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than the {most:,} bytes that are taken at a time", {"Connection": "close"})  # fmt: skip
