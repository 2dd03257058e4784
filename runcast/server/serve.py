"""One process that serves: uvicorn, with limits on what comes before a request is whole, and an orderly end."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runcast.errors import SettingsError, StoreError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

__all__ = ["KEEP_ALIVE", "STOP", "in_thread", "listen", "serve"]

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept: a recorder comes back within them, and a proxy in front closes first."""

STOP = 8
"""Seconds that requests in flight have to end, once the server stops."""

MOST_HEAD = 64 << 10
"""Bytes of a request's line and headers."""

HEAD_TIMEOUT = 30.0
"""Seconds that they may take."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, on a port of the system's choice for 0. Raises `SettingsError`."""
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((address[0], port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"cannot listen at {host}:{port}: {error.strerror}; choose another with --host and --port"
        ) from error


def serve(
    app: Starlette,
    listening: socket.socket,
    *,
    root_path: str = "",
    trusted_proxies: str = "",
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT (twice: at once); `started` is called when requests are answered.

    X-Forwarded-For and -Proto count from the addresses in `trusted_proxies` (with commas between them, networks too) alone. At the
    end no more connections are taken, what is in flight is answered, streams are told to come back later, and appends committed.
    """
    server = _Server(_config(app, root_path, trusted_proxies), app, started)
    with _ended_by_signals():
        server.run([listening])


@contextlib.contextmanager
def in_thread(
    app: Starlette, host: str = "127.0.0.1", port: int = 0, *, trusted_proxies: str = ""
) -> Iterator[str]:
    """Serve from a thread of this process while the block lasts, which is given the server's address."""
    ready = threading.Event()
    with listen(host, port) as listening:
        server = _Server(_config(app, "", trusted_proxies), app, ready.set)
        thread = threading.Thread(target=server.run, args=([listening],), name="runcast-server")
        thread.start()
        try:
            while not ready.wait(0.05):
                if not thread.is_alive():
                    raise StoreError("the server did not start; its log says why")
            yield f"http://{host}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _config(app: Starlette, root_path: str, trusted_proxies: str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="on",
        root_path=root_path,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies or None,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=STOP,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which tells the application that it begins to stop: streams would not end by themselves."""

    def __init__(self, config: uvicorn.Config, app: Starlette, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: first what never ends by itself."""
        self._app.state.service.stop()
        await super().shutdown(sockets)


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with limits on the line and the headers of a request, which it has none for."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0
        self._in_head = True
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_TIMEOUT, self._refuse, 408)

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > MOST_HEAD:
            self._refuse(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_TIMEOUT, self._refuse, 408)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head = 0
        self._stop_waiting()
        super().on_headers_complete()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, status: int) -> None:
        """Answer what is not yet a request, and close."""
        self._stop_waiting()
        if not self.transport.is_closing():
            words = {408: b"Request Timeout", 431: b"Request Header Fields Too Large"}[status]
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % (status, words)
            )
            self.transport.close()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGINT end the block as if it ended by itself.

    uvicorn raises the signal again, when all is done, for whoever had a handler before; by default that would end the process
    before its database is closed.
    """
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
