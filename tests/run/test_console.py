"""What a script prints: its console looks as ever, and the run has a copy."""

import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pexpect
import psutil
import pytest

from runcast.run.console import capture_console
from runcast.run.console.spool import CONSOLE, Spool, read_console
from runcast.run.console.wrap import StreamWatch

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no terminals to give")

PROLOGUE = """\
import ctypes, os, subprocess, sys, time
from pathlib import Path
from runcast.run.console import capture_console
capture = capture_console(Path({folder!r}), interactive=False, failed=lambda why: Path({folder!r}, "failed").write_text(why))
"""


@pytest.fixture
def script(tmp_path):
    """Return a function that writes a script which notes its console in `tmp_path`."""

    def write(code):
        path = tmp_path / "script.py"
        path.write_text(PROLOGUE.format(folder=str(tmp_path)) + textwrap.dedent(code))
        return [sys.executable, str(path)]

    return write


def noted(folder, stream=None):
    return [line.text for line in read_console(folder / CONSOLE) if stream in (None, line.stream)]


def wait_for(look, seconds=20.0):
    stop = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < stop, "waited in vain"
        time.sleep(0.02)
    return found


@posix
def test_python_c_and_children_are_noted(script, tmp_path):
    """Print, writes of C code, raw writes and a child's output reach both the pipe and the run, each once and in order."""
    command = script(
        """\
        print("from python")
        sys.stdout.flush()
        os.write(1, b"raw bytes\\n")
        ctypes.CDLL(None).puts(b"from C")
        ctypes.CDLL(None).fflush(None)
        subprocess.run(["echo", "from a child"])
        print("oh no", file=sys.stderr)
        capture.stop()
        print("after")
        """
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "from python\nraw bytes\nfrom C\nfrom a child\nafter\n"
    assert done.stderr == "oh no\n"
    assert noted(tmp_path, "out") == ["from python", "raw bytes", "from C", "from a child"]
    assert noted(tmp_path, "err") == ["oh no"]


@posix
def test_one_place_keeps_its_order(script, tmp_path):
    """With `> log 2>&1` the lines of both streams stand in the file as they were printed."""
    command = script(
        """\
        for number in range(200):
            print(number, file=(sys.stdout, sys.stderr)[number % 2], flush=True)
        capture.stop()
        """
    )
    with (tmp_path / "log").open("wb") as log:
        subprocess.run(command, stdout=log, stderr=log, timeout=60, check=True)
    numbers = [str(number) for number in range(200)]
    assert (tmp_path / "log").read_text().split() == numbers
    assert noted(tmp_path, "both") == numbers


@posix
def test_a_terminal_stays_a_terminal(script, tmp_path):
    """A script in a terminal finds a terminal of the same size, reads what is typed, and what it prints looks the same."""
    command = script(
        """\
        size = os.get_terminal_size()
        print(sys.stdout.isatty(), sys.stderr.isatty(), size.columns, size.lines)
        name = input("name? ")
        print(f"\\x1b[32mhello {name}\\x1b[0m")
        for step in range(3):
            print(f"\\rstep {step}", end="", flush=True)
        print()
        capture.stop()
        """
    )
    terminal = pexpect.spawn(command[0], command[1:], dimensions=(33, 101), timeout=30, encoding="utf-8")
    terminal.expect_exact("True True 101 33\r\n")
    terminal.expect_exact("name? ")
    terminal.sendline("Ada")
    terminal.expect_exact("Ada\r\n")
    terminal.expect_exact("\x1b[32mhello Ada\x1b[0m\r\n")
    terminal.expect_exact("\rstep 0\rstep 1\rstep 2\r\n")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    lines = noted(tmp_path)
    assert lines[0] == "True True 101 33"
    assert lines[1] == "name? \x1b[32mhello Ada\x1b[0m"  # what a person types is not printed
    assert lines[-1] == "step 2"


@posix
def test_a_killed_script_loses_nothing(script, tmp_path):
    """What a script printed before SIGKILL is in the run, to the last line, and passed on."""
    command = script(
        """\
        number = 0
        while True:
            print(number, flush=True)
            number += 1
        """
    )
    with (tmp_path / "out").open("wb") as out, subprocess.Popen(command, stdout=out) as process:
        wait_for(lambda: (tmp_path / "out").stat().st_size > 100_000)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        passed_on = wait_for(lambda: _settled(tmp_path / "out")).split()
    assert passed_on == [str(number) for number in range(len(passed_on))]
    wait_for(lambda: noted(tmp_path, "out") == passed_on)


def _settled(path):
    size = path.stat().st_size
    time.sleep(0.5)
    return path.read_text() if path.stat().st_size == size else ""


@posix
def test_a_killed_copier_is_no_loss_to_the_script(script, tmp_path):
    """When the process between dies, the script prints on as if it had never been there, and the failure is told."""
    command = script(
        """\
        for number in range(3000):
            print(number, flush=True)
            time.sleep(0.001)
        capture.stop()
        """
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        (copier,) = psutil.Process(process.pid).children()
        copier.kill()
        rest = process.stdout.read()
        assert process.wait(60) == 0
    printed = [int(line) for line in (first + rest).split()]
    assert printed == sorted(set(printed))
    assert printed[0] == 0
    assert printed[-1] == 2999
    assert len(printed) >= 2900  # what the copier had read, and not passed on, dies with it: a piece at most
    assert "ended (-9)" in (tmp_path / "failed").read_text()


@posix
def test_a_slow_machine_does_not_alarm_at_the_end(script, tmp_path):
    """However long a script takes to put its descriptors back, the copier's end meanwhile is no failure."""
    command = script(
        """\
        real = os.dup2
        def slow(*arguments):
            real(*arguments)
            time.sleep(0.5)
        print("the last line", flush=True)
        os.dup2 = slow
        capture.stop()
        """
    )
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.stdout == "the last line\n"
    assert noted(tmp_path) == ["the last line"]
    assert not (tmp_path / "failed").exists()


@posix
def test_a_reader_that_goes_away_is_noticed(script):
    """`python train.py | head -1` ends as it does without us."""
    command = script("while True: print('x' * 100)")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert b"BrokenPipeError" in process.stderr.read()
        assert process.wait(30) != 0


@posix
def test_printing_under_the_interpreters_lock_blocks_nobody(script, tmp_path):
    """C code that prints megabytes while it holds the lock is not waiting for a thread of its own process."""
    command = script(
        """\
        line = b"x" * 99 + b"\\n"
        for _ in range(50):
            ctypes.PyDLL(None).write(1, line * 1000, 100_000)
        capture.stop(10)
        """
    )
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert done.stdout == (b"x" * 99 + b"\n") * 50_000
    assert len(noted(tmp_path)) == 50_000


@posix
def test_children_that_outlive_the_run_print_on(script, tmp_path):
    """A child that was started meanwhile still reaches the console when nothing is noted any more."""
    command = script(
        """\
        child = subprocess.Popen(["sh", "-c", "sleep 1; echo late"])
        capture.stop()
        print("first", flush=True)
        child.wait()
        """
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "first\nlate\n"
    assert (tmp_path / CONSOLE).exists()


@posix
def test_a_script_without_a_console_runs(script, tmp_path):
    """A daemon whose stdout and stderr are closed is not disturbed."""
    command = script(f"Path({str(tmp_path)!r}, 'done').touch()")
    subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command], timeout=60, check=True)
    assert (tmp_path / "done").exists()


def test_streams_are_noted_where_someone_types(tmp_path, monkeypatch):
    """In a kernel the streams stay the objects they are; prints, logging, threads and cells are noted, a forked child is not."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    handler = logging.StreamHandler(err)
    cell = 3
    capture = capture_console(tmp_path, interactive=True, cell=lambda: cell)
    print("in three")
    cell = 4
    print("in four\nand more")
    handler.emit(logging.makeLogRecord({"msg": "a warning"}))
    if hasattr(os, "fork"):
        if (child := os.fork()) == 0:
            print("in the child")
            os._exit(0)
        os.waitpid(child, 0)
    capture.stop()
    print("unnoted")
    lines = [(line.stream, line.text, line.cell) for line in read_console(tmp_path / CONSOLE)]
    assert lines == [
        ("out", "in three", 3),
        ("out", "in four", 4),
        ("out", "and more", 4),
        ("err", "a warning", 4),
    ]
    assert out.getvalue() == "in three\nin four\nand more\nunnoted\n"
    assert out.write.__self__ is out


def test_what_is_too_much_is_counted(tmp_path):
    """A run that prints without end keeps its beginning, its last thousand lines, and how many are missing between."""
    with contextlib.closing(Spool(tmp_path / CONSOLE, limit=20_000)) as spool:
        for number in range(50_000):
            spool.feed("out", f"line {number}\n")
            spool.flush()
    lines = list(read_console(tmp_path / CONSOLE))
    texts = [line.text for line in lines if not line.left_out]
    (gap,) = [line.left_out for line in lines if line.left_out]
    assert texts[0] == "line 0"
    assert texts[-1000:] == [f"line {number}" for number in range(49_000, 50_000)]
    assert len(texts) + gap == 50_000
    assert (tmp_path / CONSOLE).stat().st_size < 120_000


def test_secrets_are_not_noted(tmp_path, monkeypatch):
    """A key that a script prints is in its console, and not in the run."""
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    with contextlib.closing(Spool(tmp_path / CONSOLE)) as spool:
        spool.feed("out", "using correct-horse-battery\nlogin --token=hunter2hunter2\nloss 0.5\n")
    assert noted(tmp_path) == ["using REDACTED", "login --token=REDACTED", "loss 0.5"]


def test_a_bar_does_not_fill_the_file(tmp_path):
    """A progress bar that draws itself thousands of times takes a few lines of the file, and one in the end."""
    with contextlib.closing(Spool(tmp_path / CONSOLE)) as spool:
        for step in range(5000):
            spool.feed("err", f"\r{step}/5000")
            spool.flush()
    assert noted(tmp_path) == ["4999/5000"]
    assert len((tmp_path / CONSOLE).read_bytes().splitlines()) < 5


def test_a_resumed_run_goes_on_below(tmp_path):
    """A second process of a run numbers its lines anew, and takes none of the first one's away."""
    for words in ("first", "second"):
        with contextlib.closing(Spool(tmp_path / CONSOLE)) as spool:
            spool.feed("out", f"{words}\n")
    assert noted(tmp_path) == ["first", "second"]


def test_a_torn_file_is_read_as_far_as_it_goes(tmp_path):
    """A line that a full disk cut is passed over; a run that printed nothing has no lines."""
    assert noted(tmp_path) == []
    with contextlib.closing(Spool(tmp_path / CONSOLE)) as spool:
        spool.feed("out", "whole\n")
    with Path(tmp_path / CONSOLE).open("ab") as file:
        file.write(b'{"n":1,"t":1.0,"s":"out","x":"to')
    assert noted(tmp_path) == ["whole"]


def test_a_full_disk_is_told_and_printing_goes_on(tmp_path, monkeypatch):
    """Where the copy cannot be written, that is told once, and the stream is as it was."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    failures = []
    spool = Spool(tmp_path / CONSOLE)
    monkeypatch.setattr(
        spool, "flush", lambda **_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    watch = StreamWatch(spool, lambda: None, failures.append)
    print("still there")
    wait_for(lambda: failures)
    watch.stop()
    assert out.getvalue() == "still there\n"
    assert [failure.errno for failure in failures] == [28]


@posix
def test_a_run_notes_its_script_to_the_end(tmp_path):
    """From init to the end of the script, also one that fails, the run's folder has what was printed, and the console too."""
    code = """\
        import runcast
        print("before")
        run = runcast.init(project="p")
        print("epoch 1")
        raise RuntimeError("lost")
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "RUNCAST_DIR": str(tmp_path)},
    )
    assert done.stdout == "before\nepoch 1\n"
    assert done.stderr.endswith("RuntimeError: lost\n")
    (folder,) = (tmp_path / "runs").iterdir()
    assert noted(folder, "out") == ["epoch 1"]
    assert noted(folder, "err")[-1] == "RuntimeError: lost"


@pytest.mark.parametrize("mode", ["off", "wrap"])
def test_a_setting_says_how_much_is_noted(tmp_path, mode):
    """RUNCAST_CONSOLE=off notes nothing; wrap notes what Python prints, and nothing of a child's."""
    code = "import os, runcast\nrun = runcast.init(project='p')\nprint('python')\nos.system('echo child')\nrun.finish()"
    environment = {**os.environ, "RUNCAST_DIR": str(tmp_path), "RUNCAST_CONSOLE": mode}
    subprocess.run([sys.executable, "-c", code], timeout=60, env=environment, check=True)
    (folder,) = (tmp_path / "runs").iterdir()
    assert noted(folder) == {"off": [], "wrap": ["python"]}[mode]
