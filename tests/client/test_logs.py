"""`runcast sync PATH --to URL`: logs become runs of a server, without a copy on this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

from runcast.cli import main
from runcast.events.wire import sized
from runcast.events.writer import EventWriter, _record

REAL = Path(__file__).parents[1] / "data" / "mac-pytorch"


def test_logs_are_brought_to_a_server(server, tmp_path, monkeypatch, capsys):
    """All of it arrives with its times, once; a wrong token is told in one line."""
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "here"))
    monkeypatch.setenv("RUNCAST_TOKEN", server.token)
    for outcome in ("new", "unchanged"):
        assert main(["sync", str(REAL), "--to", server.url, "--project", "p", "--json"]) == 0
        (said,) = json.loads(capsys.readouterr().out)["runs"]
        assert said["outcome"] == outcome
    with server.store() as store:
        run = store.run(said["id"])
        assert (run.project, run.name, run.state, run.facts["host"]) == (
            "p",
            "only_funcs",
            "synced",
            "mac-host",
        )
        for file in store.files(run.id):
            assert store.read(run.id, file.path, 0, 1 << 30) == Path(file.source_path).read_bytes()
        assert run.ended == max(each.last_wall_time for each in store.series(run.id))
    assert not (tmp_path / "here").exists()
    monkeypatch.setenv("RUNCAST_TOKEN", "wrong")
    assert main(["sync", str(REAL), "--to", server.url]) == 1
    err = capsys.readouterr().err
    assert "runcast login" in err
    assert err.count("\n") == 1


def test_a_record_longer_than_any_message_is_brought_to_a_server(server, tmp_path, monkeypatch, capsys):
    """A single record of 17 MiB is sent alone, and what comes after it too."""
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "here"))
    monkeypatch.setenv("RUNCAST_TOKEN", server.token)
    writer = EventWriter(tmp_path / "logs" / "events.out.tfevents.1700000000.host")
    writer.scalars({"loss": 1.0}, 0, 1.7e9)
    writer.close()
    scalar = writer.path.read_bytes()
    record = _record(b"\x1a" + sized(b"brain.Event:2") + b"\xfa\x07" + sized(os.urandom(17 << 20)))
    writer.path.write_bytes(scalar + record + scalar)
    assert main(["sync", str(tmp_path / "logs"), "--to", server.url, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["whole"]
    (run,) = said["runs"]
    with server.store() as store:
        (file,) = store.files(run["id"])
        assert store.read(run["id"], file.path, 0, 1 << 30) == writer.path.read_bytes()
