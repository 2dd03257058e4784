"""`Access`: one server's users, tokens, projects and links, and who sends each request."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException

from runcast.server.access import schema
from runcast.server.access.cache import Cache
from runcast.server.access.cookies import session_of
from runcast.server.access.errors import Unauthorized
from runcast.server.access.ground import Ground
from runcast.server.access.identify import Credential, identify
from runcast.server.access.policy import Anonymous, Project, Run
from runcast.server.access.projects import Projects
from runcast.server.access.secrets import csrf_token, digest, same
from runcast.server.access.sessions import Sessions
from runcast.server.access.shares import Shares
from runcast.server.access.throttle import Throttle
from runcast.server.access.tokens import Tokens
from runcast.server.access.users import Users

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from runcast.server.access.ground import Database
    from runcast.server.access.secrets import Kind

__all__ = ["CSRF_HEADER", "Access"]

CSRF_HEADER = "X-Runcast-CSRF"

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

LOOK_EVERY = 2.0
"""Seconds after which a process finds out whether another one took something away from someone."""

ACTOR_LASTS, SHARE_LASTS, RUN_LASTS = 60.0, 5.0, 5.0
"""Seconds that answers are kept: those that hang on what runs are, too, for less, since the store changes that."""

T = TypeVar("T")


class Access:
    """The application's `app.state.access`. `url` is where people reach the server, if it is not what requests say.

    Its rooms (`users`, `sessions`, `tokens`, `projects`, `shares`) are synchronous and thread-safe, and serve the command line
    too; `run` calls them from a handler. What is asked with every request is remembered, but for refusals: granting takes effect
    at once, revoking at once in this process, and within seconds in others.
    """

    def __init__(
        self,
        database: Database,
        *,
        url: str | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        schema.prepare(database)
        ground = self._ground = Ground(database, clock)
        self.url = None if url is None else url.rstrip("/")
        self.users = Users(ground)
        self.sessions = Sessions(ground, Throttle())
        self.tokens = Tokens(ground)
        self.projects = Projects(ground)
        self.shares = Shares(ground)
        self._credentials: Cache[bytes, Credential] = Cache(10_000, ticks)
        self._runs: Cache[str, Run] = Cache(100_000, ticks)
        self._ticks = ticks
        self._epoch, self._next_look = -1, ticks()
        self._changes = itertools.count(1)
        self.changes = 0
        """Another number when somebody may have lost the right to see something: whoever still sends it asks again."""
        ground.revoked.append(self._take_away)
        self._passwords = CapacityLimiter(2)  # argon2 takes a core and 64 MiB for each

    async def run(self, function: Callable[..., T], *arguments: object, **named: object) -> T:
        """Call a method of a room outside the event loop."""
        return await to_thread.run_sync(partial(function, *arguments, **named))

    async def run_password(self, function: Callable[..., T], *arguments: object) -> T:
        """Call what hashes a password: two at a time, so that logins never take the machine from runs."""
        return await to_thread.run_sync(partial(function, *arguments), limiter=self._passwords)

    # Requests.

    async def identify(self, request: Request) -> Credential:
        """Return who sends a request. Raises `HTTPException`: see `guard.authenticate`."""
        found = _secret_of(request)
        if found is None:
            return Credential(Anonymous())
        kind, secret = found
        if kind == "rcx_" and request.method not in SAFE:
            self.check_origin(request)
            if not same(request.headers.get(CSRF_HEADER, ""), csrf_token(secret)):
                raise HTTPException(403, f"send the session's `csrf` in the header {CSRF_HEADER}")
        await self.keep_up()
        key = digest(kind + secret)
        credential = self._credentials.get(key)
        if credential is None or (credential.expires or float("inf")) <= self._ground.now():
            generation = self._credentials.generation
            try:
                credential = await self.run(identify, self._ground, kind, secret)
            except Unauthorized as error:
                challenge = 'Bearer realm="runcast", error="invalid_token"'
                raise HTTPException(401, str(error), {"WWW-Authenticate": challenge}) from None
            lasts = SHARE_LASTS if kind == "rcs_" else ACTOR_LASTS
            self._credentials.keep(key, credential, lasts, generation)
        return credential

    def _take_away(self) -> None:
        self._credentials.clear()
        self.changes = next(self._changes)

    async def keep_up(self) -> None:
        """Forget who may do what if another process took something away. One caller in `LOOK_EVERY` waits for that."""
        now = self._ticks()
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            epoch = await self.run(self._ground.epoch)
            if epoch != self._epoch:
                self._epoch = epoch
                self._take_away()

    def forget(self, request: Request) -> None:
        """Have the request's credentials, and the run in its path, looked up anew."""
        found = _secret_of(request)
        if found is not None:
            self._credentials.forget(digest("".join(found)))
        self._runs.forget(request.path_params.get("id", ""))

    def check_origin(self, request: Request) -> None:
        """Raise `HTTPException` 403 if a browser says that the request comes from another site's page."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None and site not in {"same-origin", "none"}:
            raise HTTPException(403, "this request comes from another site's page")
        origin = request.headers.get("Origin")
        if site is None and origin is not None:
            ours = self.url or str(request.base_url)
            if urlsplit(origin)[:2] != urlsplit(ours)[:2]:
                raise HTTPException(
                    403, f"this request comes from {origin}, and the server is {ours}: see --url"
                )

    def link(self, request: Request, page: str, secret: str) -> str:
        """Return a link for people. The secret is in its fragment, which no browser sends, so that no log has it."""
        return f"{self.url or str(request.base_url).rstrip('/')}/{page}#{secret}"

    # Runs and projects.

    async def project_of(self, run: str) -> Run | None:
        """Return a run with its project, None if there is no such run."""
        found = self._runs.get(run)
        if found is None:
            generation = self._runs.generation
            found = await self.run(self.projects.of_run, run)
            if found is not None:
                self._runs.keep(run, found, RUN_LASTS, generation)
        return found

    def moved(self, run: str) -> None:
        """Take note that a run may be in another project now, in the trash, out of it, or gone."""
        self._runs.forget(run)
        self._runs.generation += 1
        self.changes = next(self._changes)

    async def project(self, name: str) -> Project:
        """Return a project as a resource."""
        return await self.run(self.projects.known, name)


def _secret_of(request: Request) -> tuple[Kind, str] | None:
    """Return the secret that a request carries, and what kind it should be."""
    header = request.headers.get("Authorization")
    if header is None:
        secret = session_of(request)
        return None if secret is None else ("rcx_", secret)
    scheme, _, secret = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return "rc_", secret.strip()
        case "share":
            return "rcs_", secret.strip()
    raise HTTPException(
        401,
        "`Authorization` is `Bearer TOKEN` or `Share SECRET`",
        {"WWW-Authenticate": 'Bearer realm="runcast", error="invalid_request"'},
    )
