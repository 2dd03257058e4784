"""What the recorder sends to panels: every point, soon, and never at the price of recording."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from runcast.events import EventWriter
from runcast.recorder.panels import Panels
from runcast.run.record import RunRecord
from runcast.store.local import LocalStore


@pytest.fixture
def writer(tmp_path):
    opened = EventWriter(tmp_path / "logs" / "train" / "events.out.tfevents.1.host.1.0")
    yield opened
    opened.close()


class Page:
    """Holds what a panel would hold after these frames."""

    def __init__(self):
        self.series = {}
        self.meta = {}
        self.frames = 0
        self.run = None

    def take(self, header, buffers):
        if header["kind"] == "run":
            self.run = header
        if header["kind"] not in {"snapshot", "delta"}:
            return
        self.frames += 1
        columns = [np.frombuffer(buffer, "<f8") for buffer in buffers]
        at = 0
        for each in header["series"]:
            part = [column[at : at + each["n"]] for column in columns]
            at += each["n"]
            if header["kind"] == "snapshot":
                self.meta[each["root"], each["source"], each["tag"]] = each
                self.series[each["id"]] = part
            else:
                self.series[each["id"]] = [
                    np.concatenate(pair) for pair in zip(self.series[each["id"]], part, strict=True)
                ]
        assert all(len(column) == at for column in columns)

    def points(self, root, source, tag):
        meta = self.meta.get((root, source, tag))
        return self.series[meta["id"]] if meta else [np.empty(0)] * 3


def follow(recorder, page, uid="panel", *, start=0):
    for header, buffers in recorder.messages[start:]:
        if header.get("uid") == uid:
            page.take(header, buffers)


def test_frames_hold_every_point(new_run, start_recorder, writer):
    """A panel gets what was there when it was shown, then what comes, in order, with steps, wall times and values."""
    run = new_run()
    run.watch(writer.path.parent.parent)
    for step in range(50):
        writer.scalars({"loss": step / 3, "accuracy": -step}, step, 1000.0 + step)
    recorder = start_recorder(run)
    recorder.drain(writer.path)
    recorder.send(kind="show", uid="panel", bundle="")
    for step in range(50, 200):
        writer.scalars({"loss": step / 3, "accuracy": -step}, step, 1000.0 + step)
        time.sleep(0.005)
    writer.scalars({"late": float("nan")}, 7, 5.0)
    recorder.drain(writer.path)
    page = Page()
    follow(recorder, page)
    steps, wall_times, values = page.points("logs", "train", "loss")
    assert steps.tolist() == list(range(200))
    assert wall_times.tolist() == [1000.0 + step for step in range(200)]
    assert values.tolist() == [step / 3 for step in range(200)]
    assert page.points("logs", "train", "accuracy")[2].tolist() == [-step for step in range(200)]
    assert np.isnan(page.points("logs", "train", "late")[2]).all()
    assert page.meta["logs", "train", "loss"]["plugin"] == "scalars"
    assert any(header["kind"] == "delta" for header, _ in recorder.messages)


def test_nothing_is_sent_before_a_panel_is_shown(new_run, start_recorder, writer):
    """A script without a panel gets no frames."""
    run = new_run()
    run.writer(writer.path)
    writer.scalars({"loss": 1.0}, 1)
    recorder = start_recorder(run)
    recorder.drain(writer.path)
    run.finish()
    recorder.next("finished")
    assert {header["kind"] for header, _ in recorder.messages} <= {"ready", "drained", "finished"}


def test_at_most_five_frames_a_second(new_run, start_recorder, writer):
    """A training that logs all the time makes five messages a second, not hundreds."""
    run = new_run()
    run.writer(writer.path)
    recorder = start_recorder(run)
    recorder.send(kind="show", uid="panel", bundle="")
    began = time.monotonic()
    step = 0
    while time.monotonic() - began < 3:
        writer.scalars({"loss": 1.0}, step)
        step += 1
        time.sleep(0.005)
    run.finish()
    recorder.next("finished")
    frames = [header for header, _ in recorder.messages if header["kind"] in {"snapshot", "delta"}]
    assert 3 <= len(frames) <= 5 * (time.monotonic() - began) + 2


def test_restarted_series_replaces_what_the_page_shows(new_run, start_recorder, writer):
    """A training cell run again into the same folder: the page's line goes back, as TensorBoard's would."""
    run = new_run()
    run.watch(writer.path.parent.parent)
    recorder = start_recorder(run)
    recorder.send(kind="show", uid="panel", bundle="")
    for step in range(20):
        writer.scalars({"loss": 1.0}, step)
    recorder.drain(writer.path)
    for step in range(5, 10):
        writer.scalars({"loss": 2.0}, step)
    recorder.drain(writer.path)
    page = Page()
    follow(recorder, page)
    steps, _, values = page.points("logs", "train", "loss")
    assert steps.tolist() == list(range(10))
    assert values.tolist() == [1.0] * 5 + [2.0] * 5


def test_long_series_is_bucketed_with_its_spike(new_run, start_recorder, writer):
    """A series of more points than pixels can show comes in at most 20,000, and no spike is lost."""
    run = new_run()
    run.writer(writer.path)
    values = np.zeros(60_000)
    values[31_337] = 9.0
    for step, value in enumerate(values):
        writer.scalars({"loss": value}, step)
    recorder = start_recorder(run)
    recorder.send(kind="show", uid="panel", bundle="")
    page = Page()
    deadline = time.monotonic() + 60
    while (page.meta.get(("cwd", ".", "loss")) or {}).get("total") != len(values):
        assert time.monotonic() < deadline
        recorder.drain(writer.path)
        recorder.send(kind="snapshot")
        recorder.drain(writer.path)
        page = Page()
        follow(recorder, page)
    steps, _, shown = page.points("cwd", ".", "loss")
    assert len(steps) <= 20_000
    assert shown.max() == 9.0
    assert steps[-1] == len(values) - 1


def test_reloaded_page_gets_everything_again(new_run, start_recorder, writer):
    """After `snapshot`, a page that knows nothing has all points, and what the run is."""
    run = new_run()
    run.writer(writer.path)
    recorder = start_recorder(run)
    recorder.send(kind="show", uid="panel", bundle="")
    for step in range(30):
        writer.scalars({"loss": step}, step)
    recorder.drain(writer.path)
    seen = len(recorder.messages)
    recorder.send(kind="snapshot")
    recorder.drain(writer.path)
    page = Page()
    follow(recorder, page, start=seen)
    assert page.points("cwd", ".", "loss")[0].tolist() == list(range(30))
    assert page.run["run"]["id"] == run.id
    assert page.run["points"] >= 30
    assert page.run["updated"] == pytest.approx(time.time(), abs=30)
    assert page.run["tensorboard"] is not None
    assert {file["state"] for file in page.run["files"]} == {"recording"}


def test_drained_says_so_quickly(new_run, start_recorder, writer):
    """The end of a cell waits well under a second until the panel has all points."""
    run = new_run()
    run.writer(writer.path)
    recorder = start_recorder(run)
    recorder.send(kind="show", uid="panel", bundle="")
    waits = []
    for step in range(20):
        writer.scalars({"loss": step}, step)
        asked = time.monotonic()
        assert recorder.drain(writer.path) == {str(writer.path): writer.path.stat().st_size}
        waits.append(time.monotonic() - asked)
        page = Page()
        follow(recorder, page)
        assert page.points("cwd", ".", "loss")[0].tolist() == list(range(step + 1))
    assert sorted(waits)[10] < 0.3
    assert max(waits) < 0.95


def test_drain_of_a_file_nobody_knows_is_answered(new_run, start_recorder, tmp_path):
    """A drain that asks for what never comes is answered within a second."""
    recorder = start_recorder(new_run())
    asked = time.monotonic()
    header, _ = recorder.request("drain", files={str(tmp_path / "nowhere.tfevents"): 100})
    assert header["recorded"] == {str(tmp_path / "nowhere.tfevents"): 0}
    assert time.monotonic() - asked < 1.5


def test_kernel_that_does_not_read_blocks_nothing(new_run, start_recorder, writer, store, wait_for):
    """A kernel held by one long C call reads nothing: recording goes on, and its panel is whole afterwards."""
    run = new_run()
    run.writer(writer.path)
    recorder = start_recorder(run, listen=False)
    recorder.send(kind="show", uid="panel", bundle="")
    process = psutil.Process(recorder.pid)
    deadline = time.monotonic() + 12
    step = 0
    while time.monotonic() < deadline:
        for _ in range(500):
            writer.scalars({f"tag{tag}": step for tag in range(8)}, step)
            step += 1
        time.sleep(0.1)

    def caught_up():
        with store() as local:
            return {row.source_path: row.size for row in local.files(run.id)}.get(
                str(writer.path)
            ) == writer.path.stat().st_size

    wait_for(caught_up)
    before = process.cpu_times().user
    time.sleep(2)
    assert process.cpu_times().user - before < 0.5, "it must not spin while nobody reads"
    recorder.listen()
    recorder.next("ready")
    recorder.drain(writer.path)
    run.finish()
    recorder.next("finished")
    page = Page()
    follow(recorder, page)
    for tag in range(8):
        steps = page.points("cwd", ".", f"tag{tag}")[0]
        assert steps[-1] == step - 1
        assert len(steps) == step or len(steps) <= 20_000


def test_kernel_that_is_gone_blocks_nothing(new_run, start_recorder, start_trainer, tmp_path, store):
    """The pipes of a dead kernel are broken: the recorder records to the end all the same."""
    trainer = start_trainer(tmp_path / "logs")
    run = new_run(pid=trainer.pid)
    run.writer(trainer.path)
    recorder = start_recorder(run, listen=False)
    recorder.send(kind="show", uid="panel", bundle="")
    time.sleep(1)
    recorder.process.stdout.close()
    time.sleep(1)
    trainer.kill()
    recorder.process.stdin.close()
    assert recorder.wait() == 0
    with store() as local:
        assert local.run(run.id).state == "crashed"


def test_static_form_is_answered(new_run, start_recorder, writer):
    """`static` is answered with a picture and a page, while recording goes on."""
    run = new_run()
    run.writer(writer.path)
    for step in range(30):
        writer.scalars({"loss": step}, step)
    recorder = start_recorder(run)
    recorder.send(kind="show", uid="panel", bundle="")
    header, (png, page) = recorder.request("static", 60)
    assert header["title"] == run.id
    assert png.startswith(b"\x89PNG")
    assert b"<" in page


def test_tensorboard_has_an_address_from_the_start(new_run, start_recorder):
    """A run that wants TensorBoard has its port in `ready`; one that does not never gets one."""
    wants = start_recorder(new_run(tensorboard=True))
    ready = next(header for header, _ in wants.messages if header["kind"] == "ready")
    assert isinstance(ready["tensorboard"], int)
    refuses = start_recorder(new_run(tensorboard=False))
    refuses.send(kind="show", uid="panel", bundle="")
    assert refuses.next("run")[0]["tensorboard"] is None


def test_a_run_in_which_nothing_happens_is_still_heard_of(tmp_path, monkeypatch):
    """A panel hears of its run every ten seconds, so that it can tell one that is still there from one that is not."""
    clock = [1000.0]
    monkeypatch.setattr(
        "runcast.recorder.panels.time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time)
    )
    record = RunRecord("a" * 16, "p", "n", "running", 1.0)
    with LocalStore(tmp_path) as store:
        store.create(record)
        sent = []
        panels = Panels(
            tmp_path,
            lambda: record,
            SimpleNamespace(room=1 << 20, offer=lambda header, *_: sent.append(header) or True),
            lambda: None,
        )
        panels.open(store)
        panels.show("panel", "")
        for _ in range(31):
            panels.send(list)
            clock[0] += 1.0
        heard = [header for header in sent if header["kind"] == "run"]
        panels.finish(0.0)
    assert len(heard) == 4
