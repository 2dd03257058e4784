"""The document that describes the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from runcast.server.access import open_to_all
from runcast.server.api.openapi import document
from runcast.server.api.operation import Body, operation

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["ENDPOINTS"]


@operation(
    "GET", "/openapi.json", "Describe this API", group="server", answers={200: Body({"type": "object"})}
)
@open_to_all
async def show_document(request: Request) -> Response:
    shown = getattr(request.app.state, "openapi", None)
    if shown is None:
        shown = request.app.state.openapi = document(request.app.routes)
    return JSONResponse(shown)


ENDPOINTS = (show_document,)
