"""A real server in a process of its own, and people's tokens for it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runcast.events.writer import EventWriter, event_file_name
from runcast.run.journal import Journal
from runcast.run.record import CONSOLE, RunRecord, new_run_id
from runcast.server.access import Access, Scope, Standing
from runcast.store.local import LocalStore
from runcast.store.protocol import Appended, Facts
from runcast.store.remote import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVE = """
import sys
from datetime import timedelta
from pathlib import Path
import uvicorn
from runcast.server.app import create_app
from runcast.store.local import LocalStore
root, host, port, database, files = sys.argv[1:]
if files:  # what takes minutes otherwise
    from runcast import objects
    from runcast.store.places import sealing
    objects.TIMEOUT, objects.RETRIES = timedelta(seconds=1), 1
    sealing.SEGMENT, sealing.SWEEP, sealing.SLOWEST = 64 << 10, 0.2, 1.0
store = LocalStore(Path(root), database=database or None, files=files or None, own_in_place=False)
uvicorn.run(create_app(store), host=host, port=int(port), log_level="critical", access_log=False)
"""


class Server:
    """A server of a folder, or of a database and a bucket; it can be killed and started again at the same address.

    `within` is the beginning of a command that runs the rest elsewhere, where `host` is an address.
    """

    def __init__(
        self,
        root: Path,
        *,
        database: str | None = None,
        files: str | None = None,
        host: str = "127.0.0.1",
        within: tuple[str, ...] = (),
    ) -> None:
        self.root = root
        self._where = {"database": database, "files": files}
        self._within = within
        with self.store() as store:
            self.access = Access(store.database)
            known = [user for user in self.access.users.all() if user.name == "ada"]
            self.user = known[0] if known else self.access.users.add("ada", Standing.MEMBER)[0]
            self.token = self.new_token()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._host = host
        self.url = f"http://{host}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def new_token(self) -> str:
        return self.access.tokens.create(self.user.id, "test", Scope.ADMIN)[1]

    def start(self) -> None:
        where = [each or "" for each in self._where.values()]
        serve = [sys.executable, "-c", SERVE, str(self.root), self._host, str(self.port), *where]
        self.process = subprocess.Popen([*self._within, *serve])
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/healthz", timeout=5).close()
            except OSError:  # noqa: PERF203 - it is asked again
                assert self.process.poll() is None, "the server did not start"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remote(self, token: str | None = None, **options: float) -> RemoteStore:
        return RemoteStore(self.url, token or self.token, **options)

    @contextmanager
    def store(self) -> Iterator[LocalStore]:
        """The server's own store, past HTTP."""
        with LocalStore(self.root, own_in_place=False, **self._where) as store:
            yield store


class LocalRun:
    """A run on this machine, recorded into its local store as a recorder does it."""

    def __init__(self, store: LocalStore, project: str = "tests", **start: Any) -> None:
        self.store = store
        self.id = new_run_id()
        self.folder = store.root / "runs" / self.id
        self.folder.mkdir(parents=True)
        self.journal = Journal(self.folder / "run.jsonl", by="kernel:1")
        created = time.time()
        start = {"project": project, "name": "first", "config": {"lr": 0.1}, "created": created, **start}
        self.journal.append("start", run=self.id, **start)
        store.create(
            RunRecord(self.id, start["project"], start["name"], "running", created, config=start["config"])
        )
        self.writers: dict[str, EventWriter] = {}

    def log(self, source: str, step: int, **values: float) -> None:
        """Write scalars to the event file of a source, and record it."""
        path = next((path for path in self.writers if path.split("/")[2] == source), None)
        if path is None:
            path = f"files/logs/{source}/{event_file_name()}"
            self.writers[path] = EventWriter(
                self.store.root / "sources" / self.id / source / path.rpartition("/")[2]
            )
        self.writers[path].scalars(values, step, time.time())
        self.record(path)

    def record(self, path: str, data: bytes | None = None, *, final: bool = False) -> None:
        """Record what the source of a file holds, or `data` at its end."""
        at = self.store.size(self.id, path)
        if data is None:
            data = self.writers[path].path.read_bytes()[at:]
        assert isinstance(self.store.append(self.id, path, at, data, final=final), Appended)

    def print(self, text: str) -> None:
        with (self.folder / CONSOLE).open("a") as file:
            file.write(json.dumps({"n": 0, "t": time.time(), "s": "out", "x": text}) + "\n")

    def finish(self, state: str = "finished") -> None:
        self.store.update(self.id, Facts(state=state, ended=time.time()))


def same(run: str, here: LocalStore, there: LocalStore) -> None:
    """A run is on the server as it is here: every byte once, every point, every fact."""
    ours, theirs = here.run(run), there.run(run)
    assert replace(theirs, heartbeat=None) == replace(ours, heartbeat=None)
    files = {file.path: file for file in there.files(run)}
    console = here.root / "runs" / run / CONSOLE
    if console.exists():
        assert there.read(run, CONSOLE, 0, 1 << 30) == console.read_bytes()
        del files[CONSOLE]
    assert {path: replace(file, source_size=0) for path, file in files.items()} == {
        file.path: replace(file, source_size=0) for file in here.files(run)
    }
    for path, file in files.items():
        assert there.read(run, path, 0, file.size + 1) == here.read(run, path, 0, file.size), path
    for series, original in zip(there.series(run), here.series(run), strict=True):
        assert replace(series, id=0) == replace(original, id=0)
        for mine, its in zip(
            astuple(there.points(run, series.root, series.source, series.tag)),
            astuple(here.points(run, series.root, series.source, series.tag)),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, its)


@pytest.fixture(autouse=True)
def own_config(tmp_path, monkeypatch):
    """The user's config folder, with nothing in it, also for processes that a test starts."""
    for name in ("RUNCAST_TO", "RUNCAST_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "local"))
    return tmp_path / "config"


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """A running server."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def new_server_at() -> type[Server]:
    """Make a server elsewhere, or on something else: `new_server_at(root, database=…, files=…)`, to be started."""
    return Server


@pytest.fixture
def new_server(tmp_path) -> Iterator[Server]:
    """A running server of the test's own, which may be killed."""
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def local(tmp_path) -> Iterator[LocalStore]:
    """The store on this machine."""
    with LocalStore(tmp_path / "local") as store:
        yield store


@pytest.fixture
def new_run(local):
    """Make a run that is recorded in the store on this machine."""
    made = []

    def make(**start: Any) -> LocalRun:
        made.append(LocalRun(local, **start))
        return made[-1]

    yield make
    for run in made:
        for writer in run.writers.values():
            writer.close()  # or it would be found by runs that other tests start in this process


@pytest.fixture
def is_same(local):
    """Compare a run on this machine with the server's."""

    def compare(run: str, server: Server) -> None:
        with server.store() as store:
            same(run, local, store)

    return compare
