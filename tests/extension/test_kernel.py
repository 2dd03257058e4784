"""A run in a real kernel: what is shown, and how it ends."""

import os
import signal
import textwrap
import time
from pathlib import Path

import nbformat
import psutil
import pytest

WIDGET = "application/vnd.jupyter.widget-view+json"

LOAD = "%load_ext runcast\n"

TRAIN = """\
from tensorboard.summary import Writer
writer = Writer("logs/train")
for step in range(20):
    writer.add_scalar("loss", 1 / (step + 1), step)
writer.close()
"""

ENDLESS = """\
import time
from tensorboard.summary import Writer
writer, step = Writer("logs/train"), 0
while True:
    writer.add_scalar("loss", 1.0, step)
    step += 1
    time.sleep(0.002)
    if step == 500:
        print("half a thousand", flush=True)
"""


def shown(kernel, line="%sync_tensorboard"):
    """Start a run and return its outputs' display ids: the panel's (None if there is none) and the static form's."""
    done = kernel.run(LOAD + line)
    assert done.status == "ok", done.outputs
    displays = done.displays()
    panel = next((each["id"] for each in displays if WIDGET in each["data"]), None)
    (static,) = [each["id"] for each in displays if WIDGET not in each["data"]]
    return panel, static


def wait_for(look, timeout=20.0):
    stop = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < stop, "waited in vain"
        time.sleep(0.05)
    return found


def recorder(store):
    """The recorder's process: the one whose command names a run's folder."""
    (run,) = wait_for(store_runs(store))
    for process in psutil.process_iter(["cmdline"]):
        if any(run.id in word for word in process.info["cmdline"] or ()):
            return process
    pytest.fail("no recorder")


def store_runs(store):
    from runcast.store.protocol import RunQuery

    return lambda: store.runs(RunQuery())


def test_a_page_gets_the_panel_and_a_form_that_needs_no_kernel(kernels):
    """One panel and, beneath it, a static form; after a cell that trained, the form has a picture and a page."""
    kernel = kernels("page")
    panel, static = shown(kernel)
    assert panel is not None
    done = kernel.run(TRAIN)
    updates = kernel.updates_until_picture(static, done.updates)
    forms = [update["data"] for update in updates if update["id"] == static]
    assert forms
    assert {"image/png", "text/html", "text/plain"} <= set(forms[-1])
    assert panel not in {update["id"] for update in updates}


def test_points_that_come_after_their_cell_are_drawn(kernels):
    """What a thread logs when its cell is over comes into the saved form as well, without another cell."""
    kernel = kernels("page")
    _, static = shown(kernel)
    done = kernel.run(f"import threading\nthreading.Timer(1.5, exec, [{TRAIN!r}]).start()")
    kernel.updates_until_picture(static, done.updates)


def test_a_cell_without_points_draws_nothing(kernels):
    """The static form is drawn when there is something new, not after every cell."""
    kernel = kernels("page")
    _, static = shown(kernel)
    updates = kernel.run(TRAIN).updates + kernel.run("import runcast; assert runcast.run.drain(20)").updates
    kernel.updates_until_picture(static, updates)
    kernel.updates(1)
    done = kernel.run("1 + 1")
    assert done.updates + kernel.updates(2) == []


def test_a_program_gets_the_form_only_and_within_its_cell(kernels):
    """Under nbclient no widget is made; the picture is there before the cell is done, because nothing could add it later."""
    kernel = kernels("program")
    panel, static = shown(kernel)
    assert panel is None
    done = kernel.run(TRAIN)
    forms = [update["data"] for update in done.updates if update["id"] == static]
    assert forms[-1]["image/png"]


def test_finishing_takes_the_panel_away(kernels, ended):
    """After %runcast finish no output holds a widget that would be dead when the notebook is opened again."""
    kernel = kernels("page")
    panel, static = shown(kernel)
    kernel.run(TRAIN)
    done = kernel.run("%runcast finish")
    updates = {update["id"]: update["data"] for update in kernel.updates_until_picture(static, done.updates)}
    assert set(updates[panel]) == {"text/plain"}
    assert " is finished; `runcast show " in updates[panel]["text/plain"]
    assert updates[static]["image/png"]
    assert ended().state == "finished"


def test_none_shows_one_line(kernels, monkeypatch):
    """RUNCAST_PANEL=none: a line says where the run is, and it is recorded as ever."""
    monkeypatch.setenv("RUNCAST_PANEL", "none")
    kernel = kernels("page")
    done = kernel.run(LOAD + "%sync_tensorboard --name quiet")
    assert done.displays() == []
    assert done.text.startswith("runcast: quiet is recorded in ")


def test_the_end_of_a_cell_waits_until_it_is_recorded(kernels, store, steps):
    """What a cell logged is in the store when the cell is done."""
    kernel = kernels("page")
    shown(kernel)
    wait_for(store_runs(store))
    kernel.run(TRAIN)
    (run,) = store_runs(store)()
    assert steps(run, "loss") == list(range(20))


def test_a_dead_recorder_delays_no_cell(kernels, store):
    """With its recorder killed a cell ends at once, and a new recorder picks up where the old one was."""
    kernel = kernels("page")
    shown(kernel)
    kernel.run(TRAIN)
    victim = recorder(store)
    os.kill(victim.pid, signal.SIGSTOP)
    assert kernel.run(TRAIN).seconds < 4
    victim.kill()
    wait_for(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE)
    assert kernel.run("1").seconds < 0.5
    (run,) = store_runs(store)()
    wait_for(lambda: sum(series.count for series in store.series(run.id) if series.tag == "loss") == 20)
    assert wait_for(lambda: len([file for file in store.files(run.id) if "logs/train" in file.path]) == 2)


@pytest.mark.parametrize("restart", [False, True])
def test_shutdown_and_restart_finish_the_run(kernels, ended, steps, restart):
    """Leaving the kernel from the menu ends the run in good order, with every point."""
    kernel = kernels("page")
    shown(kernel)
    kernel.run(TRAIN)
    kernel.manager.restart_kernel() if restart else kernel.manager.shutdown_kernel()
    run = ended()
    assert (run.state, run.facts.get("interrupted")) == ("finished", None)
    assert steps(run, "loss") == list(range(20))


def test_shutdown_in_mid_cell_is_an_interruption(kernels, ended):
    """A kernel that is shut down while it trains leaves a finished run that says it was interrupted."""
    kernel = kernels("page")
    shown(kernel)
    kernel.send(ENDLESS)
    kernel.wait_for_text("half a thousand")
    kernel.manager.shutdown_kernel()
    run = ended()
    assert (run.state, run.facts.get("interrupted")) == ("finished", True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_kernel_leaves_a_complete_crashed_run(kernels, ended, store, steps, number):
    """Every record that reached the event file is in the store, once, and the run says crashed."""
    kernel = kernels("page")
    shown(kernel)
    kernel.send(ENDLESS)
    kernel.wait_for_text("half a thousand")
    os.kill(kernel.pid, number)
    run = ended()
    assert run.state == "crashed"
    (file,) = [file for file in store.files(run.id) if "logs/train" in file.path]
    recorded = [int(step) for step in steps(run, "loss")]
    assert recorded == _steps_in(file.source_path)
    assert len(recorded) >= 100


def _steps_in(path):
    """Read the steps of `loss` from an event file with TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    events = LegacyEventFileLoader(path).Load()
    return [event.step for event in events for value in event.summary.value if value.tag == "loss"]


def test_a_forked_child_does_not_end_the_run(kernels, store):
    """DataLoader workers and other forks of the kernel come and go; the run goes on."""
    kernel = kernels("page")
    shown(kernel)
    fork = """
        import os
        pid = os.fork()
        if pid == 0:
            try:
                get_ipython().events.trigger("post_run_cell", None)
                get_ipython().extension_manager.unload_extension("runcast")
            finally:
                os._exit(0)
        print(os.waitpid(pid, 0)[1])
    """
    done = kernel.run(textwrap.dedent(fork))
    assert done.text.strip().endswith("0")
    (run,) = wait_for(store_runs(store))
    kernel.run(TRAIN)
    assert store.run(run.id).state == "running"
    assert sum(series.count for series in store.series(run.id) if series.tag == "loss") == 20


def test_a_script_that_a_cell_starts_is_part_of_the_run(kernels, ended, steps, store):
    """`!python train.py` is recorded without a logdir, wherever it writes, and the panel has it all when its cell ends."""
    Path("train.py").write_text("import os; os.makedirs('elsewhere'); os.chdir('elsewhere')\n" + TRAIN)
    kernel = kernels()
    shown(kernel)
    done = kernel.run("import sys\n!{sys.executable} train.py")
    assert (done.status, done.text) == ("ok", "")
    (run,) = store_runs(store)()
    assert steps(run, "loss") == list(range(20))
    (series,) = [series for series in store.series(run.id) if series.tag == "loss"]
    assert (series.root, series.source) == ("cwd", "elsewhere/logs/train")
    assert kernel.run("%runcast finish").status == "ok"
    ended()
    assert steps(run, "loss") == list(range(20))


def test_a_hook_that_fails_is_only_reported(kernels):
    """A mistake of ours after a cell shows in %runcast status, not in the cell."""
    kernel = kernels("page")
    shown(kernel)
    kernel.run("from runcast.run.live import Run\nRun.drain = lambda self, timeout: 1 / 0")
    done = kernel.run("print('fine')")
    assert (done.status, done.text) == ("ok", "fine\n")
    assert "warning:" in kernel.run("%runcast status").text
    assert "ZeroDivisionError" in kernel.run("%runcast status").text


def test_load_sync_and_train_in_one_cell(kernels, ended, steps):
    """Everything in a single cell works as well: the hooks join in the middle of it."""
    kernel = kernels("page")
    kernel.run(f"{LOAD}%sync_tensorboard\n{TRAIN}")
    kernel.run("%runcast finish")
    assert steps(ended(), "loss") == list(range(20))


def notebook(*cells):
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )


def assert_picture_stands_alone(executed):
    bundles = [
        output["data"] for cell in executed.cells for output in cell.get("outputs", []) if "data" in output
    ]
    assert not any(WIDGET in bundle for bundle in bundles)
    (form,) = [bundle for bundle in bundles if "image/png" in bundle]
    assert "text/html" in form


def test_nbclient_saves_the_charts(place, ended, steps):
    """A notebook that was executed by nbclient holds its charts, and its run is finished."""
    from nbclient import NotebookClient

    executed = NotebookClient(notebook(LOAD + "%sync_tensorboard", TRAIN), timeout=120).execute()
    assert_picture_stands_alone(executed)
    assert ended().state == "finished"
    assert steps(ended(), "loss") == list(range(20))


def test_papermill_saves_the_charts(place, tmp_path, ended):
    """The same under papermill, with a cell that fails: the run of a %%sync_tensorboard cell says failed."""
    import papermill

    nbformat.write(notebook(LOAD, f"%%sync_tensorboard\n{TRAIN}\n1 / 0"), tmp_path / "in.ipynb")
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        papermill.execute_notebook(
            str(tmp_path / "in.ipynb"), str(tmp_path / "out.ipynb"), progress_bar=False, cwd=os.getcwd()
        )
    assert_picture_stands_alone(nbformat.read(tmp_path / "out.ipynb", as_version=4))
    run = ended()
    assert (run.state, run.facts["error"]) == ("failed", "ZeroDivisionError: division by zero")


def test_terminal_ipython(place, ended, steps):
    """In a terminal a line says where the run is, and `exit` finishes it."""
    pexpect = pytest.importorskip("pexpect")
    import sys

    child = pexpect.spawn(
        sys.executable, ["-m", "IPython", "--simple-prompt", "--no-banner"], timeout=60, encoding="utf-8"
    )
    child.expect(r"In \[1\]:")
    for line in ("%load_ext runcast", "%sync_tensorboard --name typed"):
        child.sendline(line)
    child.expect("runcast: typed is recorded in ")
    for line in TRAIN.splitlines():
        child.sendline(line)
    child.sendline("")
    child.sendline("")
    child.expect(r"In \[4\]:")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    run = ended()
    assert (run.state, run.name) == ("finished", "typed")
    assert steps(run, "loss") == list(range(20))


def test_what_cells_print_is_noted_with_their_numbers(kernels, store):
    """Prints, errors and the output of commands are in the run's console, each with its cell, and in the notebook as ever."""
    from runcast.run.console.spool import CONSOLE, read_console

    kernel = kernels("page")
    shown(kernel)
    assert kernel.run("print('by python')\n!echo by a command").text.split("\n") == [
        "by python",
        "by a command\r",
        "",
    ]
    kernel.run("import sys; print('oh', file=sys.stderr)")
    kernel.run("%runcast finish")
    (run,) = store_runs(store)()
    lines = list(read_console(store.root / "runs" / run.id / CONSOLE))
    found = [(line.text.strip(), line.stream, line.cell) for line in lines]
    for expected in [("by python", "out", 2), ("by a command", "out", 2), ("oh", "err", 3)]:
        assert expected in found
