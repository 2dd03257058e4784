"""A server of access routes, and of two that read and write runs, with people who use it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from runcast.run.record import RunRecord, new_run_id
from runcast.server.access import (
    CSRF_HEADER,
    Access,
    Action,
    Role,
    Scope,
    Standing,
    admit_run,
    passwords,
    requires,
    run_in_path,
    the_server,
)
from runcast.server.access.routes import ENDPOINTS, EXCEPTION_HANDLERS
from runcast.server.api.operation import routes
from runcast.server.errors import EXCEPTION_HANDLERS as OTHERS
from runcast.server.limits import Limits
from runcast.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anyio.abc import BlockingPortal
    from starlette.requests import Request
    from starlette.responses import Response

PASSWORD = "correct horse battery"


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class InProcess(httpx.BaseTransport):
    """Requests to an application in this process, as from `address`."""

    def __init__(self, portal: BlockingPortal, app: Starlette, address: str) -> None:
        self._portal = portal
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._portal.call(self._handle, request)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        content = await response.aread()
        headers = [(name, value) for name, value in response.headers.raw]
        return httpx.Response(response.status_code, headers=headers, content=content)


class Place:
    """A server in this process: its store, its access, and clients that talk to it."""

    def __init__(self, root: Path, portal: BlockingPortal, **options: Any) -> None:
        self.portal = portal
        self.store = LocalStore(root)
        self.database = self.store.database
        self.clock = Clock()
        self.access = Access(self.database, clock=self.clock, **options)
        self.app = self.build(self.access)

    @staticmethod
    def build(access: Access) -> Starlette:
        @requires(Action.VIEW, run_in_path)
        async def show(request: Request) -> Response:
            return JSONResponse({"id": request.state.resource.id})

        @requires(Action.WRITE, run_in_path)
        async def write(request: Request) -> Response:
            return JSONResponse({"id": request.state.resource.id})

        @requires(Action.CREATE_RUN, the_server)
        async def create(request: Request) -> Response:
            body = await request.json()
            await admit_run(request, body["id"], body["project"])
            return JSONResponse(body, 201)

        runs = [
            Route("/runs", create, methods=["POST"]),
            Route("/runs/{id}", show, methods=["GET"]),
            Route("/runs/{id}", write, methods=["PATCH"]),
        ]
        app = Starlette(
            routes=[Mount("/api/v1", routes=[*routes(ENDPOINTS), *runs])],
            exception_handlers={**OTHERS, **EXCEPTION_HANDLERS},
        )
        app.state.access = access
        app.state.service = SimpleNamespace(limits=Limits())
        return app

    def client(
        self,
        authorization: str | None = None,
        *,
        base: str = "http://runcast.test",
        address: str = "192.0.2.1",
    ) -> httpx.Client:
        """Return a client without cookies."""
        headers = {"Authorization": authorization} if authorization else {}
        transport = InProcess(self.portal, self.app, address)
        return httpx.Client(transport=transport, base_url=f"{base}/api/v1", headers=headers)

    def user(self, name: str, standing: Standing = Standing.MEMBER, password: str | None = None) -> int:
        """Add a user, who can log in only if a password is given (that takes time)."""
        user, link = self.access.users.add(name, standing)
        if password is not None:
            self.access.users.take(link, password)
        return user.id

    def token(self, user: int, scope: Scope = Scope.ADMIN, **more: Any) -> httpx.Client:
        """Return a client with a new token of a user."""
        return self.client("Bearer " + self.access.tokens.create(user, "test", scope, **more)[1])

    def browser(self, user: int, **more: Any) -> httpx.Client:
        """Return a client with a session of a user, as if it had logged in."""
        login = self.access.sessions.open(user)
        client = self.client(**more)
        secure = str(client.base_url).startswith("https")
        client.cookies.set("__Host-runcast_session" if secure else "runcast_session", login.secret)
        client.headers[CSRF_HEADER] = client.get("session").json()["csrf"]
        return client

    def run(self, project: str, *, owner: int | None = None) -> str:
        """Record a run; its project is made for the owner if there is one."""
        if owner is not None:
            self.access.projects.make(project, owner)
        run = RunRecord(new_run_id(), project, "a run", "running", self.clock.now)
        self.store.create(run)
        return run.id

    def share(self, target: Any, maker: int | None = None, **more: Any) -> httpx.Client:
        """Return a client with a new link."""
        return self.client("Share " + self.access.shares.create(target, maker, **more)[1])


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords as argon2 does, but with less work than is safe."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=2, memory_cost=2048, parallelism=1))
    passwords._stand_in.cache_clear()


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """A thread with an event loop, where applications run."""
    with start_blocking_portal() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, portal: BlockingPortal) -> Iterator[Place]:
    """A server with nobody in it."""
    made = Place(tmp_path, portal)
    yield made
    made.store.close()
    made.database.close()


@pytest.fixture
def team(place: Place) -> SimpleNamespace:
    """An admin, a project of Ada's with a writer and a viewer, and someone who has nothing to do with it."""
    people = {name: place.user(name) for name in ("ada", "wim", "vera", "otto")}
    boss = place.user("boss", Standing.ADMIN)
    run = place.run("vision", owner=people["ada"])
    place.access.projects.set_role("vision", people["wim"], Role.WRITER)
    place.access.projects.set_role("vision", people["vera"], Role.VIEWER)
    return SimpleNamespace(place=place, run=run, boss=boss, **people)


@pytest.fixture
def status() -> Callable[[httpx.Response], int]:
    """The status of an answer, whose error says something when it is one."""

    def of(response: httpx.Response) -> int:
        if response.status_code >= 400:
            assert response.json()["error"], response.text
        return response.status_code

    return of
