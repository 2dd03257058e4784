"""What becomes a run: trees as frameworks leave them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

REAL = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory, write) -> Path:
    """One folder of logs with a training of each kind."""
    from tensorboardX import SummaryWriter as XWriter
    from torch.utils.tensorboard import SummaryWriter

    logs = tmp_path_factory.mktemp("here") / "logs"
    with SummaryWriter(logs / "torch") as writer:
        writer.add_scalar("loss", 0.5, 1)
        writer.add_scalars("acc/both", {"train": 0.1, "val": 0.2}, 1)
        writer.add_hparams({"lr": 0.1, "layers": 3, "net": "wide"}, {"best": 0.9}, run_name="trial")
    with XWriter(str(logs / "x")) as writer:
        writer.add_scalar("loss", 0.5, 1)
        writer.add_scalars("acc", {"train": 0.1, "val": 0.2}, 1)
    for place in [
        "keras/train/events.out.tfevents.1690000000.lab.7.0.v2",
        "keras/validation/events.out.tfevents.1690000001.lab.7.1.v2",
        "ddp/rank0/events.out.tfevents.1690000010.lab.8.0",
        "ddp/rank_1/events.out.tfevents.1690000010.lab.9.0",
        "estimator/events.out.tfevents.1690000020.lab",
        "estimator/eval/events.out.tfevents.1690000030.lab",
        "sweep/a/events.out.tfevents.1690000040.lab.10.0",
        "sweep/b/events.out.tfevents.1690000041.lab.10.1",
        "sweep/test/events.out.tfevents.1690000042.lab.10.2",
        "nested/events.out.tfevents.1690000050.lab.11.0",
        "nested/other/events.out.tfevents.1690000060.lab.12.0",
    ]:
        write(logs / place, 3)
    (logs / "keras/train/plugins/profile/2023").mkdir(parents=True)
    (logs / "keras/train/plugins/profile/2023/lab.xplane.pb").write_bytes(b"a trace")
    (logs / "keras/train/graph.pbtxt").write_text("node {}")
    (logs / "keras/train/unrelated.txt").write_text("x")
    (logs / "traced").mkdir()
    (logs / "traced/lab.pt.trace.json").write_text("{}")
    (logs / "traced/projector_config.pbtxt").write_text('embeddings { tensor_path: "v/vectors.tsv" }')
    (logs / "traced/v").mkdir()
    (logs / "traced/v/vectors.tsv").write_text("1\t2\n")
    return logs


SOURCES = {
    "torch": {".", "acc_both_train", "acc_both_val", "trial"},
    "x": {".", "acc/train", "acc/val"},
    "keras": {"train", "validation"},
    "ddp": {"rank0", "rank_1"},
    "estimator": {".", "eval"},
    "sweep/a": {"."},
    "sweep/b": {"."},
    "sweep/test": {"."},
    "nested": {"."},
    "nested/other": {"."},
    "traced": set(),
}


def planned(sync, *words: object) -> dict[str, list[str]]:
    """What a dry run says: the files of each run, by name, where they would stand in it."""
    return {
        run["name"]: [file["to"] for file in run["files"]] for run in sync.json(*words, "--dry-run")["runs"]
    }


def sources(files: list[str]) -> set[str]:
    """The sources of a run's event files."""
    return {"/".join(file.split("/")[2:-1]) or "." for file in files if "tfevents" in file}


def test_what_belongs_together_is_one_run(sync, logs: Path) -> None:
    """Parts, ranks, `add_scalars` children and trials are sources of one run; siblings are runs of their own; nothing is written."""
    found = planned(sync, logs)
    assert {name: sources(files) for name, files in found.items()} == SOURCES
    assert {path for path in found["keras"] if "tfevents" not in path} == {
        "files/keras/train/graph.pbtxt",
        "files/keras/train/plugins/profile/2023/lab.xplane.pb",
    }
    assert set(found["traced"]) == {
        "files/traced/lab.pt.trace.json",
        "files/traced/projector_config.pbtxt",
        "files/traced/v/vectors.tsv",
    }
    assert not sync.folder.exists()
    code, out, _ = sync(logs, "--dry-run")
    assert code == 0
    assert "keras: 4 files" in out
    assert "├─ train: 1 event file" in out
    assert "begun 2023-07-2" in out
    assert " on lab\n" in out
    # The shell may name the folders; patterns choose among them.
    assert planned(sync, *sorted(logs.iterdir())) == found
    assert planned(sync, logs / "*") == found
    kept = planned(sync, logs, "--include", "sweep/*", "--exclude", "test")
    assert set(kept) == {"sweep/a", "sweep/b"}
    assert set(planned(sync, logs / "keras" / "train")) == {"keras/train"}
    assert set(planned(sync, logs / "keras" / "train", logs / "keras" / "validation")) == {"keras"}


def test_the_layout_can_be_asked_for(sync, logs: Path) -> None:
    """`--run-per-dir` makes each folder a run, `--one-run` all of them one."""
    per_folder = planned(sync, logs, "--run-per-dir")
    assert len(per_folder) == sum(max(1, len(each)) for each in SOURCES.values())
    assert all(sources(files) <= {"."} for files in per_folder.values())
    (whole,) = planned(sync, logs, "--one-run").items()
    assert whole[0] == "logs"
    assert sources(whole[1]) == {
        "/".join(filter(None, (name, source.removeprefix("."))))
        for name, several in SOURCES.items()
        for source in several
    }
    (several,) = planned(sync, logs / "sweep" / "a", logs / "keras", logs / "x", "--one-run").values()
    assert {path.split("/")[1] for path in several} == {"logs", "a"}


def test_archives_are_planned_as_their_folders_are(sync, logs: Path, tmp_path: Path) -> None:
    """A zip, a tar and a compressed tar of a folder hold the runs that the folder holds."""
    for form in ("zip", "tar", "gztar", "xztar"):
        archive = shutil.make_archive(str(tmp_path / "copy"), form, logs)
        found = planned(sync, archive)
        assert {name: sources(files) for name, files in found.items()} == SOURCES, form
        assert "files/traced/v/vectors.tsv" in found["traced"]


def test_real_trees(sync) -> None:
    """Trees that strangers' trainings left: several writers in one folder, `add_scalars`, many restarts."""
    found = planned(sync, REAL / "mac-pytorch", REAL / "linux-many-restarts")
    assert {name: sources(files) for name, files in found.items()} == {
        "mac-pytorch/only_funcs": {".", "run_14h_tanx", "run_14h_xcosx", "run_14h_xsinx"},
        "linux-many-restarts/clipweight_64_0.001": {"."},
        "linux-many-restarts/clipweight_64_0.5": {"."},
    }
    text = json.dumps(sync.json(REAL, "--dry-run"))
    assert "mac-host" in text
