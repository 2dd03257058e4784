"""Appends of many recorders at once: committed together, each answered for itself, never more than fits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import threading

import httpx
import pytest

from runcast.server.limits import Limits

LOG = "files/logs/console.jsonl"
BYTES = {"Content-Type": "application/octet-stream"}


def send(client, run, body, **headers):
    return client.post(f"/runs/{run}/appends", content=body, headers={**BYTES, **headers})


@contextlib.contextmanager
def held_up(store):
    """Have somebody else keep the database locked while the block lasts."""
    locked, free = threading.Event(), threading.Event()

    def hold():
        with store.database.write():
            locked.set()
            free.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(20)
    yield
    free.set()
    holder.join()


def figure(place, name):
    """Return one of the server's figures."""
    client = place.client(place.boss)
    client.base_url = place.url
    lines = client.get("/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name} ")]
    return float(line.split()[1])


def test_each_append_is_answered_for_itself(ada, new_run, records, message):
    """Of several appends those are taken that fit; the others say at which size to go on, or what is wrong."""
    run = new_run(ada)
    data = records({"loss": [1.0, 2.0]})
    events = "files/logs/train/events.out.tfevents.1"
    body = message((events, 0, data), (LOG, 5, b"late"), ("own/console.jsonl", 0, b"{}\n"))
    answers = send(ada, run, body).json()["answers"]
    assert answers == [{"size": len(data)}, {"size": 0, "error": "offset"}, {"size": 3}]
    assert ada.get(f"/runs/{run}/points", params={"root": "logs", "source": "train", "tag": "loss"}).json()[
        "value"
    ] == [1, 2]
    assert send(ada, run, message()).json() == {"answers": []}
    again = send(ada, run, body).json()["answers"]
    assert [answer["size"] for answer in again] == [len(data), 0, 3]


def test_what_is_no_message_is_refused_whole(ada, new_run, message):
    """A body that is not what it says it is, or names a file that cannot be, is refused, and nothing of it is taken."""
    run = new_run(ada)
    good = message((LOG, 0, b"fine"))

    def packed(header, tail=b""):
        head = json.dumps(header).encode()
        return struct.pack("<I", len(head)) + head + tail

    one = {"path": LOG, "offset": 0, "final": False}
    for wrong in (
        b"", b"abc", good[:-1], good + b"more", struct.pack("<I", 2**31) + b"{}", b"\xff\xff\xff\xff",
        packed([]), packed({}), packed({"appends": [one], "buffers": []}), packed({"appends": [one], "buffers": [-1]}),
        packed({"appends": [one], "buffers": [2**70]}), packed({"appends": [{}], "buffers": [0]}),
        packed({"appends": [{**one, "offset": True}], "buffers": [0]}), packed({"appends": [{**one, "offset": -1}], "buffers": [0]}),
        packed({"appends": [{**one, "path": 3}], "buffers": [0]}), packed({"appends": [{**one, "path": "../x"}], "buffers": [0]}),
        packed({"appends": [{**one, "path": "a\ud800"}], "buffers": [0]}), packed({"appends": {"a": 1}, "buffers": {"a": 1}}),
        message((LOG, 0, b"a"), (LOG, 1, b"b")), message((LOG, 0, b"ok"), ("store.db", 0, b"evil")),
    ):  # fmt: skip
        answer = send(ada, run, wrong)
        assert answer.status_code == 400, wrong[:80]
        assert "message of appends" in answer.json()["error"]
    assert ada.get(f"/runs/{run}/files").json()["files"] == []
    assert send(ada, run, good, **{"Content-Type": "text/plain"}).status_code == 415


def test_many_recorders_share_commits(place, ada, new_run, records, message):
    """What many recorders send at once is committed in few transactions, in order, and all of it is there afterwards."""
    runs = [new_run(ada, project="digits") for _ in range(30)]
    path, rounds = "files/logs/events.out.tfevents.1", 5
    first = records({"loss": [float(n) for n in range(40)]})
    begun = figure(place, "runcast_commit_group_count")
    at = dict.fromkeys(runs, 0)

    async def send_piece(client, run, stop):
        body = message((path, at[run], first[at[run] : stop]))
        answer = await client.post(f"{place.url}/api/v1/runs/{run}/appends", content=body, headers=BYTES)
        at[run] = answer.json()["answers"][0]["size"]

    async def record_all():
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(headers=ada.headers, timeout=30, limits=limits) as client:
            for piece in range(1, rounds + 1):
                stop = len(first) * piece // rounds
                size = sum(stop - at[run] for run in runs)
                with held_up(place.store):
                    pieces = [asyncio.create_task(send_piece(client, run, stop)) for run in runs]
                    while place.service.committer.reserved < size:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                await asyncio.gather(*pieces)

    asyncio.run(record_all())
    assert set(at.values()) == {len(first)}
    assert figure(place, "runcast_commit_group_count") - begun <= 3 * rounds
    for run in runs[::10]:
        assert ada.get(f"/runs/{run}/files/{path}").content == first
        (series,) = ada.get(f"/runs/{run}/series").json()["series"]
        assert (series["count"], series["last"]) == (40, 39.0)


def test_one_run_over_two_connections(place, ada, new_run):
    """Appends to one run that arrive at the same moment are taken one after the other: exactly one of two that disagree."""
    run = new_run(ada)
    headers = {**BYTES, "Upload-Offset": "0"}

    async def both():
        async with httpx.AsyncClient(headers=ada.headers, timeout=30) as client:
            url = f"{place.url}/api/v1/runs/{run}/files/{LOG}"
            return await asyncio.gather(
                *[client.patch(url, content=bytes([65 + n]) * 9, headers=headers) for n in range(8)]
            )

    answers = asyncio.run(both())
    assert sorted(answer.status_code for answer in answers) == [204] + [409] * 7
    (winner,) = [n for n, answer in enumerate(answers) if answer.status_code == 204]
    assert ada.get(f"/runs/{run}/files/{LOG}").content == bytes([65 + winner]) * 9


def test_appending_to_a_run_that_is_not_there(ada, new_run, message):
    """It is not found; others in the same commit are not harmed."""
    assert send(ada, "aaaaaaaaaaaaaaaa", message((LOG, 0, b"x"))).status_code == 404


@pytest.mark.parametrize("own_place", [Limits(queue=40_000, requests=6)], indirect=True)
def test_more_than_can_be_committed_is_put_off(own_place, new_run):
    """While the database is held up, what does not fit into memory is answered 503 at once, and taken when there is room again."""
    place = own_place
    ada = place.client(place.ada)
    run = new_run(ada)
    ada.get(f"/runs/{run}")

    async def crowd():
        async with httpx.AsyncClient(headers=ada.headers, timeout=30) as client:
            url = f"{place.url}/api/v1/runs/{run}/files/files/logs"
            headers = {"Upload-Offset": "0"}
            held = contextlib.ExitStack()
            held.enter_context(held_up(place.store))
            first = [
                asyncio.create_task(client.patch(f"{url}/{n}", content=bytes(9_000), headers=headers))
                for n in range(4)
            ]
            while place.service.committer.reserved < 36_000:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            refused = await client.patch(f"{url}/more", content=bytes(9_000), headers=headers)
            small = [
                asyncio.create_task(client.patch(f"{url}/s{n}", content=b"x", headers=headers))
                for n in range(2)
            ]
            while place.service.requests < 6:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            crowded = await client.get(f"{place.url}/api/v1/runs")
            alive = await client.get(f"{place.url}/healthz")
            held.close()
            return refused, crowded, alive, await asyncio.gather(*first, *small)

    refused, crowded, alive, taken = asyncio.run(crowd())
    for answer in (refused, crowded):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert alive.status_code == 200
    assert [answer.status_code for answer in taken] == [204] * 6
    assert place.service.committer.reserved == 0
    assert figure(place, "runcast_appends_refused_total") == 1
