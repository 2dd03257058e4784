"""Projects and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from starlette.responses import JSONResponse, Response

from runcast.server.access.errors import BadRequest, Conflict, NotFound
from runcast.server.access.guard import (
    access_of,
    authorize,
    project_in_path,
    requires,
    the_server,
    visible_to,
)
from runcast.server.access.policy import Action, Project, Role, Token, User, allowed
from runcast.server.access.routes.fields import read_fields, word
from runcast.server.access.routes.shapes import member_shape

if TYPE_CHECKING:
    from starlette.requests import Request

    from runcast.server.access.policy import Actor
    from runcast.server.access.projects import ProjectRecord, Visibility

__all__ = [
    "change_project",
    "create_project",
    "list_members",
    "list_projects",
    "remove_member",
    "remove_project",
    "set_member",
    "show_project",
]


@requires(Action.LIST, the_server)
async def list_projects(request: Request) -> Response:
    """List the projects that one may see, with their numbers of runs, and what one may do there (`may`)."""
    access = access_of(request)
    shown = await visible_to(request)
    found = await access.run(access.projects.all, shown.projects)
    return JSONResponse({"projects": [_shape(request.state.actor, each) for each in found]})


@requires(Action.CREATE_PROJECT, the_server)
async def create_project(request: Request) -> Response:
    """Make a project, to be its owner."""
    access = access_of(request)
    fields = await read_fields(request)
    name, visibility = fields.text("name"), _visibility(fields.maybe_text("visibility") or "private")
    fields.end()
    await authorize(
        request, Action.CREATE_RUN, Project(name, known=False)
    )  # a token may be for another project
    actor = request.state.actor
    owner = actor.user if isinstance(actor, Token) else actor
    known = await access.project(name)
    may_adopt = not known.known or allowed(actor, Action.MANAGE, known)
    if not may_adopt or not await access.run(access.projects.make, name, owner.id, visibility):
        raise Conflict(f"there is a project {name!r} already; choose another name")
    return await _project(request, name, 201)


@requires(Action.VIEW, project_in_path)
async def show_project(request: Request) -> Response:
    """Show a project."""
    return await _project(request, request.path_params["name"])


@requires(Action.MANAGE, project_in_path)
async def change_project(request: Request) -> Response:
    """Let only members view the project (`visibility` is `private`), or every user of the server but guests (`server`)."""
    access = access_of(request)
    fields = await read_fields(request)
    visibility = _visibility(fields.text("visibility"))
    fields.end()
    name = request.path_params["name"]
    await access.run(access.projects.set_visibility, name, visibility)
    return await _project(request, name)


@requires(Action.MANAGE, project_in_path)
async def remove_project(request: Request) -> Response:
    """Remove a project that has no runs."""
    access = access_of(request)
    await access.run(access.projects.remove, request.path_params["name"])
    return Response(status_code=204)


@requires(Action.SEE_MEMBERS, project_in_path)
async def list_members(request: Request) -> Response:
    """List a project's members and their roles."""
    access = access_of(request)
    members = await access.run(access.projects.members, request.path_params["name"])
    return JSONResponse({"members": [member_shape(each) for each in members]})


@requires(Action.MANAGE, project_in_path)
async def set_member(request: Request) -> Response:
    """Make a user a member of the project, in a `role` (`viewer`, `writer`, `owner`)."""
    access = access_of(request)
    fields = await read_fields(request)
    role = fields.choice("role", Role)
    fields.end()
    user = await access.run(access.users.find, request.path_params["user"])
    await access.run(access.projects.set_role, request.path_params["name"], user.id, role)
    return JSONResponse({"user": user.name, "role": word(role)})


@requires(Action.SEE_MEMBERS, project_in_path)
async def remove_member(request: Request) -> Response:
    """Take a user out of the project: oneself, or for owners anyone."""
    access = access_of(request)
    actor, name = request.state.actor, request.path_params["user"]
    if not (isinstance(actor, User) and actor.name == name):
        await authorize(request, Action.MANAGE, request.state.resource)
    user = await access.run(access.users.find, name)
    await access.run(access.projects.set_role, request.path_params["name"], user.id, None)
    return Response(status_code=204)


async def _project(request: Request, name: str, status: int = 200) -> Response:
    access = access_of(request)
    found = await access.run(access.projects.all, frozenset({name}))
    if not found:
        raise NotFound(f"project {name!r} was not found")
    await visible_to(request)  # the actor as of now: it may have made the project
    return JSONResponse(_shape(request.state.actor, found[0]), status)


def _shape(actor: Actor, project: ProjectRecord) -> dict[str, Any]:
    resource = Project(project.name)
    offered = {"write": Action.WRITE, "share": Action.SHARE, "manage": Action.MANAGE}
    return {
        "name": project.name,
        "visibility": project.visibility,
        "created": project.created,
        "runs": project.runs,
        "latest": project.latest,
        "may": [name for name, action in offered.items() if allowed(actor, action, resource)],
    }


def _visibility(text: str) -> Visibility:
    if text not in {"private", "server"}:
        raise BadRequest("`visibility` is `private` (members only) or `server` (every user but guests)")
    return cast("Visibility", text)
