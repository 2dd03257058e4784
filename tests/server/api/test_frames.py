"""The panel's frames: every viewer has what the store has, soon, whoever looks and however fast."""

from __future__ import annotations

import contextlib
import io
import threading
import time

import httpx
import numpy as np
import pytest

from runcast.run.channel import read_messages
from runcast.server import frames as frames_of_runs
from runcast.server.api import frames

FILE = "files/logs/train/events.out.tfevents.1.host.1.0"


class Viewer:
    """What a page holds after what it was sent."""

    def __init__(self):
        self.series = {}
        self.heads = {}
        self.run = None
        self.kinds = []
        self.ended = False
        self.pause = 0.0

    def take(self, header, buffers):
        self.kinds.append(header["kind"])
        if header["kind"] == "run":
            self.run = header
        if header["kind"] not in {"snapshot", "delta"}:
            return
        columns = [np.frombuffer(buffer, "<f8") for buffer in buffers]
        at = 0
        for each in header["series"]:
            part = [column[at : at + each["n"]] for column in columns]
            at += each["n"]
            if header["kind"] == "snapshot":
                self.heads[each["root"], each["source"], each["tag"]] = each["id"]
                self.series[each["id"]] = part
            else:
                held = self.series[each["id"]]
                self.series[each["id"]] = [np.concatenate(pair) for pair in zip(held, part, strict=True)]
        assert all(len(column) == at for column in columns)

    def points(self, tag, root="logs", source="train"):
        held = self.series.get(self.heads.get((root, source, tag)))
        return [] if held is None else list(zip(held[0].tolist(), held[2].tolist(), strict=True))

    def read(self, client, run):
        """Follow a run, until its stream ends."""
        with client.stream("GET", f"/runs/{run}/frames") as response:
            assert response.status_code == 200, response.read()
            pieces = response.iter_raw()

            class Body(io.RawIOBase):
                rest = b""

                def read(self, size=-1):
                    while not self.rest:
                        self.rest = next(pieces, None)
                        if self.rest is None:
                            self.rest = b""
                            return b""
                    part, self.rest = self.rest[:size], self.rest[size:]
                    return part

            for header, buffers in read_messages(Body()):
                self.take(header, buffers)
                time.sleep(self.pause)
        self.ended = True

    def until(self, holds, timeout=15.0):
        deadline = time.monotonic() + timeout
        while not holds(self):
            assert time.monotonic() < deadline, (self.kinds[-5:], self.run)
            time.sleep(0.02)


@pytest.fixture
def look():
    """Open a viewer of a run."""
    threads = []

    def follow(viewer, client, run):
        with contextlib.suppress(httpx.TransportError):  # the test is over and has closed its client
            viewer.read(client, run)

    def open_viewer(client, run, pause=0.0):
        viewer = Viewer()
        viewer.pause = pause
        threads.append(threading.Thread(target=follow, args=(viewer, client, run), daemon=True))
        threads[-1].start()
        return viewer

    return open_viewer


def append(client, run, data, offset):
    headers = {"Upload-Offset": str(offset)}
    answer = client.patch(f"/runs/{run}/files/{FILE}", content=data, headers=headers)
    assert answer.status_code == 204, answer.text
    return offset + len(data)


def test_viewers_see_what_was_there_and_what_comes(place, ada, vera, new_run, records, look):
    """Viewers who come before and after have the same points; a restart takes points back; one who leaves disturbs nobody."""
    run = new_run(ada, facts={"tags": ["first"]})
    early = look(vera, run)
    early.until(lambda viewer: viewer.run)
    assert early.run["run"]["name"] == "first"
    assert "folder" not in early.run["run"]  # where the server keeps it is nobody's business
    heard = early.run["run"]["heartbeat"] or 0
    size = append(ada, run, records({"loss": [0.5, 0.25, float("nan")]}), 0)
    early.until(lambda viewer: len(viewer.points("loss")) == 3)
    early.until(lambda viewer: viewer.run["run"]["heartbeat"] > heard)
    more = records({"loss": [0.125, 0.0625], "late": [1.0, 2.0]}, start=3)
    size = append(ada, run, more, size)
    late = look(ada, run)
    for viewer in (early, late):
        viewer.until(lambda seen: len(seen.points("loss")) == 5 and len(seen.points("late")) == 2)
        assert viewer.points("loss")[3:] == [(3.0, 0.125), (4.0, 0.0625)]
    assert "delta" in early.kinds
    size = append(ada, run, records({"loss": [9.0, 8.0, 7.0, 6.0]}, start=2), size)
    for viewer in (early, late):
        viewer.until(
            lambda seen: [value for _, value in seen.points("loss")] == [0.5, 0.25, 9.0, 8.0, 7.0, 6.0]
        )
    ada.patch(f"/runs/{run}", json={"name": "second", "state": "finished", "ended": time.time()})
    early.until(
        lambda viewer: viewer.run["run"]["name"] == "second" and viewer.run["run"]["state"] == "finished"
    )
    assert place.service.frames.viewers == 2


def test_a_stalled_viewer_gets_snapshots_and_loses_nothing(ada, vera, new_run, records, look, monkeypatch):
    """A log that has grown is begun anew: who keeps up gets no snapshot for it, who lags gets one instead of all deltas."""
    monkeypatch.setattr(frames_of_runs, "LONGEST", 2000)
    monkeypatch.setattr(frames_of_runs, "INTERVAL", 0.01)
    run = new_run(ada)
    size = append(ada, run, records({"loss": [0.0]}), 0)
    quick, slow = look(vera, run), look(vera, run, pause=0.4)
    for step in range(1, 60):
        size = append(ada, run, records({"loss": [float(step)] * 8}, start=step * 8), size)
        time.sleep(0.03)
    everything = 1 + 59 * 8
    for viewer in (quick, slow):
        viewer.until(lambda seen: len(seen.points("loss")) == everything)
    assert quick.points("loss") == slow.points("loss")
    assert quick.kinds.count("snapshot") == 1
    assert len(slow.kinds) < len(quick.kinds)


def test_a_stream_ends_with_the_right_to_it(place, ada, new_run, records, look, monkeypatch):
    """A stranger sees no run; whoever holds a link sees it until the link is revoked."""
    monkeypatch.setattr(frames, "RECHECK", 0.1)
    monkeypatch.setattr(frames_of_runs, "ALIVE", 0.2)
    run = new_run(ada)
    assert place.client(place.otto).get(f"/runs/{run}/frames").status_code == 404
    assert place.client().get(f"/runs/{run}/frames").status_code == 401
    shared = ada.post("/shares", json={"run": run}).json()
    guest = look(place.client(Authorization=f"Share {shared['secret']}"), run)
    guest.until(lambda viewer: "alive" in viewer.kinds)
    assert ada.delete(f"/shares/{shared['share']['id']}").status_code == 204
    guest.until(lambda viewer: viewer.ended)
