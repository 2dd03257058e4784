"""Live streams: what changes is told at once, nothing is missed, and they end when they should."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from runcast.server.access import Role
from runcast.server.api import live
from runcast.server.limits import Limits

LOG = "files/logs/console.jsonl"


def append(client, run, offset=0, data=b"x"):
    headers = {"Upload-Offset": str(offset)}
    assert client.patch(f"/runs/{run}/files/{LOG}", content=data, headers=headers).status_code == 204


def test_a_run_is_followed(ada, vera, new_run, follow):
    """Whoever follows a run is told within a second when it changes, and of no other run."""
    run, other = new_run(ada), new_run(ada)
    with follow(vera, f"/runs/{run}/events") as events:
        headers = events.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert (headers["x-accel-buffering"], headers["cache-control"]) == ("no", "no-store")
        begin = events.next()
        assert (begin.event, begin.id, begin.data) == (
            "open",
            str(begin.data["mark"]),
            {"mark": int(begin.id)},
        )
        append(ada, other)
        append(ada, run)
        started = time.monotonic()
        change = events.next()
        assert time.monotonic() - started < 2
        assert (change.event, change.data) == ("change", {"runs": [run]})
        assert int(change.id) > int(begin.id)


def test_a_reader_that_comes_back_misses_nothing(ada, new_run, follow):
    """With the id of the last event that was seen, the stream begins with what changed since then."""
    run = new_run(ada)
    with follow(ada, f"/runs/{run}/events") as events:
        seen = events.next().id
    append(ada, run)
    with follow(ada, f"/runs/{run}/events", since=seen) as events:
        assert events.next().id == seen
        change = events.next()
        assert change.data == {"runs": [run]}
    with follow(ada, f"/runs/{run}/events", since=change.id) as events:
        events.next()
        append(ada, run, 1)
        assert int(events.next().id) > int(change.id)
    assert ada.get(f"/runs/{run}/events", headers={"Last-Event-ID": "x"}).status_code == 400


def test_a_project_is_followed(ada, vera, otto, new_run, follow):
    """Whoever follows a project is told of its runs: new ones, changed ones, and one that leaves for another project."""
    run = new_run(ada)
    assert otto.get("/projects/digits/events").status_code == 404
    with follow(vera, "/projects/digits/events") as events:
        events.next()
        append(ada, run)
        assert run in events.next().data["runs"]
        fresh = new_run(ada)
        new_run(otto, project="otto's elsewhere")
        assert events.next().data == {"runs": [fresh]}
        ada.patch(f"/runs/{run}", json={"project": "ada's"})
        assert events.next().data == {"runs": [run]}
        append(ada, run, 1)
        append(ada, fresh)
        assert events.next().data == {"runs": [fresh]}


def test_a_stream_ends_when_access_does(place, ada, new_run, follow, monkeypatch):
    """Someone who is taken out of a project, or whose token is revoked, stops seeing it, without asking anew."""
    monkeypatch.setattr(live, "SILENCE", 0.3)
    guest = place.user("guest")
    place.access.projects.set_role("digits", guest, Role.VIEWER)
    run, client = new_run(ada), place.client(guest)
    with follow(client, "/projects/digits/events") as events, follow(client, f"/runs/{run}/events") as more:
        events.next()
        more.next()
        place.access.projects.set_role("digits", guest, None)
        for each in (events, more):
            for _ in each:
                pass  # what changed before


def test_changes_are_listed_for_those_who_see_them(place, ada, otto, new_run):
    """`/changes` tells a program what changed since a mark, as far as it may see."""
    mark = ada.get("/changes").json()["mark"]
    run = new_run(ada)
    new_run(otto, project="otto's other")
    changed = ada.get("/changes", params={"since": mark}).json()
    assert changed["runs"] == [run]
    assert ada.get("/changes", params={"since": changed["mark"]}).json() == {
        "mark": changed["mark"],
        "runs": [],
    }


@pytest.mark.parametrize("own_place", [Limits(streams=200)], indirect=True)
def test_many_listeners_are_one_look_at_the_store(own_place, new_run):
    """Hundreds of streams are served by one look at the store; the next one is told to come back, and all end with the server."""
    place = own_place
    ada = place.client(place.ada)
    run = new_run(ada)
    looks, changed = [], place.store.changed
    place.store.changed = lambda since: looks.append(1) or changed(since)

    async def listen(client, ready):
        told = []
        async with client.stream("GET", f"/runs/{run}/events") as response:
            async for line in response.aiter_lines():
                told.append(line)
                if line.startswith("data") and not ready.done():
                    ready.set_result(None)
        return told

    async def crowd():
        limits = httpx.Limits(max_connections=300)
        options = {"base_url": f"{place.url}/api/v1", "headers": ada.headers, "timeout": 30, "limits": limits}
        async with httpx.AsyncClient(**options) as client:
            ready = [asyncio.get_running_loop().create_future() for _ in range(200)]
            listeners = [asyncio.create_task(listen(client, each)) for each in ready]
            await asyncio.gather(*ready)
            looks.clear()
            headers = {"Upload-Offset": "0"}
            await client.patch(f"/runs/{run}/files/{LOG}", content=b"x", headers=headers)
            while not looks:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            crowded = await client.get(f"/runs/{run}/events")
            seen = len(looks)
            place.service.request_stop()
            return crowded, seen, await asyncio.gather(*listeners)

    crowded, seen, told = asyncio.run(crowd())
    assert crowded.status_code == 503
    assert 1 <= seen < 10
    for lines in told:
        assert sum(line == "event: change" for line in lines) == 1
        assert any(line.startswith("retry:") for line in lines[-3:])
