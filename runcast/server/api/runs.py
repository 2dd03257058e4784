"""Runs: made, listed, changed, put into the trash and taken out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from starlette.responses import JSONResponse, Response

from runcast.errors import QueryError, RunNotFound, StoreError
from runcast.run.record import State
from runcast.run.strict import strict
from runcast.server.access import (
    Action,
    Run,
    access_of,
    admit_project,
    admit_run,
    requires,
    run_in_path,
    the_server,
    visible_to,
)
from runcast.server.api import schemas
from runcast.server.api.operation import NOTHING, Body, operation, query
from runcast.server.api.read import integer, text
from runcast.server.body import read_json
from runcast.server.errors import Problem
from runcast.server.service import service_of
from runcast.store import shapes, wire
from runcast.store.paths import check_run_id
from runcast.store.protocol import RunPage, RunQuery
from runcast.store.query import parse_filters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from runcast.run.record import RunRecord
    from runcast.store.local import LocalStore
    from runcast.store.protocol import SeriesValues

__all__ = ["ENDPOINTS"]

DEFAULT_RUNS, MOST_RUNS = 50, 1000
GROUP = "runs"


@operation(
    "POST",
    "/runs",
    "Make a run known",
    group=GROUP,
    description="Harmless when it is known already, and then it changes nothing. A project that is new is made, too.",
    body=Body(schemas.NEW_RUN),
    answers={200: Body(schemas.RUN), 201: Body(schemas.RUN)},
)
@requires(Action.CREATE_RUN, the_server)
async def create_run(request: Request) -> Response:
    service = service_of(request)
    said = await read_json(request, service.limits)
    try:
        record = wire.run_from(said)
        check_run_id(record.id)
        _check_name(record.name)
    except StoreError as error:
        raise Problem(400, str(error)) from error
    known = await access_of(request).project_of(record.id)
    await admit_run(request, record.id, record.project)
    await service.call(service.store.create, record)
    shown = await service.call(_read, service.store, record.id)
    return JSONResponse(shown, 200 if known else 201)


@operation(
    "GET",
    "/runs",
    "List runs, newest first",
    group=GROUP,
    parameters=(
        query("project", schemas.TEXT, "Only runs of this project."),
        query("state", schemas.STATE, "Only runs in this state."),
        query("tag", schemas.listed(schemas.TEXT), "Only runs with this tag; several: with all of them."),
        query("group", schemas.TEXT, "Only runs of this group."),
        query("limit", {"type": "integer", "minimum": 1, "maximum": MOST_RUNS, "default": DEFAULT_RUNS}, "How many at most."),
        query("filter", schemas.TEXT, "Only runs for which it holds, such as `config.lr > 0.1 and summary.val/acc >= 0.9`."),
        query("order", schemas.TEXT, "A field, `-` before it for the largest first, such as `-summary.val/acc`; default: `-created`."),
        query("trashed", {"type": "boolean", "default": False}, "The runs in the trash, instead of the others."),
        query("after", schemas.TEXT, "`next` of the page before."),
    ),
    answers={200: Body(schemas.RUNS)},
)  # fmt: skip
@requires(Action.LIST, the_server)
async def list_runs(request: Request) -> Response:
    service = service_of(request)
    wanted = _query(request)
    visible = await visible_to(request)
    limit = integer(request, "limit", least=1, most=MOST_RUNS) or DEFAULT_RUNS
    if visible.run is not None:
        found = RunPage(tuple(await service.call(_just, service.store, visible.run, wanted)))
    else:
        if visible.projects is not None:
            wanted = replace(wanted, projects=visible.projects)
        try:
            found = await service.call(service.store.page, replace(wanted, limit=limit))
        except QueryError as error:
            raise Problem(400, str(error)) from error
    return await service.call(_page, service.store, found)


@operation("GET", "/runs/{id}", "Show one run", group=GROUP, answers={200: Body(schemas.RUN)})
@requires(Action.VIEW, run_in_path)
async def show_run(request: Request) -> Response:
    service = service_of(request)
    return JSONResponse(await service.call(_read, service.store, request.path_params["id"]))


@operation(
    "PATCH",
    "/runs/{id}",
    "Change facts of a run",
    group=GROUP,
    description="What is left out stays as it is. Moving a run into another project needs the right to record there, too.",
    body=Body(schemas.FACTS),
    answers={200: Body(schemas.RUN)},
)
@requires(Action.WRITE, run_in_path)
async def change_run(request: Request) -> Response:
    service = service_of(request)
    run: str = request.path_params["id"]
    said = await read_json(request, service.limits)
    try:
        facts = wire.facts_from(said)
        _check_name(facts.name or "")
    except StoreError as error:
        raise Problem(400, str(error)) from error
    if facts.heartbeat is not None:  # clocks differ: that it lives is true now
        facts = replace(facts, heartbeat=time.time())
    here = request.state.resource
    assert isinstance(here, Run)
    if facts.project is not None and facts.project != here.project:
        await admit_project(request, facts.project)
    if request.state.credential.session:
        facts = replace(facts, edit=True)
    await service.call(service.store.update, run, facts)
    if facts.project is not None and facts.project != here.project:
        access_of(request).moved(run)
    return JSONResponse(await service.call(_read, service.store, run))


@operation(
    "DELETE",
    "/runs/{id}",
    "Put a run into the trash",
    group=GROUP,
    description="From there it can be restored, until the trash is emptied.",
    answers={204: NOTHING},
)
@requires(Action.WRITE, run_in_path)
async def trash_run(request: Request) -> Response:
    service = service_of(request)
    run: str = request.path_params["id"]
    await service.call(service.store.trash, run)
    access_of(request).moved(run)
    return Response(status_code=204)


@operation(
    "POST", "/runs/{id}/restore", "Take a run out of the trash", group=GROUP, answers={200: Body(schemas.RUN)}
)
@requires(Action.WRITE, run_in_path)
async def restore_run(request: Request) -> Response:
    service = service_of(request)
    run: str = request.path_params["id"]
    await service.call(service.store.restore, run)
    access_of(request).moved(run)
    return JSONResponse(await service.call(_read, service.store, run))


@operation(
    "POST",
    "/runs/{id}/purge",
    "Delete a run for good",
    group=GROUP,
    description="With its files, out of the trash; there is no undo, and whoever still records it cannot go on.",
    answers={204: NOTHING},
    errors={409: "The run is not in the trash."},
)
@requires(Action.MANAGE, run_in_path)
async def purge_run(request: Request) -> Response:
    service = service_of(request)
    here = request.state.resource
    assert isinstance(here, Run)
    if not here.trashed:
        raise Problem(
            409, f"run {here.id} is not in the trash: put it there first (DELETE /api/v1/runs/{here.id})"
        )
    service.feed.expect(here.id, here.project)
    await service.call(service.store.purge, here.id)
    access_of(request).moved(here.id)
    return Response(status_code=204)


def _query(request: Request) -> RunQuery:
    """Return the query that the parameters say. Raises `Problem` 400."""
    state = text(request, "state")
    if state is not None and state not in get_args(State):
        raise Problem(
            400, f"the parameter 'state' is {state[:40]!r}; it must be one of {', '.join(get_args(State))}"
        )
    trashed = text(request, "trashed") or "false"
    if trashed not in {"true", "false"}:
        raise Problem(400, f"the parameter 'trashed' is {trashed[:40]!r}; it must be true or false")
    try:
        filters = parse_filters(text(request, "filter") or "")
    except QueryError as error:
        raise Problem(400, f"the parameter 'filter' cannot be understood: {error}") from error
    return RunQuery(
        project=text(request, "project"),
        state=state,
        group=text(request, "group"),
        tags=tuple(request.query_params.getlist("tag")),
        filters=filters,
        order=text(request, "order"),
        after=text(request, "after"),
        trashed=trashed == "true",
    )


def _check_name(name: str) -> None:
    if len(name) > schemas.LONGEST_NAME:
        raise StoreError(f"the name of a run has at most {schemas.LONGEST_NAME} characters, not {len(name)}")


# In threads.


def _read(store: LocalStore, run: str) -> dict[str, Any]:
    found = store.run(run)
    return _shape(store, found, store.values([run]).get(run, ()))


def _page(store: LocalStore, page: RunPage) -> Response:
    values = store.values([run.id for run in page.runs])
    shown = []
    for run in page.runs:
        try:
            shown.append(_shape(store, run, values.get(run.id, ())))
        except RunNotFound:  # noqa: PERF203 - gone since it was listed
            continue
    return JSONResponse({"runs": shown, "next": page.next})


def _shape(store: LocalStore, run: RunRecord, values: Sequence[SeriesValues]) -> dict[str, Any]:
    """Return a run as the API says it."""
    return {**wire.run_json(run), "summary": strict(shapes.whole_summary(run, values, store))}


def _just(store: LocalStore, run: str, query: RunQuery) -> list[RunRecord]:
    """Return the one run that an actor may see, if it is asked for."""
    try:
        found = store.run(run)
    except RunNotFound:
        return []
    matches = (
        query.project in {None, found.project}
        and query.state in {None, found.state}
        and query.group in {None, found.group}
        and set(query.tags) <= set(found.tags)
    )
    return [found] if matches else []


ENDPOINTS = (create_run, list_runs, show_run, change_run, trash_run, restore_run, purge_run)
