"""API tokens: one's own, and for admins everyone's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from runcast.server.access.guard import access_of, authorize, requires
from runcast.server.access.policy import Account, Action, Scope, Server
from runcast.server.access.routes.fields import read_fields
from runcast.server.access.routes.sessions import own_account
from runcast.server.access.routes.shapes import token_shape

if TYPE_CHECKING:
    from starlette.requests import Request

    from runcast.server.access.policy import Resource

__all__ = ["create_token", "list_tokens", "revoke_token"]


async def owner_of_token(request: Request) -> Resource:
    """The account of the user whose token the path names. Raises `NotFound`."""
    access = access_of(request)
    return Account(await access.run(access.tokens.owner, request.path_params["token"]))


@requires(Action.MANAGE_ACCOUNT, own_account)
async def list_tokens(request: Request) -> Response:
    """List one's tokens; with `?all=true` everyone's, for admins."""
    access = access_of(request)
    user: int | None = request.state.actor.id
    if request.query_params.get("all") == "true":
        await authorize(request, Action.ADMINISTER, Server())
        user = None
    return JSONResponse({"tokens": [token_shape(each) for each in await access.run(access.tokens.all, user)]})


@requires(Action.MANAGE_ACCOUNT, own_account)
async def create_token(request: Request) -> Response:
    """Make a token with a `name` and a `scope` (`read`, `write`, `admin`), for one `project` or all, with an end (`expires`) or none.

    The answer has its `secret`, which is not shown again.
    """
    access = access_of(request)
    fields = await read_fields(request)
    name, scope = fields.text("name"), fields.choice("scope", Scope)
    project, expires = fields.maybe_text("project"), fields.maybe_number("expires")
    fields.end()
    user = request.state.actor.id
    make = access.tokens.create
    token, secret = await access.run(make, user, name, scope, project=project, expires=expires)
    shape = {"token": token_shape(token), "secret": secret}
    return JSONResponse(shape, 201, {"Cache-Control": "no-store"})


@requires(Action.REVOKE_TOKEN, owner_of_token)
async def revoke_token(request: Request) -> Response:
    """Make a token worthless: one's own, or for admins anyone's."""
    access = access_of(request)
    await access.run(access.tokens.revoke, request.path_params["token"])
    return Response(status_code=204)
