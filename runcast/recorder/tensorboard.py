"""TensorBoard at an address that exists from the start and costs nothing until somebody looks.

The panel needs TensorBoard's address before anyone knows whether its tab will be opened. So we listen, start TensorBoard at
the first connection, and from then on pass bytes to and fro, knowing no HTTP but for the page that says why there is no
TensorBoard.

Like TensorBoard itself this listens on loopback only, and whoever may connect there may look. The Host header is no ground
to refuse anyone: notebook servers that proxy (jupyter-server-proxy, Colab) pass their own public name in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import shlex
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from runcast.recorder.tensorboard_process import TensorBoardProcess

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LazyTensorBoard"]

_START_SECONDS = 60.0
"""How long TensorBoard may take until it listens; a cold network disk takes half of this."""

_RETRY_SECONDS = 3.0
"""A failed start is not tried again for this long: a page with ten resources makes ten connections."""

_CHUNK = 1 << 16


class LazyTensorBoard:
    """A port on 127.0.0.1 behind which TensorBoard over `logdir` starts at the first connection.

    Connections that come while it starts wait for it; a TensorBoard that died is started anew by the next connection. When
    it cannot start, the browser gets a page that says why. The child ends with `close`, and with this process however that
    ends. `logdir` need not exist yet. Raises `OSError` when there is no port to be had.
    """

    def __init__(self, logdir: Path, *, python: str = sys.executable) -> None:
        self._logdir = logdir.absolute()
        self._python = python
        self._process: TensorBoardProcess | None = None
        self._failure: _StartError | None = None
        self._failed_at = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._listening = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="runcast-tensorboard", daemon=True
        )
        self._thread.start()
        self._listening.wait()

    @property
    def child(self) -> int | None:
        """The process id of the running TensorBoard, or None."""
        process = self._process
        return process.pid if process is not None and process.alive else None

    def close(self) -> None:
        """Close the port and every connection, and end TensorBoard; harmless when done twice."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(timeout=10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        self._starting = asyncio.Lock()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        server = await asyncio.start_server(self._accept, sock=self._listener)
        self._listening.set()
        await self._closing.wait()
        server.close()
        connections = dict(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for writer in connections.values():
            writer.close()
        closed = asyncio.gather(
            *(writer.wait_closed() for writer in connections.values()), return_exceptions=True
        )
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(closed, timeout=1)
        if self._process is not None:
            self._process.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._converse(reader, writer))
        self._connections[connection] = writer
        connection.add_done_callback(self._over)

    def _over(self, connection: asyncio.Task[None]) -> None:
        """Also called for one that was cancelled before it began."""
        self._connections.pop(connection).close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                upstream = await self._connect()
            except _StartError as failure:
                await _refuse(reader, writer, failure)
            else:
                await _relay((reader, writer), upstream)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to a TensorBoard that runs, once it does. Raises `_StartError`."""
        try:
            return await asyncio.open_connection("127.0.0.1", await self._running())
        except ConnectionError:  # it died just now
            await asyncio.sleep(0.2)
            return await asyncio.open_connection("127.0.0.1", await self._running())

    async def _running(self) -> int:
        async with self._starting:
            if self._process is not None and self._process.alive and self._process.port is not None:
                return self._process.port
            if self._failure is not None and time.monotonic() - self._failed_at < _RETRY_SECONDS:
                raise self._failure
            try:
                return await self._start()
            except _StartError as failure:
                self._failure, self._failed_at = failure, time.monotonic()
                raise

    async def _start(self) -> int:
        if self._process is not None:
            self._process.stop()
            self._process = None
        try:
            process = self._process = TensorBoardProcess(self._logdir, self._python)
        except OSError as error:
            raise _StartError(self._python, f"{self._python}: {error.strerror}") from error
        deadline = time.monotonic() + _START_SECONDS
        while process.alive and time.monotonic() < deadline:
            if process.port is not None:
                return process.port
            await asyncio.sleep(0.05)
        raise _StartError(self._python, process.complaint or "It said nothing.")


class _StartError(Exception):
    def __init__(self, python: str, complaint: str) -> None:
        super().__init__(complaint)
        self.python = python
        self.complaint = complaint


async def _relay(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Pass bytes both ways until TensorBoard has said all; a client that says no more may still listen."""
    asking = asyncio.ensure_future(_pass_on_requests(client[0], upstream[1]))
    try:
        await _pump(upstream[0], client[1])
    finally:
        asking.cancel()
        upstream[1].close()


async def _pass_on_requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await _pump(reader, writer)
        writer.write_eof()
    except OSError:  # one of them is gone, so nobody waits for an answer
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, failure: _StartError) -> None:
    """Answer one HTTP request, whatever it is, with the page that says why there is no TensorBoard."""
    with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout=5)
    body = _page(failure).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    await writer.drain()


def _page(failure: _StartError) -> str:
    if "No module named 'tensorboard'" in failure.complaint:
        todo = (
            "TensorBoard is not installed in the Python that runs runcast. Install it, then reload this page:"
        )
        command = f"{shlex.quote(failure.python)} -m pip install tensorboard"
    else:
        todo = "The lines below are its last words. Reload this page to try again; reinstalling often helps:"
        command = f"{shlex.quote(failure.python)} -m pip install --upgrade tensorboard"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>TensorBoard did not start</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1.5rem }}
h1 {{ font-size: 1.25rem }}
pre {{ font-size: 13px; padding: .75rem 1rem; overflow: auto; border-radius: 6px; background: #8882 }}
</style></head>
<body><h1>TensorBoard did not start</h1>
<p>{todo}</p><pre>{html.escape(command)}</pre>
<p>Your run is being recorded all the same, and its charts are in the panel.</p>
<pre>{html.escape(failure.complaint)}</pre></body></html>
"""
