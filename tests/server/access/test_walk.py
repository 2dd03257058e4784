"""Every route of the server, asked by every kind of actor. A route that is not in the table fails."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto

from runcast.events.writer import EventWriter
from runcast.run.channel import pack
from runcast.run.record import RunRecord, new_run_id
from runcast.server.access import (
    CSRF_HEADER,
    Access,
    Project,
    Role,
    Run,
    Scope,
    Standing,
    check_routes,
    open_to_all,
)
from runcast.server.access.secrets import csrf_token
from runcast.server.app import create_app
from runcast.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anyio.abc import BlockingPortal

PASSWORD = "correct horse battery"
OK = 0

ANSWERS = """
                |  people with a session                   |  API tokens (all but the admin's are the owner's)      |  links                              |
actor           |  viewer  writer  owner  outsider  admin  |  admins  limited  read  write  full  revoked  expired  |  run  other  project  revoked_link  |  anonymous  nocsrf
open            |  ok      ok      ok     ok        ok     |  ok      ok       ok    ok     ok    ok       ok       |  ok   ok     ok       ok            |  ok         ok
list            |  ok      ok      ok     ok        ok     |  ok      ok       ok    ok     ok    401      401      |  ok   ok     ok       401           |  401        ok
view run        |  ok      ok      ok     404       ok     |  ok      404      ok    ok     ok    401      401      |  ok   404    ok       401           |  401        ok
write run       |  403     ok      ok     404       ok     |  ok      404      403   ok     ok    401      401      |  403  404    403      401           |  401        403
trash run       |  403     ok      ok     404       ok     |  ok      404      403   ok     ok    401      401      |  404  404    403      401           |  401        403
restore run     |  404     ok      ok     404       ok     |  ok      404      403   ok     ok    401      401      |  404  404    404      401           |  401        403
purge run       |  404     403     ok     404       ok     |  ok      404      403   403    ok    401      401      |  404  404    404      401           |  401        403
share run       |  403     ok      ok     404       ok     |  ok      404      403   403    ok    401      401      |  403  404    403      401           |  401        403
view project    |  ok      ok      ok     404       ok     |  ok      404      ok    ok     ok    401      401      |  404  404    ok       401           |  401        ok
see members     |  ok      ok      ok     404       ok     |  ok      404      ok    ok     ok    401      401      |  404  404    403      401           |  401        ok
see links       |  403     403     ok     404       ok     |  ok      404      403   403    ok    401      401      |  404  404    403      401           |  401        ok
revoke link     |  404     403     ok     404       ok     |  ok      404      404   404    ok    401      401      |  404  404    404      401           |  401        403
manage project  |  403     403     ok     404       ok     |  ok      404      403   403    ok    401      401      |  404  404    403      401           |  401        403
remove project  |  403     403     ok     404       ok     |  ok      404      403   403    ok    401      401      |  404  404    404      401           |  401        403
record          |  403     ok      ok     403       ok     |  ok      403      403   ok     ok    401      401      |  403  403    403      401           |  401        403
make project    |  ok      ok      ok     ok        ok     |  ok      403      403   ok     ok    401      401      |  403  403    403      401           |  401        403
administer      |  403     403     403    403       ok     |  ok      403      403   403    403   401      401      |  403  403    403      401           |  401        403
own account     |  ok      ok      ok     ok        ok     |  403     404      403   403    403   401      401      |  404  404    404      401           |  401        403
own tokens      |  ok      ok      ok     ok        ok     |  403     404      403   403    403   401      401      |  404  404    404      401           |  401        ok
see the owner   |  404     404     ok     404       ok     |  ok      404      ok    ok     ok    401      401      |  404  404    404      401           |  401        ok
be the owner    |  404     404     ok     404       403    |  403     404      403   403    403   401      401      |  404  404    404      401           |  401        403
revoke token    |  404     404     ok     404       ok     |  ok      404      403   403    ok    401      401      |  404  404    404      401           |  401        403
"""
"""What each kind of actor gets: `ok` is what the route answers when it works. `limited` is the owner's token for another project."""


def read_table() -> tuple[list[str], dict[str, dict[str, int]]]:
    """Take the table apart: who asks, and what each then gets."""
    lines = [line for line in ANSWERS.splitlines() if line.count("|") == 4][1:]
    (_, *actors), *rows = [
        [line.partition("|")[0].strip(), *line.partition("|")[2].replace("|", " ").split()] for line in lines
    ]
    answers = {"ok": OK}
    table = {}
    for name, *cells in rows:
        statuses = [answers[cell] if cell in answers else int(cell) for cell in cells]
        table[name] = dict(zip(actors, statuses, strict=True))
    return actors, table


ACTORS, TABLE = read_table()


class Case(NamedTuple):
    """A route, what it asks, and a request that works: its status, and what is sent where, which may be made anew for each."""

    method: str
    path: str
    asks: str
    status: int
    make: Callable[[World], dict[str, Any]] = lambda world: {}
    stream: bool = False


class World:
    """A whole server, with a project, and everyone who could ask for something of it."""

    def __init__(self, root: Path) -> None:
        self.store = LocalStore(root, own_in_place=False)
        self.access = access = Access(self.store.database)
        self.app = create_app(self.store, access)
        self.count = 0
        people = ("viewer", "writer", "owner", "outsider")
        self.users = {name: access.users.add(name)[0].id for name in people}
        self.users["admin"] = access.users.add("admin", Standing.ADMIN)[0].id
        access.users.take(access.users.link("owner"), PASSWORD)
        self.run, self.other = self.new_run("vision", "owner"), self.new_run("other", "owner")
        for name, role in (("viewer", Role.VIEWER), ("writer", Role.WRITER)):
            access.projects.set_role("vision", self.users[name], role)
        log = root / "events.out.tfevents.1.test"
        writer = EventWriter(log)
        writer.scalars({"loss": 1.0}, 1)
        meaning = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        note = Summary.Value(tag="note", metadata=meaning, tensor=TensorProto(dtype=7, string_val=[b"hello"]))
        writer.values([note.SerializeToString()], 1)
        writer.close()
        self.events = log.read_bytes()
        self.store.append(self.run, f"files/logs/{log.name}", 0, self.events)
        self.file = f"files/logs/{log.name}"

    def new_run(self, project: str, owner: str) -> str:
        self.access.projects.make(project, self.users[owner])
        run = RunRecord(new_run_id(), project, "a run", "running", 1e9)
        self.store.create(run)
        return run.id

    def trashed_run(self) -> str:
        run = self.new_run("vision", "owner")
        self.store.trash(run)
        return run

    def name(self) -> str:
        """A name that nobody has yet."""
        self.count += 1
        return f"new{self.count}"

    def user(self) -> str:
        return self.access.users.add(self.name())[0].name

    def link(self) -> int:
        return self.access.shares.create(Run(self.run, "vision"), self.users["owner"])[0].id

    def token(self) -> int:
        return self.access.tokens.create(self.users["owner"], "spare", Scope.READ)[0].id

    def project(self) -> str:
        """A project without runs, whose members are those of `vision`."""
        name = self.name()
        self.access.projects.make(name, self.users["owner"])
        for user, role in (("viewer", Role.VIEWER), ("writer", Role.WRITER)):
            self.access.projects.set_role(name, self.users[user], role)
        return name

    def headers(self, actor: str) -> dict[str, str]:
        """New credentials of an actor."""
        users, access = self.users, self.access
        token, share = access.tokens.create, access.shares.create
        owner = users["owner"]
        match actor:
            case "anonymous":
                return {}
            case "admins":
                return {"Authorization": "Bearer " + token(users["admin"], "t", Scope.ADMIN)[1]}
            case "limited":
                return {"Authorization": "Bearer " + token(owner, "t", Scope.ADMIN, project="other")[1]}
            case "read" | "write" | "full":
                scope = {"read": Scope.READ, "write": Scope.WRITE, "full": Scope.ADMIN}[actor]
                return {"Authorization": "Bearer " + token(owner, "t", scope)[1]}
            case "revoked" | "expired":
                record, secret = token(owner, "t", Scope.ADMIN)
                if actor == "revoked":
                    access.tokens.revoke(record.id)
                else:
                    with self.store.database.write() as connection:
                        connection.exec_driver_sql(
                            f"update access_token set expires = 1 where id = {record.id}"
                        )
                return {"Authorization": f"Bearer {secret}"}
            case "run":
                return {"Authorization": "Share " + share(Run(self.run, "vision"), owner)[1]}
            case "other":
                return {"Authorization": "Share " + share(Run(self.other, "other"), owner)[1]}
            case "project":
                return {"Authorization": "Share " + share(Project("vision"), owner)[1]}
            case "revoked_link":
                record, secret = share(Run(self.run, "vision"), owner)
                access.shares.revoke(record.id)
                return {"Authorization": f"Share {secret}"}
        user = "owner" if actor == "nocsrf" else actor
        session = access.sessions.open(users[user]).secret
        headers = {"Cookie": f"runcast_session={session}"}
        return headers if actor == "nocsrf" else {**headers, CSRF_HEADER: csrf_token(session)}

    async def ask(self, case: Case, headers: dict[str, str]) -> int:
        """Return the status that a request gets; a stream is left once it has begun."""
        sent = {"path": {}, "query": "", "headers": {}, "json": None, "body": b"", **case.make(self)}
        path = case.path
        for name, value in {"id": self.run, "name": "vision", **sent["path"]}.items():
            path = path.replace(f"{{{name}}}", str(value)).replace(f"{{{name}:path}}", str(value))
            path = path.replace(f"{{{name}:int}}", str(value))
        body = sent["body"] if sent["json"] is None else json.dumps(sent["json"]).encode()
        kind = "application/octet-stream" if sent["json"] is None else "application/json"
        said = {"host": "runcast.test", "content-type": kind, **sent["headers"], **headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": case.method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "root_path": "", "query_string": sent["query"].encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in said.items()],
            "client": ("192.0.2.1", 1), "server": ("runcast.test", 80), "state": {},
        }  # fmt: skip
        begun = asyncio.Event()
        got: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]
        statuses: list[int] = []

        async def receive() -> Any:
            if got:
                return got.pop()
            await begun.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                begun.set()

        task = asyncio.create_task(self.app(scope, receive, send))
        if case.stream:
            await asyncio.wait([task, asyncio.create_task(begun.wait())], return_when="FIRST_COMPLETED")
            task.cancel()
        await asyncio.wait([task], timeout=20)
        return statuses[0]


def new_run_of(world: World) -> dict[str, Any]:
    fields = {"name": "x", "state": "running", "created": 1e9}
    return {"json": {"id": new_run_id(), "project": "vision", **fields}}


def invitation(world: World) -> dict[str, Any]:
    _, secret = world.access.users.add(world.name())
    return {"json": {"secret": secret, "password": PASSWORD}}


def new_login(world: World) -> dict[str, Any]:
    world.access.sessions._throttle._attempts.clear()
    return {"json": {"name": "owner", "password": PASSWORD}}


def new_password(world: World) -> dict[str, Any]:
    world.access.sessions._throttle._attempts.clear()
    return {"path": {"user": "owner"}, "json": {"old": PASSWORD, "new": PASSWORD}}


def member_of_project(world: World) -> dict[str, Any]:
    world.access.projects.set_role("vision", world.users["outsider"], Role.VIEWER)
    world.access.projects.set_role("vision", world.users["outsider"], None)
    name, project = world.user(), "vision"
    world.access.projects.set_role(project, world.access.users.find(name).id, Role.VIEWER)
    return {"path": {"name": project, "user": name}}


def appended(world: World) -> dict[str, Any]:
    path = f"files/logs/{world.name()}.tfevents.1"
    head = {"appends": [{"path": path, "offset": 0, "final": False}]}
    return {"body": pack(head, [world.events])}


def one_file(world: World) -> dict[str, Any]:
    path = {"path": f"files/logs/{world.name()}.tfevents.1"}
    return {"path": path, "headers": {"upload-offset": "0"}, "body": world.events}


def at(**path: Any) -> Callable[[World], dict[str, Any]]:
    """What is sent to an address with these in its path."""
    return lambda world: {"path": {name: value(world) if callable(value) else value for name, value in path.items()}}  # fmt: skip


def with_json(**body: Any) -> Callable[[World], dict[str, Any]]:
    """What is sent with this body."""
    return lambda world: {"json": body}


LOSS = "root=logs&source=.&tag=loss"
FILE = "/api/v1/runs/{id}/files/{path:path}"
MEMBER = "/api/v1/projects/{name:path}/members/{user}"
PROJECT = "/api/v1/projects/{name:path}"
USER = "/api/v1/users/{user}"

CASES = [
    Case("POST", "/api/v1/runs", "record", 201, new_run_of),
    Case("GET", "/api/v1/runs", "list", 200),
    Case("GET", "/api/v1/runs/{id}", "view run", 200),
    Case("PATCH", "/api/v1/runs/{id}", "write run", 200, with_json(name="renamed")),
    Case("DELETE", "/api/v1/runs/{id}", "trash run", 204, at(id=lambda world: world.new_run("vision", "owner"))),
    Case("POST", "/api/v1/runs/{id}/restore", "restore run", 200, at(id=World.trashed_run)),
    Case("POST", "/api/v1/runs/{id}/purge", "purge run", 204, at(id=World.trashed_run)),
    Case("GET", "/api/v1/runs/{id}/files", "view run", 200),
    Case("GET", FILE, "view run", 200, lambda world: {"path": {"path": world.file}}),
    Case("HEAD", FILE, "view run", 200, lambda world: {"path": {"path": world.file}}),
    Case("PATCH", FILE, "write run", 204, one_file),
    Case("PUT", FILE, "write run", 200, lambda world: {"path": {"path": "saved/a.txt"}, "body": b"a"}),
    Case("POST", "/api/v1/runs/{id}/appends", "write run", 200, appended),
    Case("POST", "/api/v1/runs/{id}/describe", "write run", 204, with_json(files=[])),
    Case("GET", "/api/v1/runs/{id}/series", "view run", 200),
    Case("GET", "/api/v1/runs/{id}/points", "view run", 200, lambda world: {"query": LOSS}),
    Case("GET", "/api/v1/runs/{id}/summaries", "view run", 200, lambda world: {"query": LOSS.replace("loss", "note")}),
    Case("GET", "/api/v1/runs/{id}/events", "view run", 200, stream=True),
    Case("GET", "/api/v1/runs/{id}/frames", "view run", 200, stream=True),
    Case("GET", "/api/v1/projects/{name:path}/events", "view project", 200, stream=True),
    Case("GET", "/api/v1/changes", "list", 200),
    Case("GET", "/api/v1/setup", "open", 200),
    Case("POST", "/api/v1/setup", "open", 200, invitation),
    Case("GET", "/api/v1/session", "list", 200),
    Case("POST", "/api/v1/session", "open", 200, new_login),
    Case("DELETE", "/api/v1/session", "own account", 204),
    Case("PUT", "/api/v1/users/{user}/password", "be the owner", 200, new_password),
    Case("GET", "/api/v1/users", "administer", 200),
    Case("POST", "/api/v1/users", "administer", 201, lambda world: {"json": {"name": world.name()}}),
    Case("GET", USER, "see the owner", 200, at(user="owner")),
    Case("PATCH", USER, "administer", 200, lambda world: {"path": {"user": world.user()}, "json": {"standing": "guest"}}),
    Case("DELETE", USER, "administer", 204, at(user=World.user)),
    Case("POST", "/api/v1/users/{user}/link", "administer", 201, at(user=World.user)),
    Case("GET", "/api/v1/tokens", "own tokens", 200),
    Case("POST", "/api/v1/tokens", "own account", 201, with_json(name="t", scope="read")),
    Case("DELETE", "/api/v1/tokens/{token:int}", "revoke token", 204, at(token=World.token)),
    Case("GET", "/api/v1/projects", "list", 200),
    Case("POST", "/api/v1/projects", "make project", 201, lambda world: {"json": {"name": world.name()}}),
    Case("GET", PROJECT, "view project", 200),
    Case("PATCH", PROJECT, "manage project", 200, with_json(visibility="private")),
    Case("DELETE", PROJECT, "remove project", 204, at(name=World.project)),
    Case("GET", "/api/v1/projects/{name:path}/members", "see members", 200),
    Case("PUT", MEMBER, "manage project", 200, lambda world: {"path": {"user": world.user()}, "json": {"role": "viewer"}}),
    Case("DELETE", MEMBER, "manage project", 204, member_of_project),
    Case("GET", "/api/v1/shares", "see links", 200, lambda world: {"query": "project=vision"}),
    Case("POST", "/api/v1/shares", "share run", 201, lambda world: {"json": {"run": world.run}}),
    Case("DELETE", "/api/v1/shares/{share:int}", "revoke link", 204, at(share=World.link)),
    Case("GET", "/api/v1/openapi.json", "open", 200),
    Case("GET", "/healthz", "open", 200),
    Case("GET", "/readyz", "open", 200),
    Case("GET", "/metrics", "administer", 200),
]  # fmt: skip

PAGES = ("show_page", "show_asset")
"""The endpoints of the pages' shell and bundles, which hold nothing of anyone's."""


@contextmanager
def running(world: World, portal: BlockingPortal) -> Iterator[World]:
    with portal.wrap_async_context_manager(world.app.router.lifespan_context(world.app)):
        yield world
    world.store.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, portal: BlockingPortal) -> Iterator[World]:
    """The server that all cases share."""
    from argon2 import PasswordHasher

    from runcast.server.access import passwords

    with pytest.MonkeyPatch.context() as patch:
        quick = PasswordHasher(time_cost=2, memory_cost=2048, parallelism=1)
        patch.setattr(passwords, "_hasher", quick)
        with running(World(tmp_path_factory.mktemp("world")), portal) as made:
            yield made


def test_every_route_is_in_the_table(world: World) -> None:
    """A route that nobody thought about in terms of access fails here, and so does a row for one that is gone."""
    routes = [route for route in world.app.routes if isinstance(route, Route)]
    assert routes == list(world.app.routes)
    served = {
        (method, route.path)
        for route in routes
        for method in (route.methods or ())
        if route.endpoint.__name__ not in PAGES and method != "HEAD"
    }
    listed = {(case.method, case.path) for case in CASES if case.method != "HEAD"}
    assert listed == served


@pytest.mark.parametrize("case", CASES, ids=[f"{case.method} {case.path}" for case in CASES])
def test_each_actor_gets_what_the_table_says(world: World, portal: BlockingPortal, case: Case) -> None:
    """Whoever asks, with whatever credentials, gets the answer that the table has for them."""
    expected = {
        actor: case.status if TABLE[case.asks][actor] == OK else TABLE[case.asks][actor] for actor in ACTORS
    }
    if case.method in {"GET", "HEAD"}:
        expected["nocsrf"] = expected["owner"]  # a cookie alone may read
    found = {actor: portal.call(world.ask, case, world.headers(actor)) for actor in ACTORS}
    assert found == expected


def test_the_pages_need_nobody(world: World) -> None:
    """The pages' shell and bundles are the same for everyone; they declare it, as every route does."""
    for route in world.app.routes:
        if route.endpoint.__name__ in PAGES:
            assert route.endpoint.requirement.action is None


def test_a_route_that_declares_nothing_cannot_be_mounted() -> None:
    """Forgetting `@requires` is not possible: the application is not built."""

    async def forgotten(request: Any) -> Any:
        raise NotImplementedError

    for routes in ([Route("/x", forgotten)], Starlette(routes=[Route("/x", forgotten)]).routes):
        with pytest.raises(TypeError, match="does not say who may call it"):
            check_routes(routes)
    check_routes([Route("/x", open_to_all(forgotten))])
