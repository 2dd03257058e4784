from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from runcast.run.record import RunRecord, new_run_id
from runcast.store.local import LocalStore
from runcast.store.protocol import Appended

if TYPE_CHECKING:
    from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.utils.tensorboard import SummaryWriter


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where runs are kept."""
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def database(request):
    """Where the index is: `database` as `LocalStore` takes it; parametrized with `DATABASES` where both are tried."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    return request.getfixturevalue("postgresql_url")


@pytest.fixture
def store(place, database):
    with LocalStore(place, database=database) as store:
        yield store


@pytest.fixture
def new_run():
    """Make a record of a run that starts now."""

    def make(**fields):
        fields = {"project": "digits", "name": "first", "state": "running", "created": time.time(), **fields}
        return RunRecord(fields.pop("id", new_run_id()), **fields)

    return make


@pytest.fixture
def run(store, new_run):
    """The id of a run that the store knows."""
    record = new_run()
    store.create(record)
    return record.id


@dataclass
class EventFile:
    """An event file that a real torch writer writes, recorded from where the store is."""

    store: LocalStore
    run: str
    logdir: Path
    source: str = "."
    purge_step: int | None = None
    rename: str | None = None
    piece: int = 1 << 20
    writer: SummaryWriter = field(init=False)

    def __post_init__(self) -> None:
        folder = self.logdir if self.source == "." else self.logdir / self.source
        before = set(folder.glob("*tfevents*"))
        self.writer = SummaryWriter(folder, purge_step=self.purge_step)
        (self.file,) = set(folder.glob("*tfevents*")) - before
        name = self.rename or self.file.name
        self.path = f"files/logs/{name}" if self.source == "." else f"files/logs/{self.source}/{name}"

    def scalars(self, tag, points):
        """Write (step, value, wall time) points and record them."""
        for step, value, wall_time in points:
            self.writer.add_scalar(tag, value, step, wall_time)
        return self.record()

    def record(self, *, final=False):
        self.writer.flush()
        data = self.file.read_bytes()
        at = self.store.size(self.run, self.path)
        while at < len(data):
            answer = self.store.append(self.run, self.path, at, data[at : at + self.piece], final=final)
            assert isinstance(answer, Appended)
            if answer.size == at:
                break
            at = answer.size
        return at


@pytest.fixture
def open_file(store, run, tmp_path):
    """Open an event file with a torch writer: `open_file(source=…, purge_step=…)`."""
    opened = []

    def open_one(source=".", **options):
        opened.append(EventFile(options.pop("store", store), run, tmp_path / "logs", source, **options))
        return opened[-1]

    yield open_one
    for file in opened:
        file.writer.close()
