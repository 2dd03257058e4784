"""How a run ends, whatever ends it."""

from __future__ import annotations

import os
import signal

import pytest

ENDINGS = {
    "it just ends": ("run = runcast.init()", 0, ("finished", None)),
    "exception": (
        "run = runcast.init()\nraise ValueError('no  data\\nhere')",
        1,
        ("failed", "ValueError: no data here"),
    ),
    "sys.exit": ("import sys\nrun = runcast.init()\nsys.exit(3)", 3, ("failed", "exit status 3")),
    "sys.exit with a text": ("import sys\nrun = runcast.init()\nsys.exit('no')", 1, ("failed", "exit: no")),
    "sys.exit(0)": ("import sys\nrun = runcast.init()\nsys.exit(0)", 0, ("finished", None)),
    "raise SystemExit": (
        "run = runcast.init()\ntry:\n    raise SystemExit(4)\nfinally:\n    print()",
        4,
        ("failed", "exit status 4"),
    ),
    "sys.exit, caught": (
        "import sys\nrun = runcast.init()\ntry:\n    sys.exit(2)\nexcept SystemExit as error:\n    kept = error\nprint(flush=True)",
        0,
        ("finished", None),
    ),
    "exception in with": (
        "with runcast.init():\n    1 / 0",
        1,
        ("failed", "ZeroDivisionError: division by zero"),
    ),
    "sys.exit in with": ("import sys\nwith runcast.init():\n    sys.exit(2)", 2, ("failed", "exit status 2")),
    "caught": (
        "try:\n    run = runcast.init()\n    1 / 0\nexcept ZeroDivisionError:\n    pass",
        0,
        ("finished", None),
    ),
    "said": ("runcast.init().finish('failed', error='it diverged')", 0, ("failed", "it diverged")),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_endings(place, ending):
    """However a script ends, its run is marked so, and its own exit status and traceback are as without us."""
    source, status, expected = ENDINGS[ending]
    _, err = place.run(f"import runcast\n{source}\n", status=status)
    assert ("Traceback" in err) == (status == 1 and "text" not in ending)
    (finish,) = place.entries("finish")
    assert (finish["state"], finish["error"]) == expected
    assert place.end().state == expected[0]


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("how", ["with runcast.init() as run:", "run = runcast.init()\nif True:"])
def test_interrupting_is_no_failure(place, how):
    """Ctrl-C ends a run as finished and interrupted."""
    with place.start(
        f"import runcast, time\n{how}\n    print('up', flush=True)\n    time.sleep(60)\n"
    ) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    (finish,) = place.entries("finish")
    assert (finish["state"], finish["interrupted"]) == ("finished", True)


def test_hooks_are_put_back(place):
    """After the finish, sys.excepthook, sys.exit, sys.stdout and what others put on top of them are as they were."""
    out, _ = place.run("""
        import sys
        import runcast
        hooks = sys.excepthook, sys.exit
        flush = sys.stdout.flush
        run = runcast.init()
        assert sys.exit is not hooks[1]
        run.finish()
        print((sys.excepthook, sys.exit) == hooks and sys.stdout.flush == flush)
        second = runcast.init()
        mine = lambda *error: None
        sys.excepthook = mine
        second.finish()
        print(sys.excepthook is mine)
    """)
    assert out.split() == ["True", "True"]


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_a_killed_script(place):
    """A script that is killed is marked as crashed, with all that it had logged."""
    with place.start("""
        import time
        import runcast
        run = runcast.init()
        for step in range(100):
            run.log({"loss": step})
        print("up", flush=True)
        time.sleep(60)
    """) as process:
        assert process.stdout.readline() == "up\n"
        process.kill()
    assert place.end().state == "crashed"
    assert place.values("loss") == [(step, float(step)) for step in range(100)]


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_a_killed_recorder(place):
    """A recorder that is killed is replaced, and cells do not wait for it meanwhile; nothing is lost or doubled."""
    out, err = place.run("""
        import os, signal, time
        import runcast
        run = runcast.init()
        run.log({"loss": 0})
        assert run.drain(30.0)
        killed = run.recorder_pid
        os.kill(killed, signal.SIGKILL)
        while run.recorder_pid == killed:
            time.sleep(0.001)
        run.log({"loss": 1})
        began = time.monotonic()
        print(run.drain(30.0), time.monotonic() - began < 1.0)
        deadline = time.monotonic() + 30
        while not run.drain(1.0):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        print(run.recorder_pid != killed)
    """)
    assert (out.split(), err) == (["False", "True", "True"], "")
    assert place.end().state == "finished"
    assert place.values("loss") == [(0, 0.0), (1, 1.0)]


def test_the_end_of_a_kernel_does_not_wait(place):
    """A kernel that shuts down waits at most a tenth of a second; an open cell makes the run an interrupted one."""
    out, _ = place.run("""
        import atexit, time
        import runcast
        began = []
        atexit.register(lambda: print(time.monotonic() - began[0]))
        run = runcast.init(notebook=True)
        run.mark_cell("begin", 1, "cell-id")
        run.mark_cell("end", 1, "cell-id")
        run.mark_cell("begin", 2)
        run.log({"loss": 1.0})
        atexit.register(lambda: began.append(time.monotonic()))
    """)
    assert float(out) < 0.4
    (finish,) = place.entries("finish")
    assert (finish["state"], finish["interrupted"]) == ("finished", True)
    assert [(entry["event"], entry["n"], entry["cell"]) for entry in place.entries("cell")] == [
        ("begin", 1, "cell-id"),
        ("end", 1, "cell-id"),
        ("begin", 2, None),
    ]
    assert place.end().state == "finished"
    assert place.values("loss") == [(0, 1.0)]
