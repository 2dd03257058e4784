"""API tokens: one's own, and for admins everyone's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from runcast.server.access.guard import access_of, authorize, requires
from runcast.server.access.policy import Account, Action, Scope, Server
from runcast.server.access.routes import schemas
from runcast.server.access.routes.fields import number_in_path, read_fields
from runcast.server.access.routes.sessions import own_account
from runcast.server.access.routes.shapes import token_shape
from runcast.server.api.operation import NOTHING, operation, query

if TYPE_CHECKING:
    from starlette.requests import Request

    from runcast.server.access.policy import Resource

__all__ = ["ENDPOINTS"]

GROUP = "access"


async def owner_of_token(request: Request) -> Resource:
    """The account of the user whose token the path names. Raises `NotFound`."""
    access = access_of(request)
    return Account(await access.run(access.tokens.owner, number_in_path(request, "token")))


@operation(
    "GET",
    "/tokens",
    "List one's API tokens",
    group=GROUP,
    parameters=(query("all", {"enum": ["true", "false"]}, "Everyone's, for admins."),),
    answers={200: schemas.TOKENS},
)
@requires(Action.MANAGE_ACCOUNT, own_account)
async def list_tokens(request: Request) -> Response:
    access = access_of(request)
    user: int | None = request.state.actor.id
    if request.query_params.get("all") == "true":
        await authorize(request, Action.ADMINISTER, Server())
        user = None
    return JSONResponse({"tokens": [token_shape(each) for each in await access.run(access.tokens.all, user)]})


@operation(
    "POST",
    "/tokens",
    "Make an API token",
    group=GROUP,
    description="For those who are logged in: no token makes another. It does what its user may, as far as its `scope` goes, in one `project` or in all.",
    body=schemas.NEW_TOKEN,
    answers={201: schemas.MADE_TOKEN},
)
@requires(Action.MANAGE_ACCOUNT, own_account)
async def create_token(request: Request) -> Response:
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


@operation(
    "DELETE",
    "/tokens/{token:int}",
    "Revoke an API token",
    group=GROUP,
    description="One's own, or for admins anyone's.",
    answers={204: NOTHING},
)
@requires(Action.REVOKE_TOKEN, owner_of_token)
async def revoke_token(request: Request) -> Response:
    access = access_of(request)
    await access.run(access.tokens.revoke, number_in_path(request, "token"))
    return Response(status_code=204)


ENDPOINTS = (list_tokens, create_token, revoke_token)
