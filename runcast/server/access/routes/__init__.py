"""The routes below `/api/v1` by which access is managed; each declares who may call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from runcast.server.access.errors import AccessError, TooMany
from runcast.server.access.routes import projects, sessions, shares, tokens, users
from runcast.server.errors import ErrorResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

__all__ = ["EXCEPTION_HANDLERS", "routes"]


def routes() -> list[BaseRoute]:
    """Return the routes, for the application to mount at `/api/v1`."""
    return [
        Route("/setup", sessions.show_setup, methods=["GET"]),
        Route("/setup", sessions.set_up, methods=["POST"]),
        Route("/session", sessions.show_session, methods=["GET"]),
        Route("/session", sessions.log_in, methods=["POST"]),
        Route("/session", sessions.log_out, methods=["DELETE"]),
        Route("/users", users.list_users, methods=["GET"]),
        Route("/users", users.add_user, methods=["POST"]),
        Route("/users/{user}", users.show_user, methods=["GET"]),
        Route("/users/{user}", users.change_user, methods=["PATCH"]),
        Route("/users/{user}", users.remove_user, methods=["DELETE"]),
        Route("/users/{user}/link", users.make_link, methods=["POST"]),
        Route("/users/{user}/password", sessions.change_password, methods=["PUT"]),
        Route("/tokens", tokens.list_tokens, methods=["GET"]),
        Route("/tokens", tokens.create_token, methods=["POST"]),
        Route("/tokens/{token:int}", tokens.revoke_token, methods=["DELETE"]),
        Route("/projects", projects.list_projects, methods=["GET"]),
        Route("/projects", projects.create_project, methods=["POST"]),
        Route("/projects/{name:path}/members", projects.list_members, methods=["GET"]),
        Route("/projects/{name:path}/members/{user}", projects.set_member, methods=["PUT"]),
        Route("/projects/{name:path}/members/{user}", projects.remove_member, methods=["DELETE"]),
        Route("/projects/{name:path}", projects.show_project, methods=["GET"]),
        Route("/projects/{name:path}", projects.change_project, methods=["PATCH"]),
        Route("/projects/{name:path}", projects.remove_project, methods=["DELETE"]),
        Route("/shares", shares.list_shares, methods=["GET"]),
        Route("/shares", shares.create_share, methods=["POST"]),
        Route("/shares/{share:int}", shares.revoke_share, methods=["DELETE"]),
    ]


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AccessError)
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else None
    return ErrorResponse(error.status, str(error), headers)


EXCEPTION_HANDLERS = {AccessError: _refused}
"""For the application, beside its own."""
