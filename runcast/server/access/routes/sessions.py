"""Setting a password with a link, logging in and out, and who one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from runcast.server.access.cookies import clear_cookie, session_of, set_cookie
from runcast.server.access.errors import Unauthorized
from runcast.server.access.guard import access_of, authenticate, open_to_all, requires, the_server
from runcast.server.access.policy import Account, Action, Share, Token, User
from runcast.server.access.routes import schemas
from runcast.server.access.routes.fields import read_fields
from runcast.server.access.routes.shapes import actor_shape, user_shape
from runcast.server.access.secrets import csrf_token
from runcast.server.api.operation import NOTHING, header, operation, query
from runcast.server.api.schemas import TEXT

if TYPE_CHECKING:
    from starlette.requests import Request

    from runcast.server.access.policy import Resource
    from runcast.server.access.sessions import Login

__all__ = ["ENDPOINTS", "own_account", "user_in_path"]

GROUP = "access"


async def own_account(request: Request) -> Resource:
    """The account of the user who sends the request, or for whom it is sent."""
    match await authenticate(request):
        case User() as user:
            return Account(user.id)
        case Token(user=user):
            return Account(user.id)
        case Share():
            return Account(0)  # nobody's
    raise Unauthorized("log in first")


async def user_in_path(request: Request) -> Resource:
    """The account of the user whom the path names. Raises `NotFound`."""
    access = access_of(request)
    return Account((await access.run(access.users.find, request.path_params["user"])).id)


@operation(
    "GET",
    "/setup",
    "Say whether the server waits to be set up",
    group=GROUP,
    description="With `Authorization: Setup SECRET`, what that link is for.",
    parameters=(header("Authorization", TEXT, "`Setup SECRET`"),),
    answers={200: schemas.SETUP_STATE},
    errors={401: "The link is not valid (any more)."},
)
@open_to_all
async def show_setup(request: Request) -> Response:
    access = access_of(request)
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "setup":
        return JSONResponse({"needed": not await access.run(access.users.any)})
    link = await access.run(access.users.look, secret)
    kind = "setup" if link.user is None else "reset" if link.is_reset else "invitation"
    return JSONResponse({"kind": kind, "user": link.user, "expires": link.expires})


@operation(
    "POST",
    "/setup",
    "Set a password with a link, and log in",
    group=GROUP,
    description="That uses the link up. The first admin chooses a `name`.",
    body=schemas.SETUP,
    answers={200: schemas.LOGGED_IN},
    errors={401: "The link is not valid (any more).", 403: "The request comes from another site's page."},
)
@open_to_all
async def set_up(request: Request) -> Response:
    access = access_of(request)
    access.check_origin(request)
    fields = await read_fields(request)
    secret, password, name = fields.text("secret"), fields.text("password"), fields.maybe_text("name")
    fields.end()
    user = await access.run_password(access.users.take, secret, password, name)
    return await _logged_in(request, await access.run(access.sessions.open, user))


@operation(
    "POST",
    "/session",
    "Log in",
    group=GROUP,
    description="The answer sets the cookie of a new session.",
    body=schemas.LOGIN,
    answers={200: schemas.LOGGED_IN},
    errors={
        401: "The name or the password is wrong.",
        403: "The request comes from another site's page.",
        429: "Too many attempts; `Retry-After` says when to try again.",
    },
)
@open_to_all
async def log_in(request: Request) -> Response:
    access = access_of(request)
    access.check_origin(request)
    fields = await read_fields(request)
    name, password = fields.text("name"), fields.text("password")
    fields.end()
    login = await access.run_password(access.sessions.log_in, name, password, _address(request))
    return await _logged_in(request, login)


@operation(
    "GET",
    "/session",
    "Say who sends the request",
    group=GROUP,
    description="A browser gets the `csrf` to send in `X-Runcast-CSRF` with all that changes something.",
    answers={200: schemas.ACTOR},
)
@requires(Action.LIST, the_server)
async def show_session(request: Request) -> Response:
    shape = actor_shape(request.state.actor)
    if request.state.credential.session:
        shape |= {"csrf": csrf_token(session_of(request) or "")}
    return JSONResponse(shape, headers={"Cache-Control": "no-store"})


@operation(
    "DELETE",
    "/session",
    "Log out",
    group=GROUP,
    parameters=(query("everywhere", {"enum": ["true", "false"]}, "All sessions of the user."),),
    answers={204: NOTHING},
)
@requires(Action.MANAGE_ACCOUNT, own_account)
async def log_out(request: Request) -> Response:
    access = access_of(request)
    if request.query_params.get("everywhere") == "true":
        await access.run(access.sessions.close_all, request.state.actor.id)
    else:
        await access.run(access.sessions.close, session_of(request) or "")
    response = Response(status_code=204)
    clear_cookie(request, response)
    return response


@operation(
    "PUT",
    "/users/{user}/password",
    "Change one's password",
    group=GROUP,
    description="All sessions end, and a new one begins.",
    body=schemas.NEW_PASSWORD,
    answers={200: schemas.LOGGED_IN},
    errors={429: "Too many attempts; `Retry-After` says when to try again."},
)
@requires(Action.MANAGE_ACCOUNT, user_in_path)
async def change_password(request: Request) -> Response:
    access = access_of(request)
    fields = await read_fields(request)
    old, new = fields.text("old"), fields.text("new")
    fields.end()
    actor: User = request.state.actor
    change = access.sessions.change_password
    login = await access.run_password(change, actor.name, old, new, _address(request))
    return await _logged_in(request, login)


async def _logged_in(request: Request, login: Login) -> Response:
    """Answer with a new session. The one that the request came with ends: nobody else can have planted or kept it."""
    access = access_of(request)
    before = session_of(request)
    if before is not None:
        await access.run(access.sessions.close, before)
    user = user_shape(await access.run(access.users.by_id, login.user))
    shape = {"user": {"name": user["name"], "standing": user["standing"]}, "csrf": csrf_token(login.secret)}
    response = JSONResponse(shape, headers={"Cache-Control": "no-store"})
    set_cookie(request, response, login.secret)
    return response


def _address(request: Request) -> str:
    """Return the client's address, as the server takes it: a trusted proxy's word for it counts, nobody else's."""
    return "" if request.client is None else request.client.host


ENDPOINTS = (show_setup, set_up, show_session, log_in, log_out, change_password)
