"""What changes, as it changes."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from runcast.server.access import (
    Action,
    Run,
    project_in_path,
    requires,
    run_in_path,
    still_allowed,
    the_server,
    visible_to,
)
from runcast.server.access.access import RUN_LASTS
from runcast.server.api import schemas
from runcast.server.api.operation import Body, header, operation, query
from runcast.server.api.read import integer, whole
from runcast.server.errors import busy
from runcast.server.service import service_of
from runcast.server.streams import EventStream, comment, event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request

    from runcast.server.access import Resource
    from runcast.server.feed import Subscription
    from runcast.server.service import Service

    Following = AbstractAsyncContextManager[Subscription]
    Locate = Callable[[Request], Awaitable[Resource]]

__all__ = ["ENDPOINTS"]

SILENCE = 15.0
"""Seconds of silence after which proxies are shown that a stream lives, and access is checked again: at once when anybody lost a right."""

RECHECK = RUN_LASTS + 0.5
"""Seconds after a run has changed until access is checked again: another process may have moved it, or put it into the trash."""

PAUSE = 0.5
"""Seconds between two events of a stream, at least."""

LONGEST = 3600.0
"""Seconds after which a stream ends, for its client to come back, to any replica."""

RETRY = 2000
"""Milliseconds after which a client comes back."""

GROUP = "live"
_LAST = header(
    "Last-Event-ID", schemas.TEXT, "The mark of the last event that was seen: what came since is told first."
)
_STREAM = Body(None, ("text/event-stream",))
_WORDS = """Server-sent events. The first says the mark; each later one is a `change`, `{"runs": ["id", …]}`: these have changed
(`{"runs": null}`: more than can be told have). Its id is the store's mark. What has changed is asked for with other requests."""


@operation(
    "GET", "/runs/{id}/events", "Follow a run", group=GROUP, description=_WORDS, parameters=(_LAST,), answers={200: _STREAM}
)  # fmt: skip
@requires(Action.VIEW, run_in_path)
async def follow_run(request: Request) -> Response:
    service, run = service_of(request), request.path_params["id"]
    return _stream(request, service.feed.follow_run(run), lambda changed, _: changed == run, run_in_path)


@operation(
    "GET", "/projects/{name:path}/events", "Follow the runs of a project",
    group=GROUP, description=_WORDS, parameters=(_LAST,), answers={200: _STREAM},
)  # fmt: skip
@requires(Action.VIEW, project_in_path)
async def follow_project(request: Request) -> Response:
    service, name = service_of(request), request.path_params["name"]
    return _stream(
        request, service.feed.follow_project(name), lambda _, project: project == name, project_in_path
    )


@operation(
    "GET",
    "/changes",
    "List the runs that have changed",
    group=GROUP,
    parameters=(
        query("since", {**schemas.INTEGER, "default": 0}, "`mark` of the answer before; 0: all runs."),
    ),
    answers={200: Body(schemas.CHANGES)},
)
@requires(Action.LIST, the_server)
async def list_changes(request: Request) -> Response:
    service = service_of(request)
    visible = await visible_to(request)
    since = integer(request, "since", least=0, most=2**62) or 0
    mark, changed = await service.call(service.store.changed, since)
    runs = [run for run, project in changed if Run(run, project) in visible]
    return JSONResponse({"mark": mark, "runs": runs})


def _stream(
    request: Request, following: Following, is_wanted: Callable[[str, str], bool], locate: Locate
) -> Response:
    """Answer with what changes. Raises `Problem` 503 if too many streams are open."""
    service = service_of(request)
    said = request.headers.get("last-event-id") or None
    since = None if said is None else whole(said.strip(), "the header Last-Event-ID", least=0, most=2**62)
    if service.streams >= service.limits.streams:
        raise busy("too many live streams are open; try again", 10)
    return EventStream(_events(request, service, following, since, is_wanted, locate))


async def _events(
    request: Request,
    service: Service,
    following: Following,
    since: int | None,
    is_wanted: Callable[[str, str], bool],
    locate: Locate,
) -> AsyncIterator[bytes]:
    async with service.streaming(), following as subscription:
        access = service.access
        changes, begun = access.changes, time.monotonic()
        check_at = begun + SILENCE
        expires = request.state.credential.expires
        yield event(
            json.dumps({"mark": subscription.mark}), id=since or subscription.mark, kind="open", retry=RETRY
        )
        if since is not None and since < subscription.mark:
            mark, changed = await service.call(service.store.changed, since)
            if missed := [run for run, project in changed if is_wanted(run, project)]:
                subscription.tell(mark, missed)
        while not service.stopping.is_set() and time.monotonic() - begun < LONGEST:
            left = SILENCE if expires is None else expires - time.time()
            await subscription.wait(max(0.1, min(left, check_at - time.monotonic())))
            runs, overflow = subscription.take()
            now = time.monotonic()
            if (
                now >= check_at
                or changes != access.changes
                or (expires is not None and expires <= time.time())
            ):
                changes, check_at = access.changes, now + SILENCE
                if not await _still_allowed(request, locate):
                    return
            if runs or overflow:
                check_at = min(check_at, now + RECHECK)
                service.metrics.stream_events.inc()
                yield event(
                    json.dumps({"runs": None if overflow else runs}), id=subscription.mark, kind="change"
                )
                await service.sleep(PAUSE)
            else:
                yield comment("")
        if service.stopping.is_set():
            # Not all at once: they come to those who are left, or to this server when it starts again.
            yield f"retry: {random.randint(RETRY // 4, 2 * RETRY)}\n\n".encode()  # noqa: S311 - no secret


async def _still_allowed(request: Request, locate: Locate) -> bool:
    """Say whether the stream would be opened now."""
    try:
        resource = await locate(request)
    except HTTPException:
        return False
    return await still_allowed(request, Action.VIEW, resource)


ENDPOINTS = (follow_run, follow_project, list_changes)
