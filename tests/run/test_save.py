from __future__ import annotations

import gzip
import json
import os
from contextlib import suppress

import pytest

import runcast
from runcast.errors import RunNotFound, SettingsError
from runcast.store.local import LocalStore


@pytest.fixture
def kept(place):
    """What a run keeps whole: its files by place, with their content."""

    def read(run=-1):
        folder = place.runs[run]
        with LocalStore(place.store) as store, suppress(RunNotFound):
            return {
                file.path: store.read(folder.name, file.path, 0, file.size)
                for file in store.files(folder.name)
                if not file.path.startswith("own/")
                and "tfevents" not in file.path
                and file.path.startswith(("saved/", "files/"))
            }
        return {}

    return read


def test_files_are_kept_under_their_paths(place, kept):
    """A file, a glob and a folder that are saved are in the run under their paths below the working folder."""
    out, _ = place.run("""
        import os, runcast
        run = runcast.init()
        os.makedirs("models/deep"); os.makedirs("notes")
        for name in ("models/a.pt", "models/deep/b.pt", "models/deep/c.txt", "notes/n.md", "plain.bin"):
            open(name, "w").write(name)
        print(run.save("plain.bin"))
        print(len(run.save("models/**/*.pt")), len(runcast.save("notes", policy="now")))
    """)
    lines = out.splitlines()
    assert lines[0] == repr([os.path.realpath(place.folder / "plain.bin")])
    assert lines[1] == "2 1"
    assert kept() == {
        f"saved/{name}": name.encode()
        for name in ("models/a.pt", "models/deep/b.pt", "notes/n.md", "plain.bin")
    }


def test_base_path_says_what_the_paths_are_relative_to(place, kept):
    """`base_path` leaves out the folders above it; an absolute path keeps its last folder, as with W&B."""
    elsewhere = place.folder.parent / "elsewhere" / "run7"
    elsewhere.mkdir(parents=True)
    (elsewhere / "best.pt").write_text("best")
    place.run(f"""
        import glob, os, runcast
        run = runcast.init()
        os.makedirs("runs/x")
        open("runs/x/t.pt.trace.json", "w").write("trace")
        run.save(glob.glob("runs/x/*.pt.trace.json")[0], base_path="runs")
        run.save({str(elsewhere / "*.pt")!r})
    """)
    assert kept() == {"saved/x/t.pt.trace.json": b"trace", "saved/run7/best.pt": b"best"}


def test_live_files_follow_their_source_and_globs_find_more(place, kept):
    """A live file is copied again when it changes, one that appears later is found, and all of it while the run goes on."""
    with place.start("""
        import runcast
        run = runcast.init()
        open("a.pt", "w").write("one")
        run.save("*.pt")
        print("ready", flush=True)
        input_ = __import__("sys").stdin
        import time
        time.sleep(30)
    """) as process:
        assert process.stdout.readline() == "ready\n"
        try:
            place.until(lambda: kept() == {"saved/a.pt": b"one"})
            (place.folder / "a.pt").write_text("another")
            (place.folder / "b.pt").write_text("two")
            place.until(lambda: kept() == {"saved/a.pt": b"another", "saved/b.pt": b"two"})
        finally:
            process.kill()


def test_now_keeps_one_copy_and_end_the_last_state(place, kept):
    """`now` keeps what was there when it was saved; `end` what is there when the run ends, even of files that came later."""
    place.run("""
        import runcast, time
        run = runcast.init()
        open("now.txt", "w").write("then")
        open("end.txt", "w").write("then")
        run.save("now.txt", policy="now")
        run.save("end*.txt", policy="end")
        deadline = time.monotonic() + 20
        while not (run.folder / "saved" / "now.txt").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not (run.folder / "saved" / "end.txt").exists()
        for name in ("now.txt", "end.txt", "end2.txt"):
            open(name, "w").write("later")
        time.sleep(1.5)
    """)
    assert kept() == {"saved/now.txt": b"then", "saved/end.txt": b"later", "saved/end2.txt": b"later"}


def test_a_killed_training_keeps_its_files(place, kept):
    """After SIGKILL the recorder still takes the last state of what was saved, with any policy."""
    with place.start("""
        import os, runcast, signal
        run = runcast.init()
        run.save("late.txt", policy="end")
        run.save("live.txt")
        for name in ("late.txt", "live.txt"):
            open(name, "w").write("written")
        os.kill(os.getpid(), signal.SIGKILL)
    """) as process:
        process.wait(30)
    place.end()
    assert kept() == {"saved/late.txt": b"written", "saved/live.txt": b"written"}


def test_what_matches_nothing_is_told(place):
    """Saving what is not there says so at once, and at the end."""
    _, err = place.run("""
        import runcast
        run = runcast.init()
        assert run.save("nothing/*.pt") == []
        assert run.save("nothing/*.pt") == []
    """)
    assert err.count("nothing matches") == 2
    assert "yet" in err


def test_an_unreadable_file_is_named_with_the_reason(place, kept, close_folder):
    """`%runcast status` names a saved file that cannot be read, and why; the others are kept."""
    out, _ = place.run("""
        import os, runcast, time
        run = runcast.init()
        open("secret.txt", "w").write("s"); os.chmod("secret.txt", 0)
        open("open.txt", "w").write("o")
        run.save("*.txt")
        deadline = time.monotonic() + 20
        while True:
            rows = {row["path"]: row for row in (run.status(10) or {"files": []})["files"]}
            if rows.get("saved/secret.txt", {}).get("state") == "unreadable":
                break
            assert time.monotonic() < deadline, rows
            time.sleep(0.1)
        print(rows["saved/secret.txt"]["why"])
    """)
    assert "Permission denied" in out
    assert kept()["saved/open.txt"] == b"o"


def test_status_names_what_is_waited_for(place):
    """`%runcast status` lists a pattern that nothing matches yet."""
    out, _ = place.run("""
        import runcast, time
        run = runcast.init()
        run.save("models/*.pt")
        deadline = time.monotonic() + 20
        while not (rows := [row for row in (run.status(10) or {"files": []})["files"] if row["path"].startswith("saved/")]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        print(rows[0]["state"], rows[0]["why"])
    """)
    assert out.startswith("waiting nothing matches")


def test_links_are_kept_as_what_they_lead_to(place, kept):
    """A link to a file is kept as the file; links that lead nowhere, and folders that link to themselves, do no harm."""
    place.run("""
        import os, runcast
        run = runcast.init()
        os.makedirs("d/sub")
        open("target.bin", "w").write("content")
        os.symlink("../target.bin", "d/link.bin")
        os.symlink("nowhere", "d/broken.bin")
        os.symlink("..", "d/sub/loop")
        run.save("d")
    """)
    assert {path: data for path, data in kept().items() if data} == {"saved/d/link.bin": b"content"}


def test_the_store_is_not_kept_in_itself(tmp_path, monkeypatch):
    """A pattern that covers the store leaves the runs out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "store"))
    (tmp_path / "a.txt").write_text("a")
    with runcast.init() as run:
        run.save("**", policy="end")
    with LocalStore(tmp_path / "store") as store:
        saved = [file.path for file in store.files(run.id) if file.path.startswith("saved/")]
    assert [path for path in saved if "run.jsonl" in path or "tfevents" in path] == []
    assert "saved/a.txt" in saved


def test_a_large_file_does_not_hold_up_the_training(place, kept):
    """Saving returns at once, however large the file; what is logged meanwhile is recorded."""
    place.run("""
        import os, runcast, time
        with open("big.bin", "wb") as file:
            for _ in range(64):
                file.write(os.urandom(1 << 20))
        run = runcast.init()
        began = time.monotonic()
        run.save("big.bin", policy="now")
        assert time.monotonic() - began < 0.5
        run.log({"loss": 1.0})
    """)
    assert kept()["saved/big.bin"] == (place.folder / "big.bin").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a.pt", None, "sometimes"), "policy"),
        (("../a.pt", "."), "base_path"),
        (("/etc/passwd", "/tmp"), "base_path"),
        (("",), "path"),
        ((3,), "path"),
        (("s3://bucket/x",), "address"),
    ],
)
def test_bad_requests_are_refused(tmp_path, monkeypatch, arguments, says):
    """A policy that there is not, a path out of its base, an address: one clear error, before anything is kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "store"))
    with runcast.init() as run, pytest.raises(SettingsError, match=says):
        run.save(*arguments)


def test_profiler_traces_come_along(place, kept):
    """What torch's profiler writes into a watched logdir is in the run beside the event files, without a word."""
    place.run("""
        import torch, runcast
        from torch.profiler import ProfilerActivity, profile, tensorboard_trace_handler
        run = runcast.init(logdirs=["runs"])
        with profile(activities=[ProfilerActivity.CPU], on_trace_ready=tensorboard_trace_handler("runs/x", "w")):
            torch.randn(8, 8) @ torch.randn(8, 8)
        with profile(
            activities=[ProfilerActivity.CPU], on_trace_ready=tensorboard_trace_handler("runs/y", "w", use_gzip=True)
        ):
            torch.randn(8, 8) @ torch.randn(8, 8)
    """)
    found = kept()
    (plain,) = [path for path in found if path.endswith(".pt.trace.json")]
    (zipped,) = [path for path in found if path.endswith(".pt.trace.json.gz")]
    assert plain.startswith("files/runs/x/w.")
    assert zipped.startswith("files/runs/y/w.")
    assert "traceEvents" in json.loads(found[plain])
    assert "traceEvents" in json.loads(gzip.decompress(found[zipped]))


def test_profiles_beside_a_writer_come_along(place, kept):
    """`plugins/profile/**` and traces in the folder of a recorded writer are in the run at the same places; old ones are not."""
    (place.folder / "logs").mkdir()
    old = place.folder / "logs" / "old.pt.trace.json"
    old.write_text("{}")
    os.utime(old, (1e9, 1e9))
    place.run("""
        import os, runcast
        from torch.utils.tensorboard import SummaryWriter
        run = runcast.init(sync_tensorboard=True)
        writer = SummaryWriter("logs")
        writer.add_scalar("loss", 1.0, 0)
        os.makedirs("logs/plugins/profile/2026_01_01")
        open("logs/plugins/profile/2026_01_01/host.xplane.pb", "wb").write(b"xplane")
        open("logs/new.pt.trace.json", "w").write("{}")
        writer.close()
    """)
    assert kept() == {
        "files/cwd/logs/plugins/profile/2026_01_01/host.xplane.pb": b"xplane",
        "files/cwd/logs/new.pt.trace.json": b"{}",
    }


def test_the_projector_has_its_files(place, kept):
    """After `add_embedding`, TensorBoard's projector plugin finds tensors, labels and sprite in the run's folder."""
    place.run("""
        import torch, runcast
        from torch.utils.tensorboard import SummaryWriter
        run = runcast.init(sync_tensorboard=True)
        with SummaryWriter("logs") as writer:
            writer.add_embedding(torch.randn(4, 3), list("abcd"), torch.rand(4, 3, 8, 8), global_step=1, tag="e")
    """)
    found = kept()
    assert {path.removeprefix("files/cwd/logs/") for path in found} == {
        "projector_config.pbtxt",
        "00001/e/tensors.tsv",
        "00001/e/metadata.tsv",
        "00001/e/sprite.png",
    }
    assert found["files/cwd/logs/00001/e/metadata.tsv"] == b"a\nb\nc\nd\n"
    assert (
        found["files/cwd/logs/projector_config.pbtxt"]
        == (place.folder / "logs" / "projector_config.pbtxt").read_bytes()
    )
