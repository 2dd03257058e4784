from __future__ import annotations

import os
import re

import pytest


def test_a_run_from_python(place):
    """With one statement a script is a run: named, in the folder's project, with its numbers recorded at its end."""
    out, err = place.run("""
        import runcast
        with runcast.init(config={"lr": 0.1}) as run:
            assert runcast.run is run
            run.config.epochs = 3
            run.name = "renamed"
            for step in range(5):
                run.log({"loss": step / 2, "by": {"layer": 1}})
        assert runcast.run is None
        print(run.id, run.state)
    """)
    assert err == ""
    assert out.split() == [place.runs[0].name, "finished"]
    (start,) = place.entries("start")
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d+", start["name"])
    assert (start["project"], start["cwd"]) == ("project", str(place.folder))
    assert start["facts"]["command"].endswith("script.py")
    end = place.end()
    assert (end.state, end.name, end.config) == ("finished", "renamed", {"lr": 0.1, "epochs": 3})
    assert place.values("loss") == [(step, step / 2) for step in range(5)]
    assert place.values("by/layer") == [(step, 1.0) for step in range(5)]


def test_starting_is_fast_and_light(place):
    """`import runcast` loads nothing; a run starts in a moment and brings no framework or database into the training."""
    out, _ = place.run("""
        import sys, time
        before = set(sys.modules)
        import runcast
        loaded = {name.split(".")[0] for name in set(sys.modules) - before}
        print(loaded - sys.stdlib_module_names)
        print(sorted(name for name in sys.modules if name.startswith("runcast.")))
        began = time.perf_counter()
        run = runcast.init(sync_tensorboard=True)
        print(time.perf_counter() - began < 2.0)
        run.log({"loss": 1.0})
        heavy = {"numpy", "torch", "tensorflow", "sqlalchemy", "matplotlib", "tensorboard", "google.protobuf", "IPython"}
        print(heavy & sys.modules.keys())
    """)
    assert out.splitlines() == ["{'runcast'}", "[]", "True", "set()"]


def test_steps_of_run_log(place):
    """Steps count by themselves, go on from a given one, and follow `global_step`, which is no series itself."""
    place.run("""
        import runcast
        run = runcast.init()
        run.log({"a": 0})
        run.log({"a": 1})
        run.log({"a": 2}, step=10)
        run.log({"a": 3})
        run.log({"a": 4, "global_step": 20})
    """)
    assert place.end().state == "finished"
    assert place.values("a") == [(0, 0.0), (1, 1.0), (10, 2.0), (11, 3.0), (20, 4.0)]
    with pytest.raises(ValueError, match="unpack"):
        place.values("global_step")


def test_step_is_ignored_while_tensorboard_is_synced(place):
    """As with W&B: `step=` is ignored and that is said once; `global_step` in the dict is honoured."""
    _, err = place.run("""
        import runcast
        run = runcast.init(sync_tensorboard=True)
        run.log({"a": 0}, step=7)
        run.log({"a": 1}, step=8)
        run.log({"a": 2, "global_step": 30})
    """)
    assert err.count("is ignored while TensorBoard is synced") == 1
    assert place.end().state == "finished"
    assert place.values("a") == [(0, 0.0), (1, 1.0), (30, 2.0)]


def test_values_that_are_no_numbers(place):
    """What cannot be charted is left out and said once a key; training goes on."""
    _, err = place.run("""
        import runcast
        class Odd:
            def item(self):
                raise SystemError("what?")
        run = runcast.init()
        for step in range(3):
            run.log({"good": step, "odd": Odd(), "some": {1: object}, "none": None, 3: 4})
    """)
    lines = [line.partition(" (")[0] for line in err.splitlines() if "is left out" in line]
    assert lines == [
        f"runcast: run.log takes numbers, texts, images, arrays and tables; {what} and is left out"
        for what in ("'odd' is a Odd", "'some/1' is a type", "'none' is a NoneType")
    ]
    assert place.end().state == "finished"
    assert place.values("good") == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert place.values("3") == [(0, 4.0), (1, 4.0), (2, 4.0)]


def test_log_never_raises_into_a_training(place):
    """What is no dict is left out and said so, and so is what comes after the end of the run."""
    _, err = place.run("""
        import runcast
        run = runcast.init()
        run.log({"good": 1})
        run.log([1])
        run.log("loss")
        run.finish()
        run.log({"good": 2})
    """)
    assert err.count("run.log takes a dict, not a list; it is left out") == 1
    assert err.count("after the end of") == 1
    assert place.values("good") == [(0, 1.0)]


def test_a_new_run_finishes_the_one_before(place):
    """One run at a time: init ends the run before it; its late calls do nothing and hurt nobody."""
    place.run("""
        import runcast
        first = runcast.init(name="first")
        second = runcast.init(name="second")
        assert (first.state, second.state, runcast.run) == ("finished", "running", second)
        assert first.finish("failed")
        first.log({"loss": 1})
        first.mark_cell("begin", 1)
        assert first.drain()
        runcast.log({"loss": 2})
        runcast.finish()
        runcast.finish()
        try:
            runcast.log({"loss": 3})
        except runcast.errors.RuncastError as error:
            assert "needs a run" in str(error)
        else:
            raise AssertionError
    """)
    assert [place.entries("start", run)[0]["name"] for run in (0, 1)] == ["first", "second"]
    assert len(place.entries("finish", 0)) == 1
    assert place.values("loss", 1) == [(0, 2.0)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_forked_children(place):
    """A forked child can neither end its parent's run nor write into its log, but what its writers write is recorded."""
    out, err = place.run(
        """
        import multiprocessing, os, sys
        import runcast
        from tensorboard.summary import Writer

        def train():
            assert not run.owned
            run.log({"loss": -1})
            run.finish("failed")
            writer = Writer("logs/child")
            for step in range(10):
                writer.add_scalar("loss", step, step)
            writer.close()

        run = runcast.init(sync_tensorboard=True)
        run.log({"own": 1})
        child = multiprocessing.get_context("fork").Process(target=train)
        child.start()
        child.join(30)
        print(child.exitcode, run.state)
        pid = os.fork()
        if pid == 0:
            sys.exit(5)  # with atexit handlers and all
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), run.state)
        run.log({"own": 2})
        """
    )
    assert (out.split(), err) == (["0", "running", "5", "running"], "")
    (writer,) = place.entries("writer")
    assert writer["by"].startswith("child:")
    assert writer["source"] == "logs/child"
    assert len(place.entries("finish")) == 1
    assert place.end().state == "finished"
    assert place.values("own") == [(0, 1.0), (1, 2.0)]
    assert place.values("loss") == [(step, float(step)) for step in range(10)]


def test_a_writer_that_stays_open_across_two_runs(place):
    """It appears in both, whole in the second; what comes after the first run's end is not in the first."""
    place.run("""
        import runcast
        from tensorboard.summary import Writer
        writer = Writer("logs")
        first = runcast.init(sync_tensorboard=True)
        writer.add_scalar("loss", 0, 0)
        assert first.finish()
        writer.add_scalar("loss", 1, 1)
        second = runcast.init(sync_tensorboard=True)
        writer.add_scalar("loss", 2, 2)
        writer.close()
    """)
    assert [
        (entry["source"], entry["adopted"]) for run in (0, 1) for entry in place.entries("writer", run)
    ] == [
        ("logs", True),
        ("logs", True),
    ]
    assert place.end(1).state == "finished"
    assert place.values("loss", 0) == [(0, 0.0)]
    assert place.values("loss", 1) == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_without_sync_nothing_is_captured(place):
    """A run that does not sync TensorBoard records what it logs itself and no writers."""
    place.run("""
        import runcast
        from tensorboard.summary import Writer
        run = runcast.init()
        Writer("logs").close()
        run.finish()
    """)
    assert place.entries("writer") == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_with_a_run_of_its_own(place):
    """A forked child may start a run; its writers are that run's, and the parent's run goes on."""
    out, err = place.run("""
        import multiprocessing
        import runcast
        from tensorboard.summary import Writer

        def train():
            with runcast.init(name="child", sync_tensorboard=True):
                Writer("child").close()

        run = runcast.init(name="parent", sync_tensorboard=True)
        child = multiprocessing.get_context("fork").Process(target=train)
        child.start()
        child.join(60)
        print(child.exitcode)
        Writer("parent").close()
    """)
    assert (out.split(), err) == (["0"], "")
    assert [[entry["source"] for entry in place.entries("writer", run)] for run in (0, 1)] == [
        ["parent"],
        ["child"],
    ]
    assert [place.end(run).state for run in (0, 1)] == ["finished", "finished"]


def test_the_runs_own_files_are_no_writers(place):
    """Patching in the middle of a run does not take the run's own event file for one of the user's."""
    place.run("""
        import runcast
        run = runcast.init()
        run.log({"loss": 1.0})
        runcast.tensorboard.patch()
    """)
    assert place.entries("writer") == []
    assert place.end().state == "finished"
    assert place.values("loss") == [(0, 1.0)]


def test_patch_says_more(place):
    """runcast.tensorboard.patch names a root and keeps event files or not, before the run or in it; twice is as once."""
    place.run("""
        import runcast
        from tensorboard.summary import Writer
        runcast.tensorboard.patch(root_logdir="logs", save=False)
        runcast.tensorboard.patch(root_logdir="logs", save=False)
        Writer("logs/early").close()
        run = runcast.init()
        Writer("elsewhere").close()
        runcast.tensorboard.patch(root_logdir="more/logs")
        Writer("more/logs/late").close()
        runcast.tensorboard.unpatch()
        runcast.tensorboard.unpatch()
        Writer("not/seen").close()
    """)
    assert [(entry["root"], entry["path"], entry["save"]) for entry in place.entries("watch")] == [
        ("logs", str(place.folder / "logs"), False),
        ("logs~2", str(place.folder / "more/logs"), False),
    ]
    assert [(entry["root"], entry["source"], entry["save"]) for entry in place.entries("writer")] == [
        ("logs", "early", False),
        ("cwd", "elsewhere", False),
        ("logs~2", "late", False),
    ]


def test_the_users_modules_do_not_reach_the_recorder(place):
    """A random.py, types.py or numpy.py beside the script, or on PYTHONPATH by that folder, does not break recording."""
    for name in ("types", "numpy", "random", "sqlalchemy", "runcast_", "secrets", "queue"):
        (place.folder / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    source = """
        import sys, os
        sys.path.remove(os.getcwd())
        os.environ["PYTHONPATH"] += os.pathsep + os.getcwd() + os.pathsep
        import runcast
        run = runcast.init()
        run.log({"loss": 1.0})
        assert run.drain(30.0)
    """
    _, err = place.run(source)
    assert err == ""
    assert place.end().state == "finished"


def test_bad_input(place):
    """A file for a folder, a config that is no mapping, a store that cannot be made: one clear line, no half-made run."""
    (place.folder / "file").write_text("")
    out, _ = place.run("""
        import runcast
        from runcast.errors import RuncastError
        run = runcast.init()
        for arguments in (
            {"logdirs": ["file"]},
            {"config": 3},
            {"project": " "},
            {"dir": "file/store"},
        ):
            try:
                runcast.init(**arguments)
            except RuncastError as error:
                print(type(error).__name__, error)
            else:
                raise AssertionError(arguments)
    """)
    lines = out.splitlines()
    assert lines[0].startswith(f"LogdirError the logdir {place.folder / 'file'} is a file, not a folder")
    assert lines[1].startswith("SettingsError config is a int; it must be a mapping")
    assert lines[2].startswith("SettingsError the setting 'project' given as an argument is ' '")
    assert lines[3].startswith(f"StoreError cannot make the run's folder {place.folder / 'file'}")
    assert "RUNCAST_DIR" in lines[3]
    assert len(place.runs) == 1


def test_a_journal_that_cannot_be_written_for_a_while(place):
    """Training goes on, the user reads one line, and what could not be noted is noted once that works again."""
    _, err = place.run("""
        import os
        import runcast
        run = runcast.init()
        journal = run.folder / "run.jsonl"
        saved = journal.read_bytes()
        journal.unlink()
        journal.mkdir()
        run.config["a"] = 1
        run.config["b"] = 2
        journal.rmdir()
        journal.write_bytes(saved)
        run.config["c"] = 3
        run.log({"loss": 1.0})
    """)
    assert err.count("cannot write the run's journal") == 1
    assert "Training goes on" in err
    assert place.end().config == {"a": 1, "b": 2, "c": 3}


def test_watching_a_logdir(place):
    """A LOGDIR that is not there yet is watched: what other processes write there is recorded by the end of the cell."""
    out, _ = place.run("""
        import subprocess, sys, time
        import runcast
        run = runcast.init(logdirs=["logs", "logs"])
        program = "from tensorboard.summary import Writer; w = Writer('logs/train'); w.add_scalar('loss', 5, 1); w.close()"
        subprocess.run([sys.executable, "-c", program], check=True)
        print(run.drain(30.0))
        print([file["recorded"] == file["size"] > 0 for file in run.status(10.0)["files"] if "logs/train" in file["path"]])
    """)
    assert out.split() == ["True", "[True]"]
    assert [(entry["root"], entry["path"]) for entry in place.entries("watch")] == [
        ("logs", str(place.folder / "logs"))
    ]
    assert place.end().state == "finished"
    assert place.values("loss") == [(1, 5.0)]


def test_talking_to_the_recorder(place):
    """Status, messages and questions reach the recorder and come back."""
    out, _ = place.run("""
        import time
        import runcast
        run = runcast.init()
        seen = []
        leave = run.on_message(lambda header, buffers: seen.append(header["kind"]))
        run.log({"loss": 1.0})
        print(run.drain(30.0))
        status = run.status(10.0)
        print(status["run"]["id"] == run.id, [file["lag"] for file in status["files"] if "/log/" in file["path"]])
        header, (png, html) = run.request("static", 60.0)
        print(png[:4], "drained" in seen)
        leave()
    """)
    assert out.splitlines() == ["True", "True [0]", "b'\\x89PNG' True"]
