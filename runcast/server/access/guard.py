"""What a route asks of those who call it: `requires` and `open_to_all`, and the check that none asks nothing.

    @requires(Action.VIEW, run_in_path)
    async def show_run(request: Request) -> Response: ...

An endpoint that declares nothing cannot be mounted: `check_routes` fails when the application is built.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from runcast.server.access.names import check_project_name
from runcast.server.access.policy import (
    Action,
    Anonymous,
    Project,
    Run,
    Server,
    Token,
    User,
    Visible,
    allowed,
    sees,
    visible,
)

if TYPE_CHECKING:
    from runcast.server.access.access import Access
    from runcast.server.access.policy import Actor, Resource

__all__ = [
    "Requirement",
    "access_of",
    "admit_project",
    "admit_run",
    "authenticate",
    "authorize",
    "check_routes",
    "open_to_all",
    "project_in_path",
    "requirement_of",
    "requires",
    "run_in_path",
    "still_allowed",
    "the_server",
    "visible_to",
]

Endpoint = Callable[[Request], Awaitable[Response]]
ResourceFrom = Callable[[Request], Awaitable["Resource"]]
E_ = TypeVar("E_")

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="runcast"'}


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a caller must be allowed: `action` on the resource that `resource` finds. None: nothing, it is open to all."""

    action: Action | None
    resource: ResourceFrom | None = None


def requires(action: Action, resource: ResourceFrom) -> Callable[[Endpoint], Endpoint]:
    """Let a request through to the endpoint only if its actor is allowed the action on the resource.

    The endpoint finds the actor in `request.state.actor`, the resource in `request.state.resource`. Without an actor the
    answer is 401; 404 for what the actor may not see, 403 for what it may see but not do.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        @functools.wraps(endpoint)
        async def guarded(request: Request) -> Response:
            actor = await authenticate(request)
            if isinstance(actor, Anonymous):
                raise HTTPException(
                    401, "log in, or send an API token: `Authorization: Bearer rc_…`", CHALLENGE
                )
            request.state.resource = await resource(request)
            if not allowed(actor, action, request.state.resource):
                # Another process may have granted it a moment ago: a refusal is never from memory.
                _forget(request)
                request.state.resource = await resource(request)
                await authorize(request, action, request.state.resource)
            return await endpoint(request)

        guarded.requirement = Requirement(action, resource)  # type: ignore[attr-defined]
        return guarded

    return declare


def open_to_all(endpoint: E_) -> E_:
    """Declare that anyone may call this endpoint or mounted application: it checks nothing, not even who calls."""
    endpoint.requirement = Requirement(None)  # type: ignore[attr-defined]
    return endpoint


def requirement_of(route: BaseRoute) -> Requirement | None:
    """Return what a route declares, None if nothing."""
    endpoint: Any = route.endpoint if isinstance(route, Route) else getattr(route, "app", None)
    found = getattr(endpoint, "requirement", None)
    return found if isinstance(found, Requirement) else None


def check_routes(routes: Sequence[BaseRoute]) -> None:
    """Raise `TypeError` if a route does not declare who may call it."""
    for route in routes:
        if isinstance(route, Mount) and route.routes and requirement_of(route) is None:
            check_routes(route.routes)
        elif requirement_of(route) is None:
            raise TypeError(f"{route!r} does not say who may call it: use @requires(…) or @open_to_all")


def access_of(request: Request) -> Access:
    """Return the application's `Access`, which is `app.state.access`."""
    access: Access = request.app.state.access
    return access


async def authenticate(request: Request) -> Actor:
    """Return who sends the request; once found, it is `request.state.actor`.

    An API token and a share link are in `Authorization`, which wins over the session's cookie. Raises `HTTPException` 401
    for credentials that are not valid, and 403 for a cookie whose request may come from another site.
    """
    actor: Actor | None = getattr(request.state, "actor", None)
    if actor is None:
        credential = await access_of(request).identify(request)
        actor = request.state.actor = credential.actor
        request.state.credential = credential
    return actor


async def authorize(request: Request, action: Action, resource: Resource) -> None:
    """Raise `HTTPException` 404 or 403 unless the request's actor is allowed this (too), as `resource` is now."""
    if allowed(await authenticate(request), action, resource):
        return
    _forget(request)
    actor = await authenticate(request)
    if allowed(actor, action, resource):
        return
    if action is Action.CREATE_RUN and isinstance(resource, Project):
        raise HTTPException(
            403,
            f"you may not record into project {resource.name!r}: choose another name, or ask its owner to make you a writer",
        )
    if not sees(actor, resource):
        raise HTTPException(404, f"{_words(resource)} was not found")
    raise HTTPException(403, f"you may see {_words(resource)}, but not do this ({action.words})")


async def admit_run(request: Request, run: str, project: str) -> None:
    """Let the request's actor make a run in a project, which is made for it if it is new, or take up one that is known.

    Raises `HTTPException` 404 or 403: also for a known run that the actor may not write.
    """
    access = access_of(request)
    known = await access.project_of(run)
    if known is not None:
        await authorize(request, Action.WRITE, known)
        return
    await admit_project(request, project)


async def admit_project(request: Request, project: str) -> None:
    """Let the request's actor record into a project, which is made for it if it is new. Raises `HTTPException` 403."""
    access = access_of(request)
    check_project_name(project)
    await authorize(request, Action.CREATE_RUN, await access.project(project))
    actor = await authenticate(request)
    user = actor.user if isinstance(actor, Token) else actor
    if (
        isinstance(user, User)
        and project not in user.roles
        and await access.run(access.projects.make, project, user.id)
    ):
        _forget(request)
        return
    await authorize(request, Action.CREATE_RUN, Project(project))  # someone else may have been faster


async def visible_to(request: Request) -> Visible:
    """Return what lists show to the request's actor, as of now."""
    _forget(request)
    return visible(await authenticate(request))


async def still_allowed(request: Request, action: Action, resource: Resource) -> bool:
    """Say whether the request would be let through now: what streams ask now and then, to end when access does."""
    try:
        credential = await access_of(request).identify(request)
    except HTTPException:
        return False
    return allowed(credential.actor, action, resource)


async def the_server(_request: Request) -> Resource:
    """The resource of what is no single project's."""
    return Server()


async def run_in_path(request: Request) -> Resource:
    """The run that the path's `id` names. Raises `HTTPException` 404 if there is none."""
    run = await access_of(request).project_of(request.path_params["id"])
    if run is None:
        raise HTTPException(404, f"run {request.path_params['id']} was not found")
    return run


async def project_in_path(request: Request) -> Resource:
    """The project that the path's `name` names."""
    return await access_of(request).project(request.path_params["name"])


def _forget(request: Request) -> None:
    access_of(request).forget(request)
    request.state.actor = None


def _words(resource: Resource) -> str:
    match resource:
        case Project():
            return f"project {resource.name!r}"
        case Run():
            return f"run {resource.id}"
        case Server():
            return "this server"
    return "this"
