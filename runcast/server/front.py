"""What every request passes through: its id, its place among the others, headers that keep browsers safe, figures and the log."""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from runcast.server.access import Share, Token, User
from runcast.server.errors import ErrorResponse
from runcast.server.log import REQUESTS
from runcast.store.files import FULL

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runcast.server.access import Actor
    from runcast.server.service import Service

__all__ = ["STREAM", "Front"]

STREAM = "runcast.stream"
"""Set in the scope by an answer that does not end: it is no longer counted among the requests that are worked at."""

SAFE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""What an answer has unless it says otherwise."""

STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")

ALWAYS_IN = frozenset({"/healthz", "/readyz", "/metrics"})
"""Answered however busy the server is."""

_QUIET = frozenset({"POST /api/v1/runs/{id}/appends", "PATCH /api/v1/runs/{id}/files/{path:path}"})
_PROCESS = os.urandom(4).hex()
_numbers = itertools.count()
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger(__name__)


class Front:
    """The outermost layer of the application; what fails inside is answered here, and logged with its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and see to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Passage(scope, send).go(self._app, receive)


class _Passage:
    """One request's way through."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._service: Service = scope["app"].state.service
        self._id = _request_id(scope)
        self._started = time.perf_counter()
        self._status = 0
        self._inside = False
        self._took: float | None = None

    async def go(self, app: ASGIApp, receive: Receive) -> None:
        """Have the request answered."""
        scope = self._scope
        service = self._service
        try:
            if service.requests < service.limits.requests or scope["path"] in ALWAYS_IN:
                service.requests += 1
                self._inside = True
                await app(scope, receive, self.send)
            else:
                full = ErrorResponse(503, "the server is busy; try again", {"Retry-After": "1"})
                await full(scope, receive, self.send)
        except ClientDisconnect:
            self._status = self._status or 499  # nobody is there to be answered
        except OSError as error:
            if self._status:
                return  # as above, while the answer was being sent
            log.error("request %s failed: %s", self._id, error)  # noqa: TRY400 - a full disk needs no traceback
            words = f"the server cannot do this just now: {error.strerror or 'its disk or network fails'}"
            answer = ErrorResponse(507 if error.errno in FULL else 503, words, {"Retry-After": "5"})
            await answer(scope, receive, self.send)
        except Exception:
            log.exception("request %s failed", self._id)
            if self._status:
                raise  # the answer breaks off, which tells the client
            words = f"the server failed at this; its log says why, at request {self._id}"
            await ErrorResponse(500, words)(scope, receive, self.send)
        finally:
            self._leave()
            self._note()

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = message.setdefault("headers", [])
            present = {name for name, _ in headers}
            headers.extend(each for each in SAFE_HEADERS if each[0] not in present)
            headers.append((b"x-request-id", self._id.encode()))
            if self._scope["scheme"] == "https":
                headers.append(STRICT_TRANSPORT)
            if self._scope.get(STREAM):
                self._leave()
        elif not message.get("more_body", False):
            self._took = time.perf_counter() - self._started
        await self._send(message)

    def _leave(self) -> None:
        if self._inside:
            self._inside = False
            self._service.requests -= 1

    def _note(self) -> None:
        scope = self._scope
        took = self._took if self._took is not None else time.perf_counter() - self._started
        route = getattr(scope.get("route"), "path", "")
        method = scope["method"]
        is_stream = scope.get(STREAM, False)
        known = method if route or method in {"GET", "POST"} else "other"
        self._service.metrics.answered(known, route, self._status, None if is_stream else took)
        quiet = self._status < 400 and (scope["path"] in ALWAYS_IN or f"{method} {route}" in _QUIET)
        level = logging.DEBUG if quiet else logging.WARNING if self._status >= 500 else logging.INFO
        if not REQUESTS.isEnabledFor(level):
            return
        client = scope.get("client")
        facts = {
            "request": self._id,
            "method": method,
            "path": scope["path"],
            "status": self._status,
            "ms": round(took * 1000, 1),
            "client": client[0] if client else None,
            "actor": _named(scope.get("state", {}).get("actor")),
        }
        REQUESTS.log(level, "%s %s", method, scope["path"], extra={"request": facts})


def _request_id(scope: Scope) -> str:
    """Return the id that a proxy gave the request, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            said: str = value.decode("ascii")
            return said
    return f"{_PROCESS}{next(_numbers):08x}"


def _named(actor: Actor | None) -> str | None:
    """Return who it was, without what would let others be it."""
    match actor:
        case User():
            return f"user {actor.name}"
        case Token():
            return f"token {actor.id} of {actor.user.name}"
        case Share():
            return f"share {actor.id}"
    return None
