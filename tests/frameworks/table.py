"""Compare what each of `trainings/` writes with what is recorded of it; as a program, print the comparison in Markdown.

.envs/frameworks/bin/python tests/frameworks/table.py [TRAINING …]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import runcast
from runcast.store.local import LocalStore
from runcast.store.protocol import RunQuery

HERE = Path(__file__).resolve().parent
TRAININGS = sorted(path.stem for path in (HERE / "trainings").glob("[!_]*.py"))
PATIENCE = 300.0
WAYS = [("before", "same"), ("after", "same"), ("before", "child"), ("after", "child")]
PACKAGES = (
    "tensorflow-cpu",
    "keras",
    "torch",
    "tensorboard",
    "tensorboardX",
    "lightning",
    "transformers",
    "stable-baselines3",
    "jax",
    "flax",
    "clu",
)

Series = dict[tuple[str, str], list[tuple[int, float]]]
"""The (step, value) of scalars, by folder and tag."""


@dataclass
class Outcome:
    """What a training has written, as TensorBoard reads it, and what became of it."""

    state: str
    written: Series
    kept: Series
    """The same, as TensorBoard reads it in the run's copies."""
    recorded: Series
    """The points that count, as the store gives them."""
    copies: dict[str, bytes]
    originals: dict[str, bytes]
    """The event files' bytes, by name."""
    output: str

    @property
    def is_whole(self):
        """Whether everything that was written is recorded, once, and nothing else."""
        return (
            bool(self.written) and self.recorded == counting(self.written) and self.copies == self.originals
        )


def perform(training, when, where, folder):
    """Run a training in an empty folder, with a run around it."""
    work, store = folder / "work", folder / "store"
    work.mkdir()
    environment = {
        **os.environ,
        "RUNCAST_DIR": str(store),
        "RUNCAST_FINISH_TIMEOUT": "120",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    done = subprocess.run(
        [sys.executable, HERE / "perform.py", training, when, where],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout)
    with LocalStore(store) as local:
        runs = local.runs(RunQuery())
        if len(runs) != 1:
            logs = [path.read_text() for path in (store / "runs").glob("*/recorder.log")]
            raise RuntimeError("\n".join([done.stdout, *logs, f"there are {len(runs)} runs, not one"]))
        run = runs[0]
        recorded = {
            (series.source, series.tag): points(local, run.id, series)
            for series in local.series(run.id)
            if series.plugin == "scalars" and series.root != "own"
        }
    copies = store / "runs" / run.id / "files"
    return Outcome(
        run.state, written(work), written(copies), recorded, files(copies), files(work), done.stdout
    )


def of_store(folder, run):
    """The run itself, how many values it has of each plugin, source and tag, and its files' bytes, by their paths below the root."""
    with LocalStore(folder) as store:
        counts = {(each.plugin, each.source, each.tag): each.count for each in store.series(run)}
        kept = {
            file.path.split("/", 2)[2]: store.read(run, file.path, 0, 1 << 30)
            for file in store.files(run)
            if file.path.startswith("files/")
        }
        return store.run(run), counts, kept


def of_folder(folder):
    """The same of a folder, as `runcast.read` finds it."""
    counts = {(tag.plugin, tag.source, tag.tag): tag.count for tag in runcast.read(folder).tags()}
    paths = [*event_files(folder), *folder.rglob("plugins/profile/*/*")]
    return counts, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def points(store, run, series):
    found = store.points(run, series.root, series.source, series.tag)
    return sorted(zip(found.step.tolist(), found.value.tolist(), strict=True))


def written(work):
    """What TensorBoard's own reader finds in the event files, one by one."""
    found = defaultdict(list)
    for path in event_files(work):
        reader = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
        reader.Reload()
        folder = path.parent.relative_to(work).as_posix()
        for tag in reader.Tags()["scalars"]:
            found[folder, tag] += [(event.step, event.value) for event in reader.Scalars(tag)]
        for tag in reader.Tags()["tensors"]:
            if reader.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                values = [
                    (event.step, make_ndarray(event.tensor_proto).item()) for event in reader.Tensors(tag)
                ]
                found[folder, tag] += values
    return dict(found)


def counting(series):
    """The points that count: of two at one step, the later (the Trainer of Transformers logs its last epoch twice)."""
    return {key: sorted(dict(values).items()) for key, values in series.items()}


def event_files(folder):
    return sorted(path for path in folder.rglob("*tfevents*") if path.is_file())


def files(folder):
    return {path.name: path.read_bytes() for path in event_files(folder)}


def count(series):
    return sum(map(len, series.values()))


def cell(training, when, where):
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = perform(training, when, where, Path(folder))
        except RuntimeError as error:
            return f"failed: {str(error).strip().splitlines()[-1]}"
        numbers = f"{count(outcome.written)} / {count(outcome.kept)}"
        return numbers if outcome.is_whole else f"**{numbers}**"


def main(trainings):
    versions = [f"{package} {metadata.version(package)}" for package in PACKAGES]
    print(f"Python {sys.version.split()[0]}, {', '.join(versions)}. Points written / recorded.\n", flush=True)
    heads = [f"{'the same process' if where == 'same' else 'a child'}, {when} `init`" for when, where in WAYS]
    print(f"| training | {' | '.join(heads)} |\n|---|{'---:|' * len(WAYS)}", flush=True)
    for training in trainings:
        print(f"| {training} | {' | '.join(cell(training, *way) for way in WAYS)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or TRAININGS)
