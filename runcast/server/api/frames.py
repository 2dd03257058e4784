"""The panel's frames: what the page of a run reads as long as it is open."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from runcast.server.access import Action, requires, run_in_path, still_allowed
from runcast.server.api.operation import Body, operation
from runcast.server.errors import busy
from runcast.server.service import service_of
from runcast.server.streams import LiveStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from runcast.server.service import Service

__all__ = ["ENDPOINTS"]

RECHECK = 4.0
"""Seconds after which a stream asks again whether its viewer may still see the run; at once when anybody lost a right."""

LONGEST = 3600.0
"""Seconds after which a stream ends, for its viewer to come back, to any replica."""

BYTES = "application/octet-stream"


@operation(
    "GET",
    "/runs/{id}/frames",
    "Follow a run as its panel does",
    group="live",
    description="A stream of channel messages (`runcast.run.channel`), as a notebook's panel gets them: `run`, `snapshot` and "
    "`delta`, as long as the run is there and the caller may see it, and now and then an `alive` that says nothing.",
    answers={200: Body(None, (BYTES,))},
)
@requires(Action.VIEW, run_in_path)
async def follow_frames(request: Request) -> Response:
    service = service_of(request)
    if service.streams >= service.limits.streams:
        raise busy("too many live streams are open; try again", 10)
    return LiveStream(_messages(request, service), BYTES)


async def _messages(request: Request, service: Service) -> AsyncIterator[bytes]:
    begun = checked = time.monotonic()
    changes = service.access.changes
    async with (
        service.streaming(),
        contextlib.aclosing(service.frames.of(request.path_params["id"])) as frames,
    ):
        async for message in frames:
            now = time.monotonic()
            if now - begun > LONGEST:
                return
            if now - checked > RECHECK or changes != service.access.changes:
                checked, changes = now, service.access.changes
                if not await _still_allowed(request):
                    return
            yield message


async def _still_allowed(request: Request) -> bool:
    """Say whether the stream would be opened now: the run may have gone, into the trash or to another project."""
    try:
        run = await run_in_path(request)
    except HTTPException:
        return False
    return await still_allowed(request, Action.VIEW, run)


ENDPOINTS = (follow_frames,)
