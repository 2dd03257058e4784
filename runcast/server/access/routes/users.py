"""Users, for admins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from runcast.server.access.guard import access_of, requires, the_server
from runcast.server.access.policy import Action, Standing
from runcast.server.access.routes import schemas
from runcast.server.access.routes.fields import read_fields
from runcast.server.access.routes.sessions import user_in_path
from runcast.server.access.routes.shapes import user_shape
from runcast.server.api.operation import NOTHING, operation

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["ENDPOINTS"]

GROUP = "access"

NO_STORE = {"Cache-Control": "no-store"}


@operation("GET", "/users", "List all users", group=GROUP, answers={200: schemas.USERS})
@requires(Action.ADMINISTER, the_server)
async def list_users(request: Request) -> Response:
    access = access_of(request)
    return JSONResponse({"users": [user_shape(each) for each in await access.run(access.users.all)]})


@operation(
    "POST",
    "/users",
    "Add a user",
    group=GROUP,
    description="The answer has the link by which the user sets its password.",
    body=schemas.NEW_USER,
    answers={201: schemas.MADE_USER},
    errors={409: "There is a user of this name."},
)
@requires(Action.ADMINISTER, the_server)
async def add_user(request: Request) -> Response:
    access = access_of(request)
    fields = await read_fields(request)
    name, standing = fields.text("name"), fields.choice("standing", Standing, Standing.MEMBER)
    fields.end()
    user, secret = await access.run(access.users.add, name, standing)
    shape = {"user": user_shape(user), "link": access.link(request, "setup", secret)}
    return JSONResponse(shape, 201, NO_STORE)


@operation(
    "GET",
    "/users/{user}",
    "Show a user",
    group=GROUP,
    description="Oneself, or for admins anyone.",
    answers={200: schemas.USER_SHAPE},
)
@requires(Action.SEE_ACCOUNT, user_in_path)
async def show_user(request: Request) -> Response:
    access = access_of(request)
    return JSONResponse(user_shape(await access.run(access.users.by_id, request.state.resource.user)))


@operation(
    "PATCH",
    "/users/{user}",
    "Make a user an admin, a member or a guest",
    group=GROUP,
    body=schemas.CHANGED_USER,
    answers={200: schemas.USER_SHAPE},
    errors={409: "It is the only admin."},
)
@requires(Action.ADMINISTER, the_server)
async def change_user(request: Request) -> Response:
    access = access_of(request)
    name = request.path_params["user"]
    fields = await read_fields(request)
    standing = fields.choice("standing", Standing)
    fields.end()
    await access.run(access.users.set_standing, name, standing)
    return JSONResponse(user_shape(await access.run(access.users.find, name)))


@operation(
    "DELETE",
    "/users/{user}",
    "Remove a user",
    group=GROUP,
    description="Its sessions, tokens and links go with it; its runs and projects stay.",
    answers={204: NOTHING},
    errors={409: "It is the only admin."},
)
@requires(Action.ADMINISTER, the_server)
async def remove_user(request: Request) -> Response:
    access = access_of(request)
    await access.run(access.users.remove, request.path_params["user"])
    return Response(status_code=204)


@operation(
    "POST",
    "/users/{user}/link",
    "Make a link by which a user sets its password",
    group=GROUP,
    description="Links before it are void. The password that the user has holds until the link is used.",
    answers={201: schemas.LINK},
)
@requires(Action.ADMINISTER, the_server)
async def make_link(request: Request) -> Response:
    access = access_of(request)
    secret = await access.run(access.users.link, request.path_params["user"])
    return JSONResponse({"link": access.link(request, "setup", secret)}, 201, NO_STORE)


ENDPOINTS = (list_users, add_user, show_user, change_user, remove_user, make_link)
