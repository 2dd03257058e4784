"""Server-sent events, as an answer that never ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from starlette.responses import Response

from runcast.server.front import STREAM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

__all__ = ["EventStream", "LiveStream", "comment", "event"]


def event(data: str, *, kind: str | None = None, id: int | None = None, retry: int | None = None) -> bytes:  # noqa: A002
    """Return one event; `data` is a single line (JSON). `retry` is in milliseconds."""
    lines = [] if retry is None else [f"retry: {retry}"]
    lines += [] if id is None else [f"id: {id}"]
    lines += [] if kind is None else [f"event: {kind}"]
    return "\n".join([*lines, f"data: {data}", "", ""]).encode()


def comment(text: str) -> bytes:
    """Return what readers pass over; it keeps proxies from closing the connection."""
    return f": {text}\n\n".encode()


class LiveStream(Response):
    """Sends what `parts` yields, each at once; ends with them, or when the client has gone."""

    def __init__(self, parts: AsyncIterator[bytes], media_type: str) -> None:
        self._parts = parts
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.body = b""
        # Proxies must neither keep the parts back nor keep them for others.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    def init_headers(self, headers: object = None) -> None:
        """Set the headers; a stream has no length."""
        super().init_headers(headers)  # type: ignore[arg-type]
        self.raw_headers = [each for each in self.raw_headers if each[0] != b"content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the parts end or the client does."""
        scope[STREAM] = True
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            for task in (sending, leaving):
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await task

    async def _send(self, send: Send) -> None:
        try:
            async for part in self._parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            with contextlib.suppress(RuntimeError):
                await self._parts.aclose()  # type: ignore[attr-defined]
        await send({"type": "http.response.body", "body": b""})


class EventStream(LiveStream):
    """A `LiveStream` of server-sent events."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, "text/event-stream")


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
