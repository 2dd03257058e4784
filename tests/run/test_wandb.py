"""Each example of W&B's TensorBoard page, as a script whose only change is the import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import runcast
from runcast.store.local import LocalStore
from runcast.store.shapes import run_shape


@pytest.fixture
def series(place):
    """The series of the latest run, `source/tag` with their number of points."""

    def read(run=-1):
        place.end(run)
        with LocalStore(place.store) as store:
            return {
                (each.source, each.tag): each.count
                for each in store.series(place.runs[run].name)
                if each.source != "system"
            }

    return read


def test_sync_tensorboard(place, series):
    """`wandb.init(config=…, sync_tensorboard=True)` before the writer: its scalars are in the run, with the config."""
    place.run("""
        import runcast as wandb
        from torch.utils.tensorboard import SummaryWriter
        with wandb.init(project="tensorboard", entity="me", config={"lr": 0.1}, sync_tensorboard=True) as run:
            writer = SummaryWriter("runs/a")
            for step in range(5):
                writer.add_scalar("loss", 1 / (step + 1), step)
            writer.close()
        assert wandb.run is None
    """)
    assert series() == {("runs/a", "loss"): 5}
    assert place.end().config == {"lr": 0.1}


def test_custom_metrics_with_a_global_step(place, series):
    """`run.log({"custom": 0.8, "global_step": n})` beside a synced writer is at that step."""
    place.run("""
        import runcast as wandb
        run = wandb.init(sync_tensorboard=True)
        wandb.config.update({"a": 1}, allow_val_change=True)
        wandb.log({"custom": 0.8, "global_step": 7})
        run.log({"custom": 0.9, "global_step": 9}, commit=True)
        wandb.summary["best"] = 0.9
        wandb.finish()
    """)
    assert place.values("custom") == [(7, 0.8), (9, 0.9)]
    assert place.end().config == {"a": 1}
    assert place.end().summary == {"best": 0.9}


def test_root_logdir(place, series):
    """`wandb.tensorboard.patch(root_logdir=…)` before `init` names sources relative to that folder."""
    place.run("""
        import runcast as wandb
        from torch.utils.tensorboard import SummaryWriter
        wandb.tensorboard.patch(root_logdir="logs")
        run = wandb.init()
        for name in ("train", "validation"):
            with SummaryWriter(f"logs/{name}") as writer:
                writer.add_scalar("loss", 1.0, 0)
        run.finish()
        wandb.tensorboard.unpatch()
    """)
    assert series() == {("train", "loss"): 1, ("validation", "loss"): 1}


def test_patch_for_tensorboard_x_only(place, series):
    """`patch(save=False, tensorboard_x=True)` records tensorboardX's scalars and keeps no event files of it."""
    place.run("""
        import runcast as wandb
        import tensorboardX
        wandb.tensorboard.patch(save=False, tensorboard_x=True)
        wandb.init(project="x")
        with tensorboardX.SummaryWriter("logs") as writer:
            writer.add_scalar("loss", 1.0, 0)
            writer.add_text("note", "not kept", 0)
        wandb.finish()
    """)
    assert series() == {("logs", "loss"): 1}


def test_pytorch_profiler_traces(place):
    """`wandb.save(glob.glob("runs/*.pt.trace.json")[0], base_path="runs")` keeps the trace under its name."""
    place.run("""
        import glob
        import runcast as wandb
        from torch.profiler import ProfilerActivity, profile, tensorboard_trace_handler
        run = wandb.init()
        with profile(activities=[ProfilerActivity.CPU], on_trace_ready=tensorboard_trace_handler("runs", "w")):
            pass
        assert run.save(glob.glob("runs/*.pt.trace.json")[0], base_path="runs")
        assert wandb.save(glob.glob("runs/*.pt.trace.json")[0], base_path="runs", policy="now")
        run.finish()
    """)
    place.end()
    with LocalStore(place.store) as store:
        (trace,) = [file for file in store.files(place.runs[-1].name) if file.path.startswith("saved/")]
    assert trace.path.startswith("saved/w.")
    assert trace.size == sum(path.stat().st_size for path in (place.folder / "runs").iterdir())


def test_media(place, series):
    """`wandb.Image`, `Histogram` and `Table` may be logged as they are."""
    place.run("""
        import numpy as np
        import runcast as wandb
        with wandb.init() as run:
            run.log({
                "image": wandb.Image(np.zeros((4, 4, 3)), caption="black"),
                "histogram": wandb.Histogram(np.arange(10)),
                "table": wandb.Table(columns=["a"], data=[[1]]),
            })
    """)
    assert series() == {("log", tag): 1 for tag in ("image", "image/caption", "histogram", "table")}


def test_arguments_of_wandb_are_taken(place):
    """Every argument that W&B's `init` knows is taken; what has no effect is told once each; a misspelt one is an error."""
    _, err = place.run("""
        import runcast as wandb
        for _ in range(2):
            wandb.init(
                entity="me", project="p", dir=None, id=None, name="n", notes="x", tags=["a"], config={"a": 1, "b": 2},
                config_exclude_keys=["b"], config_include_keys=None, allow_val_change=True, group="g", job_type="j",
                mode="online", force=False, anonymous="never", reinit=True, resume=None, resume_from=None, fork_from=None,
                save_code=True, tensorboard=None, sync_tensorboard=False, monitor_gym=False, magic=None,
                settings={"start_method": "fork", "run_name": "unused"},
            )
        assert wandb.run is wandb.init(reinit=False)
        wandb.finish()
        try:
            wandb.init(proyect="p")
        except wandb.errors.SettingsError as error:
            assert "'project'" in str(error)
    """)
    assert err.count("entity") == 1
    assert err.count("start_method") == 1
    assert place.end().config == {"a": 1}
    assert len(place.runs) == 2


def test_names_of_wandb_are_known(place):
    """Logging in, settings objects, and what W&B's users ask of a run: there, and true; what has no effect is told once."""
    _, err = place.run("""
        import os, pickle
        import runcast as wandb
        assert wandb.login(key="secret-key", relogin=True, anonymous="never", host="https://example.org", timeout=5)
        assert wandb.login("secret-key", verify=True)
        run = wandb.init(
            project="p",
            settings=wandb.Settings(run_name="named", console="off", disable_git=True, _disable_stats=True, start_method="fork", x_label="a"),
        )
        assert run.name == "named"
        assert (run.entity, run.path, run.project_name()) == ("", f"p/{run.id}", "p")
        assert run.url is None and run.get_url() is None and run.sweep_id is None and run.offline
        assert (run.step, run.starting_step, run.resumed) == (0, 0, False) and run.start_time > 1e9
        model = object()
        for _ in range(2):
            run.watch(model, log="all")
            wandb.watch(model, None, log_freq=10)
            wandb.unwatch(model)
            run.mark_preempting()
            run.log_code(".")
            run.alert("Low accuracy", "below 0.1", level=wandb.AlertLevel.ERROR, wait_duration=300)
        wandb.alert(title="Other", level="INFO")
        wandb.log(data={"page": wandb.Html("<b>bold</b>")})
        assert run.save() == [] and os.listdir(run.dir) == []
        wandb.finish(exit_code=3, quiet=True)
    """)
    told = [
        "login()",
        "start_method, x_label have no effect",
        "run.watch(model)",
        "run.mark_preempting",
        "run.log_code",
    ]
    told += [
        "run.save() without a path",
        "alert: Low accuracy: below 0.1",
        "alert: Other",
        "nobody is sent them",
    ]
    assert {text: err.count(text) for text in told} == dict.fromkeys(told, 1)
    assert "secret" not in err
    assert "nothing matches" not in err
    assert place.end().state == "failed"
    assert place.entries("finish")[0]["error"] == "exit status 3"
    assert set(place.entries("start")[0]["left_out"]) == {"git", "packages", "system"}
    assert (place.runs[0] / "saved/html/page/0.html").read_text() == "<b>bold</b>"
    assert "secret" not in (place.runs[0] / "run.jsonl").read_text()


@pytest.mark.parametrize(
    ("name", "says"),
    [("Artifact", "run.save"), ("use_artifact", "run.folder"), ("PublicApi", "runcast.Api"), ("sweep", "group"), ("plot", "Matplotlib"),
     ("keras", "sync_tensorboard"), ("log_artifact", "run.save"), ("util", "resume='auto'")],
)  # fmt: skip
def test_what_is_not_there_is_said_by_name(name, says):
    """Names that W&B has and runcast has not are told of with what there is instead; they are not there for `hasattr` either."""
    with pytest.raises(AttributeError, match=f"runcast.{name} is W&B's, and not here: .*{re.escape(says)}"):
        getattr(runcast, name)
    assert not hasattr(runcast, name)


def test_what_a_run_has_not_is_said_by_name():
    """The same holds for a run, and for errors; a disabled run has a folder as long as it goes on."""
    run = runcast.init(mode="disabled")
    with pytest.raises(AttributeError, match=r"run\.log_artifact is W&B's, and not here: .*run\.save"):
        run.log_artifact("model.pt", type="model")
    with pytest.raises(AttributeError, match="a run has no 'lgo'"):
        _ = run.lgo
    with pytest.raises(AttributeError, match="no 'CommError'; RuncastError is the base"):
        _ = runcast.errors.CommError
    run.define_metric("loss", summary="min")
    folder = Path(run.dir)
    assert folder.is_dir()
    run.finish()
    assert not folder.exists()


def test_defined_metrics(place):
    """`define_metric` decides what of a metric is in the summary, at once and in `runcast show`, and at which step it is logged."""
    out, err = place.run("""
        import runcast as wandb
        from torch.utils.tensorboard import SummaryWriter
        run = wandb.init(sync_tensorboard=True)
        epoch = wandb.define_metric("epoch")
        run.define_metric("val/*", step_metric=epoch, summary="min, mean")
        run.define_metric("val/accuracy", summary="best,last", goal="maximize", step_metric="epoch", hidden=True)
        run.define_metric("secret", summary="none")
        run.define_metric("train/loss", summary="max,first")
        run.define_metric("free", step_metric="time")
        with SummaryWriter("logs/train") as writer:
            for step, value in enumerate([4.0, 9.0, 5.0]):
                writer.add_scalar("loss", value, step)
        for number, loss in enumerate([3.0, 1.0, float("nan"), 2.0]):
            run.log({"train_loss": loss})
            run.log({"val/loss": loss, "val/accuracy": 1 / loss, "epoch": 10 * number, "secret": 1, "time": 0.5, "free": 1})
        run.log({"val/loss": 2.0})
        try:
            run.define_metric("x", summary="median")
        except wandb.errors.SettingsError as error:
            print(error)
        print(run.summary["val/loss"], run.summary["val/accuracy"], "secret" in run.summary, run.summary["epoch"])
    """)
    first, second = out.splitlines()
    assert (
        first
        == "define_metric(summary='median'): 'median' is none of min, max, mean, first, last, best, copy, none"
    )
    expected = {"val/loss": {"min": 1.0, "mean": 2.0}, "val/accuracy": {"best": 1.0, "last": 0.5}}
    assert second == f"{expected['val/loss']} {expected['val/accuracy']} False 30.0"
    assert err.count("hidden=") == err.count("charts show the latest") == err.count("which is no step") == 1
    run = place.end()
    with LocalStore(place.store) as store:
        found = run_shape(run, store.series(run.id), store)["summary"]
    expected |= {"logs/train/loss": {"max": 9.0, "first": 4.0}, "epoch": 30.0, "free": 1.0, "time": 0.5}

    assert found == expected | {"train_loss": 2.0}
    assert [step for step, _ in place.values("val/loss")] == [0, 10, 20, 30]
    assert [step for step, _ in place.values("free")] == [1, 3, 5, 7]
    shown = subprocess.run(
        [sys.executable, "-m", "runcast", "show", "latest"],
        env=place.environment,
        capture_output=True,
        text=True,
    )
    assert "val/loss.min = 1" in shown.stdout
    assert "logs/train/loss.first = 4" in shown.stdout


def test_the_folder_of_a_run(place):
    """What is in `run.dir` when the run ends is kept, under the path that it has there; event files in it are recorded."""
    place.run("""
        import os
        import runcast as wandb
        from torch.utils.tensorboard import SummaryWriter
        run = wandb.init(sync_tensorboard=True)
        os.makedirs(os.path.join(run.dir, "sub"))
        for path in ("model.h5", "sub/a.txt"):
            open(os.path.join(wandb.run.dir, path), "w").write(path)
        wandb.save(os.path.join(run.dir, "sub", "a.txt"))
        with SummaryWriter(os.path.join(run.dir, "tb")) as writer:
            writer.add_scalar("loss", 1.0, 0)
    """)
    run = place.end()
    with LocalStore(place.store) as store:
        kept = {
            file.path: file.size
            for file in store.files(run.id)
            if file.path.startswith("saved/") and "tfevents" not in file.path
        }
    assert kept == {"saved/model.h5": 8, "saved/sub/a.txt": 9}
    assert place.values("loss") == [(0, 1.0)]
