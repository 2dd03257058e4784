"""Whether the server lives, whether it can work, and its figures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from runcast.errors import StoreError
from runcast.server.access import Action, open_to_all, requires, the_server
from runcast.server.api.operation import Body, operation
from runcast.server.api.schemas import TEXT, object_of
from runcast.server.errors import ErrorResponse
from runcast.server.service import service_of

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["ENDPOINTS"]

PATIENCE = 5.0
"""Seconds that the database may take to answer."""

_STATUS = Body(object_of({"status": TEXT}))


@operation("GET", "/healthz", "Say that the server lives", group="server", answers={200: _STATUS})
@open_to_all
async def show_health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


@operation(
    "GET",
    "/readyz",
    "Say whether the server can work",
    group="server",
    description="503 while its database does not answer, and from when it begins to stop: send requests elsewhere.",
    answers={200: _STATUS},
)
@open_to_all
async def show_readiness(request: Request) -> Response:
    service = service_of(request)
    if service.stopping.is_set():
        return ErrorResponse(503, "the server is stopping", {"Retry-After": "2"})
    try:
        await asyncio.wait_for(service.check(), PATIENCE)
    except asyncio.TimeoutError:
        return ErrorResponse(503, "the database does not answer", {"Retry-After": "5"})
    except StoreError:
        return ErrorResponse(
            503, "the database cannot be used; the server's log says why", {"Retry-After": "5"}
        )
    return JSONResponse({"status": "ok"})


@operation(
    "GET",
    "/metrics",
    "Show the server's figures",
    group="server",
    description="For Prometheus, with the API token of an admin; a token that may only read is enough.",
    answers={200: Body(None, ("text/plain",))},
)
@requires(Action.MONITOR, the_server)
async def show_metrics(request: Request) -> Response:
    figures = generate_latest(service_of(request).metrics.registry)
    return Response(figures, headers={"Content-Type": CONTENT_TYPE_LATEST})


ENDPOINTS = (show_health, show_readiness, show_metrics)
