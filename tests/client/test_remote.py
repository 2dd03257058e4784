"""`RemoteStore` against a real server."""

from __future__ import annotations

import time

import pytest

from runcast.errors import AccessDenied, RunNotFound, SeriesNotFound, ServerUnreachable, StoreError
from runcast.events.writer import EventWriter
from runcast.run.record import RunRecord, new_run_id
from runcast.store.protocol import Append, Appended, Facts, FileRecord, OffsetMismatch, RunQuery
from runcast.store.remote import RemoteStore

EVENTS = "files/logs/train/events.out.tfevents.1.host"


@pytest.fixture
def events(tmp_path):
    """The bytes of an event file with 500 steps."""
    writer = EventWriter(tmp_path / "events.out.tfevents.1.host")
    for step in range(500):
        writer.scalars({"loss": 1 / (step + 1)}, step, 1e9 + step)
    writer.close()
    return writer.path.read_bytes()


@pytest.fixture
def remote(server):
    with server.remote(patience=5.0) as store:
        yield store


@pytest.fixture
def run(remote):
    record = RunRecord(new_run_id(), "digits", "first", "running", time.time(), config={"lr": float("inf")})
    remote.create(record)
    return record.id


def test_a_run_goes_there_and_comes_back(remote, run, events, tmp_path):
    """Facts, bytes, series and points that were sent are what is read."""
    remote.update(run, Facts(name="second", facts={"tags": ["a"], "host": "node1", "summary": {"best": 2.0}}))
    assert remote.append(run, EVENTS, 0, events[:1000]) == Appended(remote.size(run, EVENTS))
    at = remote.size(run, EVENTS)
    assert 0 < at <= 1000
    assert remote.append(run, EVENTS, 5, events[5:]) == OffsetMismatch(at)
    answers = remote.append_all(
        run,
        [Append(EVENTS, at, events[at:]), Append("console.jsonl", 3, b"{}\n"), Append("code/a.py", 0, b"x")],
    )
    assert answers[:2] == [Appended(len(events)), OffsetMismatch(0)]
    assert isinstance(answers[2], StoreError)
    big = tmp_path / "model.pt"
    big.write_bytes(bytes(range(256)) * 10_000)
    assert remote.put(run, "saved/model.pt", big) == 2_560_000
    assert remote.put(run, "saved/naïve name #1%41?.txt", b"odd") == 3
    remote.describe(run, FileRecord("saved/model.pt", 0, source_path="/home/ada/model.pt", state="recorded"))

    found = remote.run(run)
    assert (found.name, found.tags, found.facts["host"], found.config) == (
        "second", ("a",), "node1", {"lr": "Infinity"},
    )  # fmt: skip
    assert remote.run_shape(run)["summary"] == {"train/loss": 1 / 500, "best": 2.0}
    files = {file.path: file for file in remote.files(run)}
    assert files["saved/model.pt"].source_path == "/home/ada/model.pt"
    assert files[EVENTS].records == 501
    assert remote.read(run, EVENTS, 10, 5000) == events[10:5000]
    assert remote.read(run, EVENTS, len(events), 1 << 40) == b""
    assert b"".join(remote.chunks(run, "saved/model.pt")) == big.read_bytes()
    assert remote.read(run, "saved/naïve name #1%41?.txt", 0, 9) == b"odd"
    (series,) = remote.series(run)
    assert (series.tag, series.count, series.last_step) == ("loss", 500, 499)
    points = remote.points(run, "logs", "train", "loss")
    assert points.step.tolist() == list(range(500))
    assert points.value[4] == 0.2
    few = remote.points(run, "logs", "train", "loss", step_range=(100, 199), pixels=10)
    assert len(few.step) <= 40
    assert few.step[0] == 100
    mark, changed = remote.changes(0)
    assert run in changed
    assert remote.changes(mark) == (mark, [])


def test_what_is_not_there_is_said(remote, run):
    """A run, a series or a file that the server does not have is an error of its own, as in the local store."""
    for missing in (lambda: remote.run("nobody"), lambda: remote.update("nobody", Facts(name="x"))):
        with pytest.raises(RunNotFound):
            missing()
    with pytest.raises(SeriesNotFound, match="loss"):
        remote.points(run, "logs", ".", "loss")
    assert remote.size(run, EVENTS) == 0
    with pytest.raises(StoreError):
        remote.append(run, "../x", 0, b"x")


def test_runs_come_by_the_page(remote):
    """All runs are listed, newest first, however few fit into an answer; a limit holds."""
    made = [RunRecord(new_run_id(), "pages", str(number), "running", 1e9 + number) for number in range(7)]
    for record in made:
        remote.create(record)
    names = [said["name"] for said in remote.run_shapes(RunQuery(project="pages"), page=3)]
    assert names == ["6", "5", "4", "3", "2", "1", "0"]
    assert [run.name for run in remote.runs(RunQuery(project="pages", limit=2))] == ["6", "5"]


def test_a_wrong_token_and_a_wrong_address_are_told_apart(server, run, monkeypatch):
    """The error says what to do, and never shows the token, which .netrc does not replace either."""
    with RemoteStore(server.url, "rc_" + "x" * 43) as stranger:
        with pytest.raises(AccessDenied, match="runcast login") as caught:
            stranger.run(run)
        assert "xxx" not in str(caught.value) + repr(stranger.__dict__) + repr(caught.value.__cause__)
    started = time.monotonic()
    with (
        RemoteStore("http://127.0.0.1:9", server.token, patience=1.0) as nowhere,
        pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9 .*refused"),
    ):
        nowhere.run(run)
    assert time.monotonic() - started < 5
