"""Where logs are read from, as they grow, and when they are damaged."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

import runcast
from runcast.errors import LogdirError, RuncastError
from runcast.logdir import Skipped


def scalars(folder, steps, tag="loss"):
    with SummaryWriter(str(folder)) as writer:
        for step in steps:
            writer.add_scalar(tag, step, step)


def test_a_folder_names_its_sources_as_tensorboard_does(tmp_path):
    """Sources are the folders below, `.` is the folder itself; opening reads nothing."""
    scalars(tmp_path, [1])
    scalars(tmp_path / "a" / "b", [1, 2])
    (tmp_path / "a" / "notes.txt").write_text("x")
    logs = runcast.read(tmp_path)
    assert logs.sources == [".", "a/b"]
    assert [(file.source, file.size > 0) for file in logs.files] == [(".", True), ("a/b", True)]
    assert repr(logs).startswith(f"<Logdir '{tmp_path}': 2 sources, 2 files, ")


def test_one_file(tmp_path):
    """An event file by itself, whatever its name, is a place with one source."""
    scalars(tmp_path, [1, 2])
    (file,) = tmp_path.iterdir()
    renamed = tmp_path / "log.bin"
    shutil.copy(file, renamed)
    for path in (file, str(renamed)):
        logs = runcast.read(path)
        assert (logs.sources, len(logs.files), logs.scalars("loss").step.tolist()) == (["."], 1, [1, 2])


def test_patterns_and_lists(tmp_path, monkeypatch):
    """Of several paths the sources are named below what they have in common, of a pattern below its fixed part."""
    for name in ("a", "b", "c"):
        scalars(tmp_path / "runs" / name / "train", [1])
    monkeypatch.chdir(tmp_path)
    assert runcast.read("runs/[ab]/train").sources == ["a/train", "b/train"]
    assert runcast.read("runs/a*/train").sources == ["a/train"]
    assert runcast.read("runs/**/*tfevents*").sources == ["a/train", "b/train", "c/train"]
    assert runcast.read(["runs/a", tmp_path / "runs" / "b"]).sources == ["a/train", "b/train"]
    assert runcast.read(["runs", "runs/a"]).sources == ["a/train", "b/train", "c/train"]
    assert len(runcast.read(["runs", "runs/a"]).files) == 3
    assert runcast.read("runs", pattern="[bc]*").sources == ["b/train", "c/train"]
    assert runcast.read("runs", pattern=["a/*", "c/*"]).sources == ["a/train", "c/train"]


def test_a_folder_whose_name_is_a_pattern(tmp_path):
    """A folder that is really called `[1]` is that folder."""
    scalars(tmp_path / "run[1]", [1])
    assert runcast.read(tmp_path / "run[1]").sources == ["."]


def test_what_cannot_be_read(tmp_path):
    """Each wrong place is an error in one line that says what was looked at and what to do."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("these are no events")
    scalars(tmp_path / "runs" / "train", [1])
    for path, said in [
        (tmp_path / "nowhere", "there is no such file or folder"),
        (tmp_path / "empty", "no event files .* in 1 folder; none holds a file"),
        (tmp_path / "other", "the files there are notes.txt"),
        (tmp_path / "other" / "notes.txt", "no event file: it does not begin with a record"),
        (str(tmp_path / "*.nothing"), "nothing matches"),
        ([], "nothing to read"),
        ("hdfs://host/logs", "logs cannot be read from there; write s3://bucket/path"),
        (["gs://bucket/logs", tmp_path], "cannot be read together"),
        ("az://container", "write az://account/container/path"),
        (b"logs", "is no path"),
        ([3], "3 is no path"),
    ]:
        with pytest.raises(LogdirError, match=said) as told:
            runcast.read(path)
        assert isinstance(told.value, RuncastError)
        assert "\n" not in str(told.value)
    with pytest.raises(LogdirError, match="no source matches 'trian'; did you mean 'train'"):
        runcast.read(tmp_path / "runs", pattern="trian")


def test_a_folder_that_may_not_be_read(tmp_path, close_folder):
    """It is said why, and what else there is is read."""
    scalars(tmp_path / "closed", [1])
    close_folder(tmp_path / "closed")
    with pytest.raises(LogdirError, match="Permission denied"):
        runcast.read(tmp_path / "closed")
    scalars(tmp_path / "open", [1])
    assert runcast.read(tmp_path).sources == ["open"]


def test_a_file_that_may_not_be_read(tmp_path, close_folder):
    """A file that cannot be opened is listed as skipped, with the reason; the others are read."""
    scalars(tmp_path / "a", [1])
    scalars(tmp_path / "b", [1])
    (closed,) = (tmp_path / "a").iterdir()
    logs = runcast.read(tmp_path)
    close_folder(closed)
    assert [tag.source for tag in logs.tags()] == ["b"]
    (skipped,) = logs.skipped
    assert (skipped.file, "Permission denied" in skipped.reason) == (str(closed), True)


def test_refresh_reads_what_grew(tmp_path):
    """After `refresh`, new points, tags, files and sources are there; nothing is read twice, and what was read stays."""
    writer = SummaryWriter(str(tmp_path / "train"))
    writer.add_scalar("loss", 1, 1)
    writer.flush()
    logs = runcast.read(tmp_path)
    assert len(logs.scalars("loss")) == 1
    writer.add_scalar("loss", 2, 2)
    writer.add_scalar("new", 1, 1)
    writer.add_image("image", np.zeros((3, 2, 2), np.uint8), 1)
    writer.close()
    scalars(tmp_path / "other", [1])
    assert len(logs.scalars("loss")) == 1
    assert logs.refresh() is logs
    assert logs.sources == ["other", "train"]
    assert logs.scalars("loss", "train").step.tolist() == [1, 2]
    assert logs.scalars("new").step.tolist() == [1]
    assert logs.images("image")[0][0].width == 2
    assert len(logs.refresh().to_pandas()) == 4


def test_a_file_that_grows_between_questions(tmp_path, events, point):
    """An older file that goes on while a newer one is there keeps its place in the order of files."""
    older = events("x", point("loss", 0, 0))
    events("x", point("loss", 10, 10))
    more = events("y", point("loss", 1, 1), point("own", 1, 1)).read_bytes()
    logs = runcast.read(tmp_path)
    assert logs.scalars("loss", "x").step.tolist() == [0, 10]
    older.write_bytes(older.read_bytes() + more)
    logs.refresh()
    assert logs.scalars("loss", "x").step.tolist() == [0, 1, 10]
    assert logs.scalars("own", "x").step.tolist() == [1]


def test_a_file_that_is_replaced(tmp_path, events, point):
    """Another file under the name of one that was read is read afresh; one that is gone is forgotten."""
    file = events("x", point("loss", 0, 0), point("loss", 1, 1))
    other = events("y", point("loss", 7, 7))
    logs = runcast.read(tmp_path)
    assert len(logs.tags()) == 2
    other.replace(file)
    logs.refresh()
    assert (logs.sources, logs.scalars("loss").step.tolist()) == (["x"], [7])


def test_damage(tmp_path, events, point):
    """Damaged bytes are passed over and listed with file, place and reason; what is half written is not damage."""
    file = events("x", *(point("loss", step, step) for step in range(6)))
    data = bytearray(file.read_bytes())
    starts = _starts(data)
    data[starts[3] + 20] ^= 0xFF
    file.write_bytes(data + data[:7])
    logs = runcast.read(tmp_path)
    assert logs.scalars("loss").step.tolist() == [0, 1, 3, 4, 5]
    (skipped,) = logs.skipped
    assert isinstance(skipped, Skipped)
    assert (skipped.file, skipped.offset, skipped.length) == (str(file), starts[3], starts[4] - starts[3])
    assert "checksum" in skipped.reason
    assert sum(1 for _ in logs.records()) == 6
    data[starts[-2] + 20] ^= 0xFF
    data[starts[-1] + 2] ^= 0xFF
    file.write_bytes(data)
    logs = runcast.read(tmp_path)
    assert logs.scalars("loss").step.tolist() == [0, 1, 3]
    assert [skip.offset for skip in logs.skipped] == [starts[3], starts[-2]]
    assert logs.skipped[-1].length == len(data) - starts[-2]


def _starts(data):
    """The offset of each record."""
    starts, position = [], 0
    while position < len(data):
        starts.append(position)
        position += int.from_bytes(data[position : position + 8], "little") + 16
    return starts


def test_a_file_of_nothing_but_damage(tmp_path):
    """It has no tags, and is listed."""
    file = tmp_path / "events.out.tfevents.1.x"
    file.write_bytes(b"\xff" * 100)
    logs = runcast.read(tmp_path)
    assert logs.tags() == []
    assert [(skip.offset, skip.length) for skip in logs.skipped] == [(0, 100)]
    assert logs.to_pandas().empty


def test_html_is_escaped(tmp_path, events, point):
    """A tag or folder that is named like HTML stays text in the notebook's table."""
    events("<b>run</b>", point("<script>alert(1)</script>", 0, 1))
    html = runcast.read(tmp_path)._repr_html_()
    assert "<script>" not in html
    assert "<b>run</b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_table_of_many_tags(tmp_path, events, point):
    """A long table is cut, and says so."""
    events("x", *(point(f"tag/{number:03}", 0, 1) for number in range(100)))
    html = runcast.read(tmp_path)._repr_html_()
    assert "tag/059" in html
    assert "tag/060" not in html
    assert "and 40 more" in html
