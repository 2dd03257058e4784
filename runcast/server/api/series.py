"""What a run has measured: series, their points, and where everything else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from starlette.responses import JSONResponse, Response

from runcast.run.channel import pack
from runcast.run.strict import strict
from runcast.server.access import Action, requires, run_in_path
from runcast.server.api import schemas
from runcast.server.api.operation import Body, header, operation, query
from runcast.server.api.read import integer, needed
from runcast.server.service import service_of
from runcast.store import wire

if TYPE_CHECKING:
    from starlette.requests import Request

    from runcast.store.protocol import Points

__all__ = ["ENDPOINTS"]

MOST_PIXELS = 100_000
GROUP = "series"
PACKED = "application/octet-stream"

_VARY = {"Vary": "Accept"}
_SERIES = (
    query("root", schemas.TEXT, "The logdir's name.", required=True),
    query("source", schemas.TEXT, "The folder below it; `.` is the logdir itself.", required=True),
    query("tag", schemas.TEXT, required=True),
)


@operation(
    "GET", "/runs/{id}/series", "List the series of a run", group=GROUP, answers={200: Body(schemas.SERIES)}
)
@requires(Action.VIEW, run_in_path)
async def list_series(request: Request) -> Response:
    service = service_of(request)
    series = await service.call(service.store.series, request.path_params["id"])
    return JSONResponse({"series": [wire.series_json(each) for each in series]})


@operation(
    "GET",
    "/runs/{id}/points",
    "Read the points of a series",
    group=GROUP,
    description="""Those that count (restarts are resolved), in step order. Asked for application/octet-stream, it is one message: the header's
length (32 bits, little-endian), `{"buffers": [length, length, length]}`, and the columns: int64 steps, float64 wall times and values.""",
    parameters=(
        *_SERIES,
        query("from", schemas.STEP, "The first step."),
        query("to", schemas.STEP, "The last step."),
        query(
            "pixels",
            {"type": "integer", "minimum": 1, "maximum": MOST_PIXELS},
            "Only first, smallest, largest and last of each of that many equal parts of the steps; no peak is lost.",
        ),
        header("Accept", {"enum": ["application/json", PACKED]}),
    ),
    answers={200: Body(schemas.POINTS, ("application/json", PACKED))},
)
@requires(Action.VIEW, run_in_path)
async def read_points(request: Request) -> Response:
    service = service_of(request)
    wanted = [needed(request, name) for name in ("root", "source", "tag")]
    first = integer(request, "from", least=-(2**63), most=2**63 - 1)
    last = integer(request, "to", least=-(2**63), most=2**63 - 1)
    steps = None
    if first is not None or last is not None:
        steps = (-(2**63) if first is None else first, 2**63 - 1 if last is None else last)
    pixels = integer(request, "pixels", least=1, most=MOST_PIXELS)
    points = await service.call(
        service.store.points, request.path_params["id"], *wanted, step_range=steps, pixels=pixels
    )
    if PACKED in request.headers.get("accept", ""):
        return await service.call(_packed, points)
    return await service.call(_in_columns, points)


@operation(
    "GET",
    "/runs/{id}/summaries",
    "Find images, histograms and the like",
    group=GROUP,
    description="Each is a record of an event file: bytes `offset` to `offset + length` of the file `path`.",
    parameters=_SERIES,
    answers={200: Body(schemas.SUMMARIES)},
)
@requires(Action.VIEW, run_in_path)
async def list_summaries(request: Request) -> Response:
    service = service_of(request)
    wanted = [needed(request, name) for name in ("root", "source", "tag")]
    found = await service.call(service.store.summaries, request.path_params["id"], *wanted)
    return JSONResponse({"summaries": [wire.summary_json(each) for each in found]})


# In threads: a series may be long.


def _packed(points: Points) -> Response:
    columns = (points.step.astype("<i8"), points.wall_time.astype("<f8"), points.value.astype("<f8"))
    body = pack({"kind": "points"}, [column.tobytes() for column in columns])
    return Response(body, media_type=PACKED, headers=_VARY)


def _in_columns(points: Points) -> Response:
    columns = {"step": points.step, "wall_time": points.wall_time, "value": points.value}
    said = {
        name: column.tolist() if np.isfinite(column).all() else strict(column.tolist())
        for name, column in columns.items()
    }
    return JSONResponse(said, headers=_VARY)


ENDPOINTS = (list_series, read_points, list_summaries)
