"""The application: a store behind routes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from runcast.server import health, pages
from runcast.server.access import Access, check_routes
from runcast.server.access.routes import ENDPOINTS as ACCESS_ENDPOINTS
from runcast.server.access.routes import EXCEPTION_HANDLERS as ACCESS_HANDLERS
from runcast.server.api import appends, files, frames, live, meta, runs, series
from runcast.server.api.operation import routes
from runcast.server.errors import EXCEPTION_HANDLERS
from runcast.server.front import Front
from runcast.server.limits import Limits
from runcast.server.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.routing import BaseRoute

    from runcast.store.local import LocalStore

__all__ = ["create_app"]

PREFIX = "/api/v1"


def create_app(
    store: LocalStore, access: Access | None = None, *, limits: Limits = Limits(), url: str | None = None  # noqa: B008
) -> Starlette:  # fmt: skip
    """Return the server of a store as an ASGI application; who may do what is in the store's database, if `access` is None.

    `url` is where people reach it, if requests do not say so. The store is not closed with the application.
    """
    if access is None:
        access = Access(store.database, url=url)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service = app.state.service = Service(store, limits, access)
        try:
            yield
        finally:
            await service.close()

    endpoints = [
        *appends.ENDPOINTS,  # first: most requests are appends
        *files.ENDPOINTS,
        *runs.ENDPOINTS,
        *series.ENDPOINTS,
        *live.ENDPOINTS,
        *frames.ENDPOINTS,
        *meta.ENDPOINTS,
        *ACCESS_ENDPOINTS,
    ]
    all_routes: list[BaseRoute] = [
        *_below(PREFIX, routes(endpoints)),
        *routes(health.ENDPOINTS),
        *pages.routes(),
    ]
    check_routes(all_routes)
    app = Starlette(
        routes=all_routes,
        middleware=[Middleware(Front)],
        exception_handlers={**EXCEPTION_HANDLERS, **ACCESS_HANDLERS},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.access = access
    return app


def _below(prefix: str, listed: list[Route]) -> list[Route]:
    """Return the routes with a prefix; a flat list is searched faster than one of mounts."""
    return [Route(prefix + each.path, each.endpoint, methods=sorted(each.methods or ())) for each in listed]
