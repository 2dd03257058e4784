"""`runcast.Api`: the same answers from a server and from this machine."""

from __future__ import annotations

import os

import numpy as np
import pytest

import runcast
from runcast.client.download import fetch
from runcast.client.stored import StoredRun
from runcast.errors import QueryError, RunNotFound, ServerUnreachable, StoreError
from runcast.recorder.replication import Replication
from runcast.run.record import RunRecord, new_run_id
from runcast.store.remote import RemoteContent


@pytest.fixture
def runs(new_run, local, server):
    """Three runs, here and on the server."""
    made = []
    for number in range(3):
        run = new_run(
            project="api", name=f"run {number}", config={"lr": 0.1 * number, "nested": {"deep": "x"}}
        )
        for step in range(1000):
            path = next(iter(run.writers), None)
            if path is None:
                run.log("train", 0, loss=1.0)
            else:
                run.writers[path].scalars(
                    {"loss": float(number), "spike": 100.0 if step == 777 else 0.0}, step
                )
        run.record(path)
        local.put(run.id, "saved/sub/model.pt", os.urandom(3 << 20))
        run.finish()
        replication = Replication(local, server.remote, run.id)
        while not replication.complete:
            replication.round()
        replication.close()
        made.append(run.id)
    return made


@pytest.fixture(params=["server", "here"])
def api(request, server, runs, monkeypatch):
    monkeypatch.setenv("RUNCAST_TOKEN", server.token)
    with runcast.Api(server.url) if request.param == "server" else runcast.open() as api:
        yield api


def test_runs_are_found_read_and_edited(api, runs, tmp_path):
    """Runs are listed lazily, filtered and ordered; their series come as arrays and tables; edits are kept."""
    found = [run for run in api.runs("api") if run.id in runs]
    assert [run.name for run in found] == ["run 2", "run 1", "run 0"]
    assert [
        run.id
        for run in api.runs("api", "config.lr > 0.05 and state = finished", "config.lr")
        if run.id in runs
    ] == runs[1:]
    assert api.runs("api", limit=1)[0].id == runs[2]
    assert len(api.runs("nothing")) == 0
    with pytest.raises(QueryError):
        api.runs("api", "config.lr ~ 3")
    with pytest.raises(RunNotFound):
        api.run("nobody")
    run = api.run(runs[1])
    assert run.config == {"lr": 0.1, "nested": {"deep": "x"}}
    assert run.summary == {"train/loss": 1.0, "train/spike": 0.0}
    history = run.history()
    assert list(history) == ["loss", "spike"]
    assert len(history["spike"]) <= 500
    assert history["train/spike"].value.max() == 100.0
    assert history.to_pandas(wide=True)["spike"].max() == 100.0
    assert history.to_arrow().num_rows == sum(map(len, history.series))
    whole = run.history("sp*", points=None)
    np.testing.assert_array_equal(whole["spike"].step, np.arange(1, 1000))
    assert list(run.scan_history("loss"))[-1] == {"source": "train", "step": 999, "loss": 1.0}
    run.name, run.tags = "best", ["kept", "final"]
    run.notes = "the one"
    assert (run.update().name, run.tags, run.notes) == ("best", ("kept", "final"), "the one")
    assert [each.id for each in api.runs("api", tags=["kept"]) if each.id in runs] == [run.id]
    run.delete()
    assert run.id not in [each.id for each in api.runs("api")]
    run.restore()
    assert run.id in [each.id for each in api.runs("api")]


def test_downloads_are_whole_and_stay_in_their_folder(api, runs, tmp_path, local):
    """All bytes land under their paths; what broke off is gone on with; no link leads a download astray."""
    run = api.run(runs[0])
    folder = run.download(tmp_path / "copy")
    for file in run.files():
        assert (folder / file.path).read_bytes() == local.read(run.id, file.path, 0, file.size) == file.read()
    (events,) = [file for file in run.files() if "tfevents" in file.path]
    whole = (folder / events.path).read_bytes()
    (folder / events.path).unlink()
    (folder / f"{events.path}.part").write_bytes(whole[:1000])
    assert events.download(folder).read_bytes() == whole
    assert not list(folder.rglob("*.part"))
    model = run.file("saved/sub/model.pt")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "saved").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="outside"):
        model.download(tmp_path / "other")
    assert not list((tmp_path / "elsewhere").rglob("*.pt"))
    with pytest.raises(RunNotFound, match=r"did you mean 'saved/sub/model\.pt'"):
        run.file("saved/model.pt")


def test_a_file_that_is_replaced_while_it_is_downloaded(server, new_run, tmp_path, monkeypatch):
    """A download that broke off, of a file that is another one by now, begins anew: never half of the one and half of the other."""
    old, new = b"old!" * 1_000_000, b"new" * 500_000
    fetched = RemoteContent.chunks
    breaks = []

    with server.remote() as remote:
        run = RunRecord(new_run_id(), "api", "replaced", "running", 1e9)
        remote.create(run)
        remote.put(run.id, "saved/model.pt", old)

        def chunks(self, start, stop):
            pieces = fetched(self, start, stop)
            if not breaks:
                breaks.append(start)
                yield next(pieces)
                remote.put(run.id, "saved/model.pt", new)
                raise ServerUnreachable("the answer broke off")
            yield from pieces

        monkeypatch.setattr(RemoteContent, "chunks", chunks)
        copy = fetch(remote, run.id, "saved/model.pt", len(old), tmp_path)
        assert copy.read_bytes() == new
        assert breaks == [0]
        remote.trash(run.id)
        StoredRun(remote, remote.run_shape(run.id)).purge()
        with pytest.raises(RunNotFound):
            remote.run(run.id)
