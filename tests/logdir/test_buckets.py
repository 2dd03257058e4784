"""Reading logs where they are: in a bucket."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from tensorboardX import SummaryWriter

import runcast
from runcast.errors import LogdirError
from runcast.events import EventWriter
from runcast.logdir import bucket as module
from runcast.objects import Objects

NAME = "events.out.tfevents.1.host.1.0"


@pytest.fixture
def write(tmp_path):
    """Write, or go on with, an event file; return its bytes."""

    def append(name: str, steps) -> bytes:
        writer = EventWriter(tmp_path / name)
        for step in steps:
            writer.scalars({"loss": step / 7}, step)
        writer.close()
        return (tmp_path / name).read_bytes()

    return append


@pytest.mark.parametrize("cloud", ["s3", "gcs", "azure"])
def test_reading_a_bucket(cloud, request, tmp_path, write, monkeypatch) -> None:
    """A bucket reads as a folder of the same files does; what grows is read on from where it was, and what is put anew, anew."""
    bucket = request.getfixturevalue(cloud)
    prefix = uuid.uuid4().hex[:12]
    objects = Objects(bucket.address(prefix))
    asked: list[int] = []

    def counted(self, name: str, start: int, stop: int, read=Objects.read) -> bytes:
        asked.append(stop - start)
        return read(self, name, start, stop)

    monkeypatch.setattr(Objects, "read", counted)
    monkeypatch.setattr(module, "BLOCK", 10_000)
    objects.put(f"runs/a/train/{NAME}", write("a", range(2000)))
    with SummaryWriter(str(tmp_path / "texts")) as writer:
        for step in range(3):
            writer.add_text("note", f"step {step} " + 9000 * "…", step)
    (texts,) = (tmp_path / "texts").iterdir()
    objects.put("runs/a/train/events.out.tfevents.2.host.1.0", texts)
    objects.put(f"runs/b/{NAME}", write("b", range(10)))
    objects.put("runs/b/notes.txt", b"no events")
    address, _, options = bucket.users_address(prefix).partition("?")
    logs = runcast.read(f"{address}/runs?{options}")
    assert logs.sources == ["a/train", "b"]
    assert asked == [], "opening lists only"
    loss = logs.scalars("loss", "a/train")
    np.testing.assert_array_equal(loss.step, np.arange(2000))
    np.testing.assert_array_equal(loss.value, np.arange(2000) / 7)
    assert sum(asked) == len(write("a", ())) + texts.stat().st_size, (
        "each byte once, and nothing of the other source"
    )
    asked.clear()
    assert logs.text("note/text_summary", "a/train").at(2).startswith("step 2 ")
    assert sum(asked) < 60_000, "records of this one, and of the first, which says what it is"
    objects.put(f"runs/a/train/{NAME}", write("a", range(2000, 2050)))
    objects.put(f"runs/b/{NAME}", write("c", range(500, 600)))
    asked.clear()
    assert len(logs.refresh().scalars("loss", "a/train")) == 2050
    assert sum(asked) < 20_000
    assert logs.scalars("loss", "b").step.tolist() == list(range(500, 600))
    assert runcast.read(f"{address}/runs/*/train?{options}").sources == ["a/train"]
    assert runcast.read(f"{address}/**/{NAME}?{options}").sources == ["runs/a/train", "runs/b"]
    assert runcast.read(f"{address}/runs/b/{NAME}?{options}").sources == ["."]
    two = runcast.read([f"{address}/runs/a?{options}", f"{address}/runs/b?{options}"])
    assert two.sources == ["a/train", "b"]
    for place, said in (("nothing", "in 0 objects"), ("runs/b/*.txt", "the objects there are notes.txt")):
        with pytest.raises(LogdirError, match=said):
            runcast.read(f"{address}/{place}?{options}")
    if cloud == "s3":
        with bucket.failing(403), pytest.raises(LogdirError, match="check the credentials"):
            runcast.read(f"{address}/runs?{options}")
