"""Users, for admins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from runcast.server.access.guard import access_of, requires, the_server
from runcast.server.access.policy import Action, Standing
from runcast.server.access.routes.fields import read_fields
from runcast.server.access.routes.sessions import user_in_path
from runcast.server.access.routes.shapes import user_shape

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["add_user", "change_user", "list_users", "make_link", "remove_user", "show_user"]

NO_STORE = {"Cache-Control": "no-store"}


@requires(Action.ADMINISTER, the_server)
async def list_users(request: Request) -> Response:
    """List all users."""
    access = access_of(request)
    return JSONResponse({"users": [user_shape(each) for each in await access.run(access.users.all)]})


@requires(Action.ADMINISTER, the_server)
async def add_user(request: Request) -> Response:
    """Add a user; the answer has the `link` by which it sets its password, which is not shown again."""
    access = access_of(request)
    fields = await read_fields(request)
    name, standing = fields.text("name"), fields.choice("standing", Standing, Standing.MEMBER)
    fields.end()
    user, secret = await access.run(access.users.add, name, standing)
    shape = {"user": user_shape(user), "link": access.link(request, "setup", secret)}
    return JSONResponse(shape, 201, NO_STORE)


@requires(Action.SEE_ACCOUNT, user_in_path)
async def show_user(request: Request) -> Response:
    """Show a user: oneself, or for admins anyone."""
    access = access_of(request)
    return JSONResponse(user_shape(await access.run(access.users.by_id, request.state.resource.user)))


@requires(Action.ADMINISTER, the_server)
async def change_user(request: Request) -> Response:
    """Make a user an admin, a member or a guest (`standing`)."""
    access = access_of(request)
    name = request.path_params["user"]
    fields = await read_fields(request)
    standing = fields.choice("standing", Standing)
    fields.end()
    await access.run(access.users.set_standing, name, standing)
    return JSONResponse(user_shape(await access.run(access.users.find, name)))


@requires(Action.ADMINISTER, the_server)
async def remove_user(request: Request) -> Response:
    """Remove a user with its sessions, tokens and shares; its runs and projects stay."""
    access = access_of(request)
    await access.run(access.users.remove, request.path_params["user"])
    return Response(status_code=204)


@requires(Action.ADMINISTER, the_server)
async def make_link(request: Request) -> Response:
    """Make a `link` by which a user sets its password, anew if it had one; it is not shown again."""
    access = access_of(request)
    secret = await access.run(access.users.link, request.path_params["user"])
    return JSONResponse({"link": access.link(request, "setup", secret)}, 201, NO_STORE)
