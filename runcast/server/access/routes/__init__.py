"""The routes below `/api/v1` by which access is managed; each declares who may call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runcast.server.access.errors import AccessError, TooMany
from runcast.server.access.routes import projects, sessions, shares, tokens, users
from runcast.server.errors import ErrorResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["ENDPOINTS", "EXCEPTION_HANDLERS"]

ENDPOINTS = (
    *sessions.ENDPOINTS,
    *users.ENDPOINTS,
    *tokens.ENDPOINTS,
    *projects.ENDPOINTS,
    *shares.ENDPOINTS,
)
"""For the application, beside its own: in this order, since a project's name may have slashes."""


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AccessError)
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else None
    return ErrorResponse(error.status, str(error), headers)


EXCEPTION_HANDLERS = {AccessError: _refused}
"""For the application, beside its own."""
