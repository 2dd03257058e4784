"""What goes wrong as JSON: `{"error": "what, where, what to do"}`, with the fitting status."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from runcast.errors import MissingPackage, RunNotFound, SeriesNotFound, StorageFull, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

__all__ = ["EXCEPTION_HANDLERS", "ErrorResponse", "Problem", "busy"]

log = logging.getLogger(__name__)

_WORDS = {
    404: "nothing is at this address; /api/v1/openapi.json lists what is",
    405: "this address does not take the method {method}; it takes {allow}",
}


class Problem(HTTPException):
    """A request that cannot be answered: `more` stands beside `error` in the answer."""

    def __init__(
        self, status: int, error: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(status, error, headers)
        self.more = more


class ErrorResponse(JSONResponse):
    """An error as the API says it."""

    def __init__(
        self, status: int, error: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__({"error": error, **more}, status, headers)


def busy(error: str, retry_after: int = 1) -> Problem:
    """Return the answer to what may be tried again in a few seconds."""
    return Problem(503, error, {"Retry-After": str(retry_after)})


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    detail = error.detail
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
    if not isinstance(error, Problem) and detail in {"Not Found", "Method Not Allowed"}:
        words = _WORDS[error.status_code]
        detail = words.format(method=request.method, allow=headers.get("Allow", ""))
    return ErrorResponse(error.status_code, detail, headers, **getattr(error, "more", {}))


async def _not_found(_request: Request, error: Exception) -> Response:
    return ErrorResponse(404, str(error))


async def _store(_request: Request, error: Exception) -> Response:
    """Handlers check what is asked of them before they ask the store: what it objects to is the store's own trouble."""
    log.warning("the store objects: %s", error)
    return ErrorResponse(503, str(error), {"Retry-After": "5"})


async def _full(_request: Request, error: Exception) -> Response:
    log.error("there is no room: %s", error)
    return ErrorResponse(507, str(error), {"Retry-After": "10"})


async def _missing(_request: Request, error: Exception) -> Response:
    return ErrorResponse(501, str(error))


def _methods_at(request: Request) -> list[str]:
    """Return the methods that some route takes at the request's path."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


EXCEPTION_HANDLERS = {
    HTTPException: _http,
    RunNotFound: _not_found,
    SeriesNotFound: _not_found,
    StorageFull: _full,
    StoreError: _store,
    MissingPackage: _missing,
}
