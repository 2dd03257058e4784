from __future__ import annotations

import signal

import pytest

import runcast
from runcast.errors import RunNotFound, SettingsError
from runcast.run.record import RunRecord
from runcast.store.local import LocalStore
from runcast.store.protocol import RunQuery


def test_a_resumed_run_is_the_same_run(place):
    """After a crash, `resume="allow"` with the run's id goes on in it: folder, name, config, tags, summary, steps and series."""
    with place.start("""
        import os, runcast, signal
        run = runcast.init("p", name="long", id="run-1", resume="allow", config={"lr": 1}, tags=["a"], notes="n", group="g")
        assert not run.resumed
        for value in range(3):
            run.log({"loss": value})
        run.summary["best"] = 0.5
        run.drain(10)
        os.kill(os.getpid(), signal.SIGKILL)
    """) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert place.end().state == "crashed"
    out, _ = place.run("""
        import runcast
        run = runcast.init(id="run-1", resume="allow", config={"epochs": 2})
        assert run.resumed
        print(run.project, run.name, dict(run.config), run.tags, run.notes, run.group, dict(run.summary), run.step)
        run.tags += ("b",)
        run.log({"loss": 3})
        assert run.finish()
    """)
    assert out.strip() == "p long {'lr': 1, 'epochs': 2} ('a',) n g {'best': 0.5} 3"
    assert len(place.runs) == 1
    record = place.end()
    assert (record.state, record.name, record.tags) == ("finished", "long", ("a", "b"))
    assert record.config == {"lr": 1, "epochs": 2}
    assert "interrupted" not in record.facts
    assert place.values("loss") == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_resumed_run_is_running_again(place):
    """While it goes on, a run that had failed is listed as running, without its earlier end and error."""
    place.run("import runcast; runcast.init(id='x'); raise ValueError('no')", status=1)
    assert place.end().state == "failed"
    place.run("""
        import runcast, time, os
        from runcast.store.local import LocalStore
        from pathlib import Path
        run = runcast.init(id="x", resume="must")
        deadline = time.monotonic() + 20
        while True:
            with LocalStore(Path(os.environ["RUNCAST_DIR"])) as store:
                record = store.run("x")
            if record.state == "running":
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert record.ended is None and "error" not in record.facts, record
    """)
    assert place.end().state == "finished"


def test_event_files_of_a_resumed_run_go_on(place):
    """A writer in the same logdir records under the same source; what it repeats after a checkpoint supersedes the old points.

    Saved files are copied again if they have changed meanwhile, and only then.
    """
    script = """
        import runcast
        from torch.utils.tensorboard import SummaryWriter
        run = runcast.init(id="x", resume="allow", logdirs=["logs"])
        run.save("*.bin")
        run.log({{"table": runcast.Table(data=[[{start}]])}})
        with SummaryWriter("logs/a", purge_step={start}) as writer:
            for step in range({start}, {stop}):
                writer.add_scalar("loss", {value}, step)
    """
    for name in ("same", "changed"):
        (place.folder / f"{name}.bin").write_text("before")
    place.run(script.format(start=0, stop=6, value=0))
    place.end()
    saved = place.runs[0] / "saved"
    copies = {path.name: path.stat().st_ino for path in saved.iterdir()}
    (place.folder / "changed.bin").write_text("behind")
    place.run(script.format(start=4, stop=8, value=1))
    assert place.end().state == "finished"
    with LocalStore(place.store) as store:
        points = store.points("x", "logs", "a", "loss")
    assert points.step.tolist() == list(range(8))
    assert points.value.tolist() == [0.0] * 4 + [1.0] * 4
    assert (saved / "same.bin").stat().st_ino == copies["same.bin"]
    assert (saved / "same.bin").read_text() == "before"
    assert len(list((saved / "tables").rglob("*.json"))) == 2
    assert "nothing" not in (place.runs[0] / "recorder.log").read_text()
    assert (saved / "changed.bin").read_text() == "behind"


def test_auto_goes_on_with_what_did_not_end_well(place):
    """`resume="auto"` goes on after a crash or failure of the same script, starts anew after a good end, and for another script."""
    script = """
        import runcast
        run = runcast.init(resume="auto")
        print(run.id, run.resumed)
        {ending}
    """
    first = place.run(script.format(ending="raise ValueError"), status=1)[0].split()
    other = place.run("import runcast; run = runcast.init(resume=True); print(run.id, run.resumed)")[
        0
    ].split()
    assert first[1] == "False"
    assert other == [first[0], "True"]  # the same file
    third = place.run(script.format(ending=""))[0].split()
    assert third[1] == "False"
    assert third[0] != first[0]


def test_a_run_that_is_being_recorded_is_not_resumed(place):
    """A second process that wants a running run is told by whom it is recorded; the run is not disturbed."""
    with place.start("""
        import runcast, sys
        run = runcast.init(id="x")
        print("ready", flush=True)
        sys.stdin.readline()
        __import__("time").sleep(20)
    """) as process:
        assert process.stdout.readline() == "ready\n"
        try:
            _, err = place.run("import runcast; runcast.init(id='x', resume='allow')", status=1)
        finally:
            process.kill()
    assert f"RunLocked: the run x is being recorded by process {process.pid}" in err


def test_what_must_not_be_there(place, monkeypatch):
    """`must` wants the run to be there, `never` that it is not; without either, an id that is taken is an error."""
    monkeypatch.setenv("RUNCAST_DIR", str(place.store))
    with pytest.raises(RunNotFound, match="nope"):
        runcast.init(id="nope", resume="must")
    with pytest.raises(SettingsError, match="id="):
        runcast.init(resume="must")
    place.run("import runcast; runcast.init(id='x', resume='never')")
    for resume in ("never", None):
        with pytest.raises(SettingsError, match="already"):
            runcast.init(id="x", resume=resume)
    with pytest.raises(SettingsError, match="lowercase"):
        runcast.init(id="../x")
    assert len(place.runs) == 1


def test_a_process_resumes_its_own_run(place):
    """Within one process a run may be finished and resumed; both parts are in it."""
    place.run("""
        import runcast
        for part in range(3):
            with runcast.init(id="x", resume="allow") as run:
                run.log({"part": part})
    """)
    assert place.values("part") == [(0, 0.0), (1, 1.0), (2, 2.0)]
    entries = place.entries()
    assert [entry["op"] for entry in entries if entry["op"] in ("start", "resume", "finish")] == [
        "start", "finish", "resume", "finish", "resume", "finish",
    ]  # fmt: skip
    numbered = [(entry["by"], entry["seq"]) for entry in entries]
    assert len(set(numbered)) == len(numbered)


def test_a_disabled_run_leaves_no_trace(place):
    """With `mode="disabled"` all code runs, values can be read back, and nothing is written anywhere."""
    before = sorted(path.name for path in place.folder.iterdir())
    out, err = place.run("""
        import runcast
        import tensorboard.summary
        with runcast.init(mode="disabled", config={"lr": 1}, sync_tensorboard=True, logdirs=["logs"]) as run:
            run.config.epochs = 3
            run.log({"loss": 1, "image": runcast.Image([[0]]) if False else "text"})
            run.summary["best"] = 1
            run.save("*.py"), run.watch("more"), run.drain()
            assert run.status() is None and runcast.run is run
            print(dict(run.config), dict(run.summary), run.id != "", run.disabled)
        assert runcast.run is None
    """)
    assert out == "{'lr': 1, 'epochs': 3} {'best': 1} True True\n"
    assert err == ""
    assert not place.store.exists()
    assert sorted(path.name for path in place.folder.iterdir()) == sorted([*before, "script.py"])


def test_wandbs_variables_are_fallbacks(place, monkeypatch):
    """WANDB_* name what runcast's own variables and arguments do not, and one line says which were taken."""
    for name, value in {
        "WANDB_PROJECT": "theirs", "WANDB_NAME": "name", "WANDB_RUN_ID": "abc", "WANDB_RUN_GROUP": "g",
        "WANDB_JOB_TYPE": "train", "WANDB_TAGS": "a, b", "WANDB_NOTES": "why", "RUNCAST_PROJECT": "ours",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    _, err = place.run("import runcast; runcast.init(job_type='eval')")
    record = place.end()
    assert (record.id, record.project, record.name, record.group, record.job_type, record.tags, record.notes) == (
        "abc", "ours", "name", "g", "eval", ("a", "b"), "why",
    )  # fmt: skip
    assert err.count("\n") == 1
    assert "WANDB_NAME, WANDB_RUN_ID, WANDB_TAGS, WANDB_NOTES, WANDB_RUN_GROUP" in err
    monkeypatch.setenv("WANDB_MODE", "disabled")
    place.run(
        "import runcast; assert runcast.init().disabled; runcast.finish(); assert not runcast.init(mode='offline', id='y').disabled"
    )
    assert len(place.runs) == 2


def test_runs_can_be_asked_for_by_tag_and_group(tmp_path):
    """A store answers only the runs that have all the tags, and are of the group."""
    with LocalStore(tmp_path) as store:
        for run, facts in {"a": {"tags": ["x", "y"]}, "b": {"tags": ["x"], "group": "g"}, "c": {}}.items():
            store.create(RunRecord(run, "p", run, "finished", 1.0, 2.0, facts=facts))
        asked = [RunQuery(tags=("x",)), RunQuery(tags=("x", "y")), RunQuery(group="g"), RunQuery(tags=("z",))]
        assert [{run.id for run in store.runs(query)} for query in asked] == [{"a", "b"}, {"a"}, {"b"}, set()]
