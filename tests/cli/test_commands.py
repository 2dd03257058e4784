"""`runcast runs | show | history | status`, as a user types them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
import time

import pytest

from runcast import __version__
from runcast.cli import main
from runcast.cli.words import ago, duration, figure, size, spark
from runcast.events.writer import EventWriter
from runcast.run.record import RunRecord
from runcast.store.local import LocalStore
from runcast.store.protocol import FileRecord


@pytest.fixture
def place(tmp_path):
    """A store with a finished run, and a newer one that is running and has more written than recorded."""
    now = time.time()
    with LocalStore(tmp_path / "store") as store:
        for number, (name, state) in enumerate([("baseline", "finished"), ("wide [red] net", "running")]):
            run = RunRecord(
                f"{'ab'[number]}" * 16,
                "digits",
                name,
                state,
                now - 1000 + number,
                ended=now - 900 if state == "finished" else None,
                heartbeat=now,
                config={"lr": 0.01, "bad": math.nan},
                facts={"host": "lab"},
            )
            store.create(run)
            for source in ("train", "validation"):
                writer = EventWriter(tmp_path / f"{number}" / source / "events.out.tfevents.1.host")
                for step in range(100):
                    writer.scalars({"loss": 1 / (step + 1), "损失": math.nan}, step, now - 1000 + step)
                writer.scalars({"spike": math.inf} if source == "train" else {"only": -math.inf}, 0)
                writer.close()
                path = f"files/logs/{source}/{writer.path.name}"
                store.append(run.id, path, 0, writer.path.read_bytes(), final=True)
                with writer.path.open("ab") as file:
                    file.write(bytes(1234))
                written = writer.path.stat().st_size
                store.describe(
                    run.id, FileRecord(path, 0, source_path=str(writer.path), source_size=written - 1234)
                )
    return tmp_path / "store"


@pytest.fixture
def runcast(place, monkeypatch, capsys):
    """A function that does what the command does, in this process; the tests at the end start the program itself."""

    def call(*arguments, columns="100"):
        monkeypatch.setenv("RUNCAST_DIR", str(place))
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", columns)
        code = main(arguments)
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    return call


def strict(text):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_runs_are_listed(runcast):
    """A table: newest first, with short ids, states and last values."""
    done = runcast("runs", columns="140")
    header, newest, oldest = done.stdout.splitlines()
    assert header.split() == ["run", "name", "project", "state", "started", "took", "last", "values"]
    assert "wide [red] net" in newest
    assert "● running" in newest
    assert "train/loss 0.01" in newest
    assert "baseline" in oldest
    assert "1 min 40 s" in oldest
    assert "16 min ago" in oldest


@pytest.mark.parametrize("columns", ["60", "80", "100", "200"])
@pytest.mark.parametrize(
    "arguments", [["runs"], ["show", "latest"], ["status"], ["history", "latest", "loss", "-s", "train"]]
)
def test_tables_fit_the_terminal(runcast, arguments, columns):
    """No row of a table is wider than the terminal, except a path that cannot be cut."""
    done = runcast(*arguments, columns=columns)
    assert done.returncode == 0, done.stderr
    wide = [line for line in done.stdout.splitlines() if len(line.rstrip()) > int(columns)]
    assert [line for line in wide if not line.startswith(("100 points", "wide [red]"))] == []


def test_piped_tables_are_plain_and_whole(runcast):
    """In a pipe there are no colours, nothing is cut to some terminal's width, and lines end where their text ends."""
    done = runcast("runs", columns=None)
    assert [line for line in done.stdout.splitlines() if line != line.rstrip()] == []
    assert "\x1b" not in done.stdout
    assert "validation/loss 0.01" in done.stdout


def test_runs_as_json(runcast):
    """The pinned shape, newest first; what is not finite is text, so that every reader takes it."""
    newest, oldest = strict(runcast("runs", "--json").stdout)
    pinned = ["id", "project", "name", "state", "created", "ended", "config", "summary"]
    assert [key for key in newest if key in pinned] == pinned
    assert (newest["id"], newest["ended"], oldest["state"]) == ("b" * 16, None, "finished")
    assert newest["config"] == {"lr": 0.01, "bad": "NaN"}
    assert newest["summary"] == {
        "train/loss": 0.01,
        "train/损失": "NaN",
        "train/spike": "Infinity",
        "validation/loss": 0.01,
        "validation/损失": "NaN",
        "validation/only": "-Infinity",
    }
    assert len(strict(runcast("runs", "--json", "-n", "1").stdout)) == 1
    assert strict(runcast("runs", "--json", "--project", "other").stdout) == []


def test_show_as_json(runcast):
    """A run with its series and its files."""
    shown = strict(runcast("show", "baseline", "--json").stdout)
    assert list(shown["series"][0]) == (
        ["root", "source", "tag", "plugin", "count", "first_step", "last_step", "last", "min", "max"]
    )
    assert [(series["source"], series["tag"]) for series in shown["series"]][:2] == [
        ("train", "loss"),
        ("train", "spike"),
    ]
    assert (shown["series"][0]["count"], shown["series"][0]["max"]) == (100, 1.0)
    assert shown["files"][0]["path"] == "files/logs/train/events.out.tfevents.1.host"
    assert shown["files"][0]["records"] == 202  # file version, two tags of 100 points, spike


@pytest.mark.parametrize("run", ["bbbb", "b" * 16, "wide [red] net", "latest"])
def test_a_run_answers_to_many_names(runcast, run):
    """An id, the beginning of one, a name, or `latest`."""
    assert strict(runcast("show", run, "--json").stdout)["id"] == "b" * 16


def test_history_in_three_forms(runcast):
    """All points as JSON and CSV, a few as a table with a line of bars."""
    where = ("history", "latest", "loss", "--source", "train")
    points = strict(runcast(*where, "--json").stdout)
    assert [point["step"] for point in points] == list(range(100))
    assert points[3]["value"] == 0.25
    rows = list(csv.DictReader(io.StringIO(runcast(*where, "--csv").stdout)))
    assert [float(row["value"]) for row in rows] == [1 / (step + 1) for step in range(100)]
    few = strict(runcast(*where, "--json", "--points", "20").stdout)
    assert len(few) <= 20
    assert (few[0]["step"], few[-1]["step"]) == (0, 99)
    table = runcast(*where).stdout
    assert "100 points" in table
    assert "█" in table


def test_history_of_nan_is_valid(runcast):
    """NaN is text in JSON, and NaN in CSV."""
    where = ("history", "latest", "损失", "--source", "train")
    assert {point["value"] for point in strict(runcast(*where, "--json").stdout)} == {"NaN"}
    assert runcast(*where, "--csv").stdout.splitlines()[1].endswith(",NaN")


def test_status_shows_how_far_each_file_is_recorded(runcast):
    """The size of each source now, what is recorded, and the lag; a run that has ended lags behind nothing."""
    (running,) = strict(runcast("status", "--json").stdout)
    assert running["run"]["state"] == "running"
    first = running["files"][0]
    assert list(first) == ["path", "source", "size", "recorded", "lag", "skipped", "state", "why"]
    assert (first["size"] - first["recorded"], first["lag"]) == (1234, 1234)
    (ended,) = strict(runcast("status", "baseline", "--json").stdout)
    assert [file["lag"] for file in ended["files"]] == [0, 0]
    assert "1.2 kB" in runcast("status").stdout


def test_status_of_a_file_that_is_gone(runcast, tmp_path):
    """A source that was removed is said to be gone; what was recorded is kept."""
    (tmp_path / "1" / "train" / "events.out.tfevents.1.host").unlink()
    assert "is gone" in runcast("status", columns="160").stdout
    assert "is gone" in runcast("status", columns="60").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "nobody"], 1, "there is no run 'nobody'"),
        (["show", "baselin"], 1, "did you mean 'baseline'"),
        (["history", "latest", "loss"], 1, "add one of: --source train, --source validation"),
        (["history", "latest", "los"], 1, "did you mean 'loss'"),
        (["history", "latest", "only", "--source", "train"], 1, "--root logs --source validation"),
        (["history", "latest", "loss", "--csv", "--json"], 2, "exclude each other"),
        (["history", "latest"], 2, "Missing argument 'TAG'"),
        (["runs", "--nope"], 2, "see `runcast runs --help`"),
        (["nope"], 2, "see `runcast --help`"),
        (["runs", "-n", "many"], 2, "not a valid integer"),
    ],
)
def test_mistakes_get_one_line(runcast, arguments, code, said):
    """What is wrong and what to do, on one line of stderr, and no traceback."""
    done = runcast(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.startswith("runcast: ")
    assert done.stderr.count("\n") == 1


def test_a_place_without_runs(runcast, tmp_path):
    """Before the first run there is nothing to list, and looking makes no folder."""
    empty = str(tmp_path / "nothing")
    assert "no runs yet" in runcast("--dir", empty, "runs").stdout
    assert strict(runcast("--dir", empty, "runs", "--json").stdout) == []
    assert strict(runcast("--dir", empty, "status", "--json").stdout) == []
    assert runcast("--dir", empty, "show", "latest").returncode == 1
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").touch()
    assert (
        "file is a file; runs are kept in a folder" in runcast("--dir", str(tmp_path / "file"), "runs").stderr
    )


@pytest.mark.parametrize(("run", "code"), [("latest", 0), ("nobody", 1)])
def test_the_program(place, run, code):
    """`python -m runcast` does what was asked, prints in the encoding that was chosen, and exits with the code."""
    command = [sys.executable, "-m", "runcast", "--dir", str(place), "show", run]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)
    assert (done.returncode, "损失" in done.stdout) == (code, code == 0)
    assert done.stderr.partition(";")[0] == ("runcast: there is no run 'nobody'" if code else "")


def test_a_reader_that_leaves_is_no_error(place):
    """`runcast history … | head -1` ends quietly."""
    command = f"{sys.executable} -m runcast --dir {place} history latest loss -s train --csv | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("step,wall_time,value\n", "")


def test_help_is_quick_and_light(place):
    """`--help` imports no database, no NumPy and no tables; neither does `--version`."""
    program = (
        "import sys; from runcast.cli import main; main(['--help']); main(['--version']);"
        "print([name for name in ('sqlalchemy', 'numpy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == [f"runcast {__version__}", "[]"]
    assert all(command in done.stdout for command in ("runs", "show", "history", "status"))


def test_numbers_and_times_read_well():
    """Words for sizes, times and figures."""
    assert [size(count) for count in (0, 999, 1000, 12_345, 999_999, 5_000_000_000)] == (
        ["0 B", "999 B", "1.0 kB", "12.3 kB", "1.0 MB", "5.0 GB"]
    )
    assert [duration(s) for s in (0, 65, 3600, 90_000)] == ["0 s", "1 min 05 s", "1 h 00 min", "1 d 1 h"]
    assert [ago(s) for s in (-3, 2, 30, 90, 7200, 200_000)] == (
        ["just now", "just now", "30 s ago", "1 min ago", "2 h ago", "2 d ago"]
    )
    assert [figure(x) for x in (0.0123456789, 1.5, 1.2e-7, math.nan, -math.inf)] == (
        ["0.012346", "1.5", "1.2e-07", "NaN", "-∞"]
    )
    assert spark([0.0, 1.0, math.nan, 7.0]) == "▁▂ █"
    assert spark([3.0, 3.0]) == "▁▁"
    assert spark([]) == ""
