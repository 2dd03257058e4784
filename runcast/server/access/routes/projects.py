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
from runcast.server.access.routes import schemas
from runcast.server.access.routes.fields import read_fields, word
from runcast.server.access.routes.shapes import member_shape
from runcast.server.api.operation import NOTHING, operation

if TYPE_CHECKING:
    from starlette.requests import Request

    from runcast.server.access.policy import Actor
    from runcast.server.access.projects import ProjectRecord, Visibility

__all__ = ["ENDPOINTS"]

GROUP = "access"


@operation(
    "GET",
    "/projects",
    "List projects",
    group=GROUP,
    description="Those that one may see, with their numbers of runs, when the `latest` began, and what one `may` do there.",
    answers={200: schemas.PROJECTS},
)
@requires(Action.LIST, the_server)
async def list_projects(request: Request) -> Response:
    access = access_of(request)
    shown = await visible_to(request)
    found = await access.run(access.projects.all, shown.projects)
    return JSONResponse({"projects": [_shape(request.state.actor, each) for each in found]})


@operation(
    "POST",
    "/projects",
    "Make a project",
    group=GROUP,
    description="Its maker is its owner. The first run that names a project makes it, too.",
    body=schemas.NEW_PROJECT,
    answers={201: schemas.PROJECT_SHAPE},
    errors={409: "There is a project of this name."},
)
@requires(Action.CREATE_PROJECT, the_server)
async def create_project(request: Request) -> Response:
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


@operation(
    "GET", "/projects/{name:path}", "Show a project", group=GROUP, answers={200: schemas.PROJECT_SHAPE}
)
@requires(Action.VIEW, project_in_path)
async def show_project(request: Request) -> Response:
    return await _project(request, request.path_params["name"])


@operation(
    "PATCH",
    "/projects/{name:path}",
    "Change who may view a project, and how long it keeps runs",
    group=GROUP,
    description="What is left out stays as it is. `keep_for` seconds after its end a run is put into the trash; null: never.",
    body=schemas.CHANGED_PROJECT,
    answers={200: schemas.PROJECT_SHAPE},
)
@requires(Action.MANAGE, project_in_path)
async def change_project(request: Request) -> Response:
    access = access_of(request)
    fields = await read_fields(request)
    visibility = fields.maybe_text("visibility")
    wanted = None if visibility is None else _visibility(visibility)
    says_age, age = fields.has("keep_for"), fields.maybe_number("keep_for")
    fields.end()
    if age is not None and not schemas.LEAST_AGE <= age <= schemas.MOST_AGE:
        raise BadRequest("`keep_for` is in seconds: an hour at least, a century at most; or null, for ever")
    name = request.path_params["name"]
    if wanted is not None:
        await access.run(access.projects.set_visibility, name, wanted)
    if says_age:
        await access.run(access.projects.keep_for, name, age)
    return await _project(request, name)


@operation(
    "DELETE",
    "/projects/{name:path}",
    "Remove a project that has no runs",
    group=GROUP,
    answers={204: NOTHING},
    errors={409: "There are runs in it."},
)
@requires(Action.MANAGE, project_in_path)
async def remove_project(request: Request) -> Response:
    access = access_of(request)
    await access.run(access.projects.remove, request.path_params["name"])
    return Response(status_code=204)


@operation(
    "GET",
    "/projects/{name:path}/members",
    "List a project's members",
    group=GROUP,
    answers={200: schemas.MEMBERS},
)
@requires(Action.SEE_MEMBERS, project_in_path)
async def list_members(request: Request) -> Response:
    access = access_of(request)
    members = await access.run(access.projects.members, request.path_params["name"])
    return JSONResponse({"members": [member_shape(each) for each in members]})


@operation(
    "PUT",
    "/projects/{name:path}/members/{user}",
    "Make a user a member of a project",
    group=GROUP,
    body=schemas.ROLE,
    answers={200: schemas.MEMBER},
    errors={409: "It is the only owner."},
)
@requires(Action.MANAGE, project_in_path)
async def set_member(request: Request) -> Response:
    access = access_of(request)
    fields = await read_fields(request)
    role = fields.choice("role", Role)
    fields.end()
    user = await access.run(access.users.find, request.path_params["user"])
    await access.run(access.projects.set_role, request.path_params["name"], user.id, role)
    return JSONResponse({"user": user.name, "role": word(role)})


@operation(
    "DELETE",
    "/projects/{name:path}/members/{user}",
    "Take a user out of a project",
    group=GROUP,
    description="Oneself, or for owners anyone.",
    answers={204: NOTHING},
    errors={409: "It is the only owner."},
)
@requires(Action.SEE_MEMBERS, project_in_path)
async def remove_member(request: Request) -> Response:
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
        "keep_for": project.keep_for,
        "may": [name for name, action in offered.items() if allowed(actor, action, resource)],
    }


def _visibility(text: str) -> Visibility:
    if text not in {"private", "server"}:
        raise BadRequest("`visibility` is `private` (members only) or `server` (every user but guests)")
    return cast("Visibility", text)


ENDPOINTS = (
    list_projects,
    create_project,
    list_members,
    set_member,
    remove_member,
    show_project,
    change_project,
    remove_project,
)
