"""The magics in a real IPython shell."""

import os
import time

import pytest

import runcast
from runcast.store.protocol import RunQuery

TRAIN = """\
from tensorboard.summary import Writer
writer = Writer("logs/train")
for step in range(10):
    writer.add_scalar("loss", 1 / (step + 1), step)
writer.close()
"""


def only_run(store):
    (run,) = store.runs(RunQuery())
    return run


def losses(store):
    run = only_run(store)
    (series,) = [series for series in store.series(run.id) if series.tag == "loss"]
    return list(store.points(run.id, series.root, series.source, "loss").step)


def test_a_cell_is_one_finished_run(shell, store):
    """%%sync_tensorboard above a training cell records that cell's points, and the run is finished when the cell is."""
    shell.run_cell(f"%%sync_tensorboard --project digits --name first\n{TRAIN}").raise_error()
    run = only_run(store)
    assert (run.state, run.project, run.name) == ("finished", "digits", "first")
    assert losses(store) == list(range(10))


def test_the_body_is_an_ordinary_cell(shell):
    """Names of the cell are the user's, its last expression is its value, and magics in it work."""
    result = shell.run_cell("%%sync_tensorboard\nx = 41\n%env RUNCAST_TEST=1\nx + 1")
    assert result.result == 42
    assert shell.user_ns["x"] == 41


def test_await_works_in_the_body(shell):
    """A cell that awaits may be recorded too."""
    result = shell.run_cell("%%sync_tensorboard\nimport asyncio\nawait asyncio.sleep(0)\n'done'")
    assert result.result == "done"


def test_a_failing_cell_is_a_failed_run(shell, store, capsys):
    """A cell that raises shows its traceback, with the cell's own line numbers, and its run is failed, with the error."""
    result = shell.run_cell(f"%%sync_tensorboard\n{TRAIN}\n1 / 0")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    shown = capsys.readouterr().out
    assert "ZeroDivisionError" in shown
    assert "line 8" in shown or "---> 8" in shown or "----> 8" in shown
    run = only_run(store)
    assert run.state == "failed"
    assert run.facts["error"] == "ZeroDivisionError: division by zero"
    assert losses(store) == list(range(10))


def test_an_interrupted_cell_is_a_finished_run(shell, store):
    """Stopping a cell is the user's wish: its run is finished, and says that it was interrupted."""
    shell.run_cell("%%sync_tensorboard\nraise KeyboardInterrupt")
    run = only_run(store)
    assert (run.state, run.facts.get("interrupted")) == ("finished", True)


def test_a_cell_that_runs_cells_is_still_one_run(shell, store):
    """A cell magic inside the body (%%capture, run_cell) does not end the run early."""
    body = "get_ipython().run_cell('y = 1')\n" + TRAIN
    shell.run_cell(f"%%sync_tensorboard\n{body}").raise_error()
    assert losses(store) == list(range(10))


def test_the_magic_may_be_called(shell, store):
    """run_cell_magic does what the typed cell does, failure included."""
    shell.run_cell_magic("sync_tensorboard", "--name called", TRAIN)
    assert only_run(store).name == "called"
    with pytest.raises(ZeroDivisionError):
        shell.run_cell_magic("sync_tensorboard", "", "1 / 0")


def test_variables_are_expanded(shell, store, tmp_path):
    """$name and {expression} in the line mean the user's variables, as in every magic."""
    shell.run_cell("folder, kind = 'logs', 'big'").raise_error()
    shell.run_cell("%sync_tensorboard $folder --name {kind.upper()}-run").raise_error()
    shell.run_cell("%runcast finish").raise_error()
    assert only_run(store).name == "BIG-run"
    shell.run_cell(f"%%sync_tensorboard --name {{kind}}\n{TRAIN}").raise_error()
    assert {run.name for run in store.runs(RunQuery())} == {"BIG-run", "big"}


def test_a_new_run_finishes_the_one_before(shell, store):
    """A second %sync_tensorboard ends the first run and starts another."""
    shell.run_cell("%sync_tensorboard --name one").raise_error()
    shell.run_cell("%sync_tensorboard --name two").raise_error()
    states, stop = {}, time.monotonic() + 20
    while len(states) < 2 and time.monotonic() < stop:
        states = {run.name: run.state for run in store.runs(RunQuery())}
    assert states == {"one": "finished", "two": "running"}


def test_a_folder_that_is_not_there_yet_is_waited_for(shell, capsys):
    """A LOGDIR may be named before the training makes it, and the user is told."""
    shell.run_cell("%sync_tensorboard later").raise_error()
    assert "later does not exist yet; it is waited for" in capsys.readouterr().out


def test_a_file_is_told_in_one_line_and_training_goes_on(shell, store, capsys, tmp_path):
    """A file given as LOGDIR gets one clear line; the cell still trains and is recorded."""
    (tmp_path / "notes.txt").write_text("no folder")
    shell.run_cell(f"%%sync_tensorboard notes.txt\n{TRAIN}").raise_error()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "notes.txt" in line]
    assert "is a file, not a folder" in line
    assert losses(store) == list(range(10))


def test_a_folder_without_permission_is_told_and_training_goes_on(shell, store, capsys, tmp_path):
    """A LOGDIR that may not be read gets one clear line; the cell still trains and is recorded."""
    (tmp_path / "locked").mkdir(mode=0o000)
    if os.access(tmp_path / "locked", os.R_OK):
        pytest.skip("this user may read everything")
    shell.run_cell(f"%%sync_tensorboard locked\n{TRAIN}").raise_error()
    assert "runcast: no permission to read " in capsys.readouterr().err
    assert losses(store) == list(range(10))


def test_a_place_that_cannot_be_written_is_told_in_one_line(shell, capsys, tmp_path, monkeypatch):
    """RUNCAST_DIR below a file: no traceback, the reason, and the next cell trains as if nothing had been."""
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "taken" / "runs"))
    shell.run_cell("%sync_tensorboard")
    said = capsys.readouterr().err
    assert "UsageError: cannot make the run's folder" in said
    assert "Traceback" not in said
    shell.run_cell(TRAIN).raise_error()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%sync_tensorboard --projct p", "UsageError: unknown option --projct; did you mean --project?"),
        ("%runcast statsu", "UsageError: %runcast knows no 'statsu'; did you mean status?"),
        ("%runcast finish now", "UsageError: %runcast finish takes nothing more"),
        ("%runcast 'status", "UsageError: cannot read"),
    ],
)
def test_a_mistake_is_answered_in_one_line(shell, capsys, line, said):
    """A mistyped magic starts nothing, ends nothing, and says what would have worked."""
    shell.run_cell(line)
    printed = capsys.readouterr()
    assert printed.err.startswith(said)
    assert "Traceback" not in printed.out + printed.err


def test_status_lists_the_files(shell, capsys):
    """%runcast status says of each event file how much is written and how much of it is recorded."""
    shell.run_cell("%sync_tensorboard").raise_error()
    shell.run_cell(TRAIN).raise_error()
    assert runcast.run.drain(20.0)  # the cell itself waits for a second only
    capsys.readouterr()
    shell.run_cell("%runcast status").raise_error()
    head, folder, *table = capsys.readouterr().out.splitlines()
    assert "running" in head
    assert "recorder: process" in head
    assert folder.startswith("in ")
    assert table[0].split()[:4] == ["file", "written", "recorded", "lag"]
    (row,) = [line for line in table if "logs/train" in line]
    file, written, _, recorded, _, lag, *_ = row.split()
    assert file.startswith("cwd/logs/train/events.out.tfevents")
    assert int(written.replace(",", "")) == int(recorded.replace(",", "")) > 0
    assert lag == "0"


def test_status_without_a_run(shell, capsys):
    """%runcast status says so when nothing is recorded."""
    shell.run_cell("%runcast status").raise_error()
    assert capsys.readouterr().out == "runcast: no run is recorded; %sync_tensorboard starts one\n"


def test_finish_says_where_the_run_is(shell, capsys, store):
    """%runcast finish ends the run and says how to look at it; without a run it says so."""
    shell.run_cell("%sync_tensorboard").raise_error()
    shell.run_cell("%runcast finish").raise_error()
    run = only_run(store)
    assert run.state == "finished"
    assert f"runcast: {run.name} is finished; `runcast show {run.id}` shows it" in capsys.readouterr().out
    shell.run_cell("%runcast finish").raise_error()
    assert "no run to finish" in capsys.readouterr().out
