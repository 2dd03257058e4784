"""Each example of W&B's TensorBoard page, as a script whose only change is the import."""

from __future__ import annotations

import pytest

from runcast.store.local import LocalStore


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
