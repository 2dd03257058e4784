"""Two servers on one PostgreSQL and S3, each request sent to either of them by chance, while one or the other part fails.

`RUNCAST_TEST_KILLS=50` lets each fail ten times in place of once.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

import runcast
from runcast.errors import ServerUnreachable
from runcast.recorder.replication import Replication
from runcast.store import connection, schema
from runcast.store.remote import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

TIMES = max(1, int(os.environ.get("RUNCAST_TEST_KILLS", "1")) // 5)
RUNS = 3


class Balancer:
    """What stands before several servers: each request goes to one of them by chance, and is answered 502 where that is away."""

    def __init__(self, ports: list[int]) -> None:
        self.taken = dict.fromkeys(ports, 0)
        chance = random.Random(3)
        taken = self.taken

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self._body()
                port = chance.choice(ports)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in PASSING}
                server = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                try:
                    server.request(self.command, self.path, body, headers)
                    answer = server.getresponse()
                    status, said, data = answer.status, answer.getheaders(), answer.read()
                    taken[port] += 1
                except (OSError, http.client.HTTPException):
                    status, said, data = 502, [], b"Bad gateway"
                finally:
                    server.close()
                self.send_response(status)
                for name, value in said:
                    if name.lower() not in {*PASSING, "date", "content-length"}:
                        self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_HEAD = pass_on  # noqa: N815

            def _body(self) -> bytes:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while length := int(self.rfile.readline(), 16):
                    body += self.rfile.read(length)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


PASSING = frozenset({"connection", "transfer-encoding", "host", "content-length"})
"""Headers that are a connection's own."""


class Cluster:
    """The servers, what they stand on, and what stands before them."""

    def __init__(self, servers: list[Any], postgresql: Any, s3: Any) -> None:
        self.servers = servers
        self.postgresql = postgresql
        self.s3 = s3
        self.balancer = Balancer([server.port for server in servers])
        self.chance = random.Random(11)

    def remote(self) -> RemoteStore:
        return RemoteStore(self.balancer.url, self.servers[0].token, patience=0.0)

    # What fails, and is mended when somebody has noticed.

    @contextmanager
    def killed_server(self) -> Iterator[None]:
        server = self.chance.choice(self.servers)
        server.kill()
        yield
        server.start()

    @contextmanager
    def crashed_postgresql(self) -> Iterator[None]:
        self.postgresql.stop(crash=True)
        yield
        self.postgresql.start()

    def failing_bucket(self) -> AbstractContextManager[None]:
        return self.s3.failing(500)

    def silent_bucket(self) -> AbstractContextManager[None]:
        return self.s3.failing(0)

    @property
    def faults(self) -> list[Callable[[], AbstractContextManager[None]]]:
        return [self.killed_server, self.crashed_postgresql, self.failing_bucket, self.silent_bucket]


@pytest.fixture
def cluster(new_server_at, postgresql, s3, tmp_path_factory) -> Iterator[Cluster]:
    files = s3.address()
    with postgresql.database() as database:
        servers = [
            new_server_at(tmp_path_factory.mktemp("replica"), database=database, files=files)
            for _ in range(2)
        ]
        try:
            with ThreadPoolExecutor() as together:
                list(together.map(lambda server: server.start(), servers))
            found = Cluster(servers, postgresql, s3)
            yield found
            found.balancer.close()
        finally:
            for server in servers:
                server.kill()


def unsealed(store: Any, run: str) -> int:
    """How many bytes of a run are in the database only."""
    tail = schema.tail.c
    with store.database.read() as reading:
        return reading.scalar(
            select(func.coalesce(func.sum(tail.stop - tail.start), 0)).where(tail.run == run)
        )


@pytest.mark.timeout(900)
def test_whatever_fails_every_byte_is_there_once(cluster, local, new_run, is_same, monkeypatch):
    """While trainings record, one part after the other fails and comes back: in the end every run is there as it is here."""
    monkeypatch.setattr(connection, "ANSWER", 10.0)
    runs = [new_run(project="replicas") for _ in range(RUNS)]
    stop = threading.Event()
    failures: list[str] = []
    problems: list[BaseException] = []

    def record(run: Any) -> None:
        chance = random.Random(run.id)
        replication = Replication(local, cluster.remote, run.id)
        step, deadline = 0, None
        try:
            while not replication.complete:
                if not stop.is_set():
                    for source in ("train", "val"):
                        for _ in range(10):
                            run.log(source, step, loss=1 / (step + 1), acc=chance.random())
                            step += 1
                    run.print("x" * chance.randrange(20_000))
                    if chance.random() < 0.3:
                        local.put(run.id, f"saved/{step % 3}.bin", chance.randbytes(100_000))
                elif deadline is None:
                    run.finish()
                    deadline = time.monotonic() + 60
                else:
                    assert time.monotonic() < deadline, replication.trouble or failures[-1:]
                try:
                    replication.round()
                except ServerUnreachable as error:
                    failures.append(str(error))
                    replication.reconnect()
                time.sleep(chance.uniform(0.0, 0.1))
        except BaseException as error:
            problems.append(error)
        finally:
            replication.close()

    threads = [threading.Thread(target=record, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    try:
        for fault in TIMES * cluster.faults:
            time.sleep(cluster.chance.uniform(0.3, 0.8))
            before, deadline = len(failures), time.monotonic() + 20
            with fault():
                while len(failures) == before:
                    assert problems == []
                    assert time.monotonic() < deadline, f"nobody noticed: {fault.__name__}"
                    time.sleep(0.02)
                time.sleep(cluster.chance.uniform(0.0, 0.5))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert min(cluster.balancer.taken.values()) > 10
    first = cluster.servers[0]
    with first.store() as there:
        deadline = time.monotonic() + 30
        while any(unsealed(there, run.id) for run in runs):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for run in runs:
            logs = runcast.read(local.root / "sources" / run.id)
            for series in there.series(run.id):
                original = logs.scalars(series.tag, series.source)
                points = there.points(run.id, series.root, series.source, series.tag)
                assert points.step.tolist() == original.step.tolist()
                assert points.value.tolist() == original.value.tolist()
                assert len(points.step) == series.count > 0
    for run in runs:
        is_same(run.id, first)
        with suppress(ServerUnreachable), cluster.remote() as anyone:
            assert anyone.run(run.id).state == "finished"
