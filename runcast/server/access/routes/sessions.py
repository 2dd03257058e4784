"""Setting a password with a link, logging in and out, and who one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from runcast.server.access.cookies import clear_cookie, session_of, set_cookie
from runcast.server.access.errors import BadRequest, Unauthorized
from runcast.server.access.guard import access_of, authenticate, open_to_all, requires, the_server
from runcast.server.access.policy import Account, Action, Share, Token, User
from runcast.server.access.routes.fields import read_fields
from runcast.server.access.routes.shapes import actor_shape, user_shape
from runcast.server.access.secrets import csrf_token

if TYPE_CHECKING:
    from starlette.requests import Request

    from runcast.server.access.policy import Resource
    from runcast.server.access.sessions import Login

__all__ = [
    "change_password",
    "log_in",
    "log_out",
    "own_account",
    "set_up",
    "show_session",
    "show_setup",
    "user_in_path",
]


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


@open_to_all
async def show_setup(request: Request) -> Response:
    """Say whether the server waits to be set up; with `Authorization: Setup SECRET`, what that link is for."""
    access = access_of(request)
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        return JSONResponse({"needed": not await access.run(access.users.any)})
    if scheme.lower() != "setup":
        raise BadRequest("`Authorization` is `Setup SECRET` here, or is left out")
    link = await access.run(access.users.look, secret)
    kind = "setup" if link.user is None else "reset" if link.is_reset else "invitation"
    return JSONResponse({"kind": kind, "user": link.user, "expires": link.expires})


@open_to_all
async def set_up(request: Request) -> Response:
    """Set a password with a link, which that uses up, and log in. The first admin chooses a `name`."""
    access = access_of(request)
    access.check_origin(request)
    fields = await read_fields(request)
    secret, password, name = fields.text("secret"), fields.text("password"), fields.maybe_text("name")
    fields.end()
    user = await access.run_password(access.users.take, secret, password, name)
    return await _logged_in(request, await access.run(access.sessions.open, user))


@open_to_all
async def log_in(request: Request) -> Response:
    """Log in with `name` and `password`: the answer sets the session's cookie."""
    access = access_of(request)
    access.check_origin(request)
    fields = await read_fields(request)
    name, password = fields.text("name"), fields.text("password")
    fields.end()
    login = await access.run_password(access.sessions.log_in, name, password, _address(request))
    return await _logged_in(request, login)


@requires(Action.LIST, the_server)
async def show_session(request: Request) -> Response:
    """Say who sends the request; a browser gets the `csrf` to send in `X-Runcast-CSRF` with all that changes something."""
    shape = actor_shape(request.state.actor)
    if request.state.credential.session:
        shape |= {"csrf": csrf_token(session_of(request) or "")}
    return JSONResponse(shape, headers={"Cache-Control": "no-store"})


@requires(Action.MANAGE_ACCOUNT, own_account)
async def log_out(request: Request) -> Response:
    """End the session; with `?everywhere=true` all sessions of the user."""
    access = access_of(request)
    if request.query_params.get("everywhere") == "true":
        await access.run(access.sessions.close_all, request.state.actor.id)
    else:
        await access.run(access.sessions.close, session_of(request) or "")
    response = Response(status_code=204)
    clear_cookie(request, response)
    return response


@requires(Action.MANAGE_ACCOUNT, user_in_path)
async def change_password(request: Request) -> Response:
    """Change one's password from `old` to `new`; all sessions end, and a new one begins."""
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
