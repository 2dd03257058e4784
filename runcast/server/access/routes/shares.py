"""Share links to runs and projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from runcast.server.access.errors import BadRequest, NotFound
from runcast.server.access.guard import access_of, requires
from runcast.server.access.policy import Action, Token
from runcast.server.access.routes import schemas
from runcast.server.access.routes.fields import number_in_path, read_fields
from runcast.server.access.routes.shapes import share_shape
from runcast.server.api.operation import NOTHING, operation, query
from runcast.server.api.schemas import RUN_ID, TEXT

if TYPE_CHECKING:
    from starlette.requests import Request

    from runcast.server.access.policy import Resource

__all__ = ["ENDPOINTS"]

GROUP = "access"


async def target_in_query(request: Request) -> Resource:
    """The run or the project that the query names. Raises `NotFound`."""
    return await _target(request, request.query_params.get("run"), request.query_params.get("project"))


async def target_in_body(request: Request) -> Resource:
    """The run or the project that the body names. Raises `NotFound`."""
    if not hasattr(request.state, "fields"):
        fields = request.state.fields = await read_fields(request)
        request.state.target = fields.maybe_text("run"), fields.maybe_text("project")
    return await _target(request, *request.state.target)


async def share_in_path(request: Request) -> Resource:
    """The link that the path names. Raises `NotFound`."""
    access = access_of(request)
    return await access.run(access.shares.find, number_in_path(request, "share"))


@operation(
    "GET",
    "/shares",
    "List links",
    group=GROUP,
    description="Those to a run, or to a project and its runs.",
    parameters=(
        query("run", RUN_ID, "To this run."),
        query("project", TEXT, "To this project and its runs; a run or a project is named, not both."),
    ),
    answers={200: schemas.SHARES},
)
@requires(Action.SHARE, target_in_query)
async def list_shares(request: Request) -> Response:
    access = access_of(request)
    found = await access.run(access.shares.all, request.state.resource)
    return JSONResponse({"shares": [share_shape(each) for each in found]})


@operation(
    "POST",
    "/shares",
    "Make a link",
    group=GROUP,
    description="To a run or to a project: whoever has it may look, without an account. It holds while its maker may share that.",
    body=schemas.NEW_SHARE,
    answers={201: schemas.MADE_SHARE},
)
@requires(Action.SHARE, target_in_body)
async def create_share(request: Request) -> Response:
    access = access_of(request)
    fields = request.state.fields
    name, expires = fields.maybe_text("name") or "", fields.maybe_number("expires")
    fields.end()
    actor = request.state.actor
    maker = actor.user.id if isinstance(actor, Token) else actor.id
    share, secret = await access.run(
        access.shares.create, request.state.resource, maker, name, expires=expires
    )
    shape = {"share": share_shape(share), "secret": secret, "link": access.link(request, "share", secret)}
    return JSONResponse(shape, 201, {"Cache-Control": "no-store"})


@operation(
    "DELETE",
    "/shares/{share:int}",
    "Revoke a link",
    group=GROUP,
    description="One's own, or for the project's owners any.",
    answers={204: NOTHING},
)
@requires(Action.SHARE, share_in_path)
async def revoke_share(request: Request) -> Response:
    access = access_of(request)
    await access.run(access.shares.revoke, number_in_path(request, "share"))
    return Response(status_code=204)


async def _target(request: Request, run: str | None, project: str | None) -> Resource:
    access = access_of(request)
    if (run is None) == (project is None):
        raise BadRequest("name a `run` or a `project`")
    if run is None:
        return await access.project(project or "")
    found = await access.project_of(run)
    if found is None:
        raise NotFound(f"run {run} was not found")
    return found


ENDPOINTS = (list_shares, create_share, revoke_share)
