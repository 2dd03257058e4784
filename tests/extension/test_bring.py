"""`%runcast sync` in a real kernel."""

from __future__ import annotations

import time
from pathlib import Path

from runcast.events.writer import EventWriter
from runcast.store.protocol import RunQuery


def write(folder, steps):
    writer = EventWriter(Path(folder) / "events.out.tfevents.1700000000.host.1.0")
    for step in range(steps):
        writer.scalars({"loss": 1 / (step + 1)}, step, 1_700_000_000.0 + step)
    writer.close()


def points(store, expected):
    """Wait until the store has so many points."""
    stop = time.monotonic() + 30
    while sum(each.count for run in store.runs(RunQuery()) for each in store.series(run.id)) != expected:
        assert time.monotonic() < stop
        time.sleep(0.1)


def test_logs_become_runs_in_a_cell(kernels, place, store):
    """The cell shows a bar and, in its place, the runs that came of the logs, with no script; again, there is nothing new."""
    write("logs/first", 300)
    write("logs/<second>", 200)
    kernel = kernels()
    kernel.run("%load_ext runcast")
    done = kernel.run("%runcast sync logs --project digits")
    assert done.status == "ok", done.outputs
    (bar,) = done.displays()
    assert "of 2 runs" in bar["data"]["text/plain"]
    assert 'role="progressbar"' in bar["data"]["text/html"]
    assert {each["id"] for each in done.updates} == {bar["id"]}
    shown = done.updates[-1]["data"]
    assert "2 runs (2 new): 502 events" in shown["text/plain"]
    assert "&lt;second&gt;</td>" in shown["text/html"]
    assert "301 events</td>" in shown["text/html"]
    assert "<script" not in shown["text/html"]
    assert "<second>" not in shown["text/html"]
    assert {run.name: run.project for run in store.runs(RunQuery())} == {
        "first": "digits",
        "<second>": "digits",
    }
    (run,) = [run for run in store.runs(RunQuery()) if run.name == "first"]
    (series,) = store.series(run.id)
    assert store.points(run.id, series.root, series.source, "loss").step.tolist() == list(range(300))
    again = kernel.run("folder = 'logs'\n%runcast sync $folder --project digits")
    assert "2 runs (2 unchanged): nothing new" in again.updates[-1]["data"]["text/plain"]
    assert "False" in kernel.run("import sys; print('sqlalchemy' in sys.modules)").text


def test_mistakes_are_told_in_one_line(kernels):
    """A folder that is not there, an option that is none: one line, no traceback, and an empty folder says what was looked at."""
    Path("empty").mkdir()
    kernel = kernels()
    kernel.run("%load_ext runcast")
    for words, said in (
        ("./nowhere", "UsageError: ./nowhere: there is no such file or folder"),
        ("logs --watc", "UsageError: No such option '--watc'"),
        ("empty", "empty: no event files"),
    ):
        done = kernel.run(f"%runcast sync {words}")
        assert said in done.text, done.outputs
        assert len(done.text.splitlines()) == 1
        assert not done.displays()


def test_what_grows_is_brought_until_the_cell_is_interrupted(kernels, place, store):
    """With --watch the cell goes on, until it is interrupted; that is no error, and leaves no process behind."""
    write("logs", 10)
    kernel = kernels()
    kernel.run("%load_ext runcast")
    asked = kernel.send("%runcast sync --watch logs")
    points(store, 10)
    write("logs/train", 30)
    points(store, 40)
    kernel.manager.interrupt_kernel()
    done = kernel.finish(asked)
    assert done.status == "ok", done.outputs
    assert "stopped watching" in done.text
    left = kernel.run("import psutil; print([each.cmdline() for each in psutil.Process().children()])").text
    assert "sync" not in left
