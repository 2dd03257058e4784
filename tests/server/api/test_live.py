"""Live streams: what changes is told at once, nothing is missed, and they end when they should."""

from __future__ import annotations

import asyncio
import contextlib
import time

import httpx
import pytest

from runcast.server.access import Access, Role, Run, Scope
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


def test_streams_end_when_access_does(place, ada, new_run, follow):
    """Who may see no more, for whatever reason, is sent no more within three seconds, without asking anew."""
    elsewhere = Access(place.store.database)  # another process
    member = place.user("member")
    place.access.projects.set_role("digits", member, Role.VIEWER)

    def revoked(run):
        token, secret = elsewhere.tokens.create(member, "test", Scope.READ)
        return secret, lambda: elsewhere.tokens.revoke(token.id)

    def expired(run):
        secret = place.access.tokens.create(member, "test", Scope.READ, expires=time.time() + 1.0)[1]
        return secret, lambda: None

    def unshared(run):
        share, secret = place.access.shares.create(Run(run, "digits"), place.ada, "link")
        return secret, lambda: place.access.shares.revoke(share.id)

    def trashed(run):
        return place.secret(member), lambda: ada.delete(f"/runs/{run}")

    def expelled(run):
        return place.secret(member), lambda: place.access.projects.set_role("digits", member, None)

    with contextlib.ExitStack() as opened:
        followed = []
        for case in (revoked, expired, unshared, trashed, expelled):
            run = new_run(ada)
            secret, end = case(run)
            kind = "Share" if case is unshared else "Bearer"
            client = place.client(None, Authorization=f"{kind} {secret}")
            events = opened.enter_context(follow(client, f"/runs/{run}/events"))
            assert events.next().event == "open"
            frames = opened.enter_context(client.stream("GET", f"/runs/{run}/frames"))
            assert frames.status_code == 200
            followed.append((case.__name__, end, events, frames))
        with ada.stream("GET", f"/runs/{run}/frames") as stays:
            for name, end, events, frames in followed:
                end()
                started = time.monotonic()
                for _ in events:
                    pass  # what changed before
                for _ in frames.iter_raw():
                    pass
                limit = 8.0 if name == "expired" else 3.5
                assert time.monotonic() - started < limit, name
            assert next(stays.iter_raw())
    run = new_run(ada)
    with follow(ada, f"/runs/{run}/events") as events, follow(ada, "/projects/digits/events") as of_project:
        events.next()
        of_project.next()
        started = time.monotonic()
        assert ada.post(f"/runs/{run}/purge").status_code == 409
        ada.delete(f"/runs/{run}")
        assert ada.post(f"/runs/{run}/purge").status_code == 204
        for _ in events:
            pass
        assert run in of_project.next().data["runs"]
        assert time.monotonic() - started < 3.5
    assert ada.get(f"/runs/{run}").status_code == 404


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
