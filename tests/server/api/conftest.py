"""A real server in a thread, on a real socket, and people who talk to it."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from runcast.run.channel import pack
from runcast.run.record import new_run_id
from runcast.server.access import Access, Role, Scope, Standing
from runcast.server.app import create_app
from runcast.server.limits import MIB, Limits
from runcast.server.serve import in_thread
from runcast.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL = Limits(append=MIB, record=2 * MIB, file=2 * MIB, json=MIB // 4, stall=0.5)
"""Limits that a test reaches."""


class Place:
    """A server, its store, and clients of it."""

    def __init__(self, root: Path, limits: Limits = SMALL, **options: Any) -> None:
        self.root = root
        self.store = LocalStore(root, own_in_place=False)
        self.access = Access(self.store.database)
        self.app = create_app(self.store, self.access, limits=limits)
        self.options = options
        self.url = ""
        self.clients: list[httpx.Client] = []
        self.boss = self.user("boss", Standing.ADMIN)
        self.ada, self.vera, self.otto = (self.user(name) for name in ("ada", "vera", "otto"))
        self.access.projects.make("digits", self.ada)
        self.access.projects.set_role("digits", self.vera, Role.VIEWER)

    @contextmanager
    def running(self) -> Iterator[Place]:
        with in_thread(self.app, **self.options) as self.url:
            yield self
        for client in self.clients:
            client.close()
        self.store.close()

    @property
    def service(self) -> Any:
        return self.app.state.service

    def user(self, name: str, standing: Standing = Standing.MEMBER) -> int:
        return self.access.users.add(name, standing)[0].id

    def secret(self, user: int, scope: Scope = Scope.ADMIN) -> str:
        return self.access.tokens.create(user, "test", scope)[1]

    def client(self, user: int | None = None, **headers: str) -> httpx.Client:
        """Return a client with a token of the user, or without any."""
        if user is not None:
            headers["Authorization"] = f"Bearer {self.secret(user)}"
        self.clients.append(httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=30))
        return self.clients[-1]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server that all tests share, who make runs of their own."""
    with Place(tmp_path_factory.mktemp("server")).running() as running:
        yield running


@pytest.fixture
def own_place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A server of one test, with the limits that it is parametrized with."""
    with Place(tmp_path, getattr(request, "param", SMALL)).running() as running:
        yield running


@pytest.fixture
def place_of() -> Iterator[Any]:
    """Run a server of one test with other options: `place_of(root, trusted_proxies=…)`."""
    with contextlib.ExitStack() as stack:
        yield lambda root, **options: stack.enter_context(Place(root, **options).running())


@pytest.fixture(scope="session")
def ada(place: Place) -> httpx.Client:
    """Who owns the project `digits`."""
    return place.client(place.ada)


@pytest.fixture(scope="session")
def vera(place: Place) -> httpx.Client:
    """Who may view it."""
    return place.client(place.vera)


@pytest.fixture(scope="session")
def otto(place: Place) -> httpx.Client:
    """Who has nothing to do with it."""
    return place.client(place.otto)


@pytest.fixture(scope="session")
def new_run() -> Any:
    """Make a run through the API: `new_run(client, project=…, …)`; its id."""

    def make(client: httpx.Client, **fields: Any) -> str:
        run = {
            "id": new_run_id(),
            "project": "digits",
            "name": "first",
            "state": "running",
            "created": time.time(),
        }
        answer = client.post("/runs", json={**run, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    return make


@pytest.fixture(scope="session")
def message() -> Any:
    """Return the body of `POST /appends`: `message((path, offset, data), …)`."""

    def make(*appends: tuple[str, int, bytes], final: bool = False) -> bytes:
        heads = [{"path": path, "offset": offset, "final": final} for path, offset, _ in appends]
        return pack({"appends": heads}, [data for *_, data in appends])

    return make


class Events:
    """The events of a stream, as a browser's EventSource reads them."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[SimpleNamespace]:
        with contextlib.suppress(StopIteration):
            while True:
                yield self.next()

    def next(self) -> SimpleNamespace:
        """Return the next event; comments are passed over. Raises `StopIteration` at the end of the stream."""
        found: dict[str, str] = {}
        while True:
            line = next(self._lines)
            if not line and "data" in found:
                return SimpleNamespace(**{**found, "data": json.loads(found["data"])})
            name, _, value = line.partition(":")
            if name:
                found[name] = value.strip()


@pytest.fixture
def follow() -> Any:
    """Open a stream of events: `follow(client, path, since=None)`, a context."""

    @contextmanager
    def open_stream(client: httpx.Client, path: str, since: str | None = None) -> Iterator[Events]:
        headers = {} if since is None else {"Last-Event-ID": since}
        with client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, response.read()
            yield Events(response)

    return open_stream


@pytest.fixture
def request_log() -> Iterator[list[dict[str, Any]]]:
    """The facts of each request that the server logs while the test runs, appends too."""
    found: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.__dict__["request"])

    logger, handler, level = logging.getLogger("runcast.requests"), Kept(), logging.root.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the bytes of an event file with these series: `records({tag: [value, …]}, start=0)`."""
    from runcast.events.writer import EventWriter, event_file_name

    def make(series: dict[str, list[float]], start: int = 0) -> bytes:
        path = tmp_path_factory.mktemp("events") / event_file_name()
        writer = EventWriter(path)
        for step, values in enumerate(zip(*series.values(), strict=True), start):
            writer.scalars(dict(zip(series, values, strict=True)), step, time.time())
        return path.read_bytes()

    return make
