"""The notebook that a run keeps: real kernels, and real IPython shells old and new."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

PICTURE = """
from IPython.display import display, HTML, Image
import base64
png = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
print("before")
display(Image(png))
print("after")
handle = display(HTML("<b>first</b>"), display_id=True)
handle.update(HTML("<b>second</b>"))
40 + 2
"""


def kept(
    place: Path, *, cells: int = 0, timeout: float = 20.0, name: str = "*.ipynb"
) -> nbformat.NotebookNode:
    """Return the notebook that the run keeps, once it has this many cells; it must be valid whenever one looks."""
    deadline = time.monotonic() + timeout
    while True:
        for path in place.glob(f"runs/*/code/{name}"):
            notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=nbformat.NO_CONVERT)
            nbformat.validate(notebook)
            if len(notebook.cells) >= cells:
                return notebook
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def test_cells_with_their_outputs(kernels, place):
    """A run keeps the notebook as it was executed: streams, pictures, results and errors, and neither panel nor secrets."""
    kernel = kernels()
    kernel.run("%load_ext runcast")
    kernel.run("%sync_tensorboard")
    kernel.run(PICTURE)
    kernel.run("import sys; print('careful', file=sys.stderr)\nraise ValueError('bad')")
    kernel.run("api_key = 'abcdef'\nprint('Bearer abc123def')")
    kernel.run("%runcast finish")
    notebook = kept(place, cells=6)
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3, 4, 5, 6]
    assert notebook.cells[0].source == "%load_ext runcast"
    assert all("runcast" not in str(cell.outputs) for cell in notebook.cells[1:3])
    streams = [output.text for output in notebook.cells[2].outputs if output.output_type == "stream"]
    assert "".join(streams).split() == ["before", "after"]
    shown = [output.data for output in notebook.cells[2].outputs if output.output_type == "display_data"]
    assert "image/png" in shown[0]
    assert shown[1]["text/html"] == "<b>second</b>"
    kinds = [output.output_type for output in notebook.cells[2].outputs]
    assert kinds.index("stream") < kinds.index("display_data") < len(kinds) - 1
    assert notebook.cells[2].outputs[-1].data["text/plain"] == "42"
    error = notebook.cells[3].outputs[-1]
    assert (error.ename, error.evalue) == ("ValueError", "bad")
    assert notebook.cells[3].outputs[0].name == "stderr"
    assert notebook.cells[4].source == "api_key = 'REDACTED'\nprint('Bearer REDACTED')"
    assert "abc123def" not in str(notebook)


def test_a_killed_kernel_leaves_its_notebook(kernels, place):
    """When the kernel is killed in mid-cell, the run has the cells before it and the source of the one that ran."""
    kernel = kernels()
    kernel.run("%load_ext runcast")
    kernel.run("%sync_tensorboard")
    kernel.run("print('done')")
    kernel.send("import time; time.sleep(60)")
    notebook = kept(place, cells=4)
    os.kill(kernel.pid, signal.SIGKILL)
    assert notebook.cells[2].outputs[0].text == "done\n"
    assert notebook.cells[3].source == "import time; time.sleep(60)"
    assert notebook.cells[3].outputs == []


def test_code_is_not_kept(kernels, place, monkeypatch):
    """With RUNCAST_SAVE_CODE=off nothing of the notebook is kept."""
    monkeypatch.setenv("RUNCAST_SAVE_CODE", "off")
    kernel = kernels()
    kernel.run("%load_ext runcast")
    kernel.run("%sync_tensorboard")
    kernel.run("print('secret')")
    kernel.run("%runcast finish")
    (run,) = place.glob("runs/*")
    for path in run.rglob("*.ipynb"):
        pytest.fail(f"{path} was kept")


def test_each_run_has_its_notebook(kernels, place):
    """A second run in one kernel keeps the whole notebook too, and the first one's stays as it was when it ended."""
    kernel = kernels()
    kernel.run("%load_ext runcast")
    kernel.run("%sync_tensorboard --name one")
    kernel.run("%sync_tensorboard --name two")
    kernel.run("print('late')")
    kernel.run("%runcast finish")
    deadline = time.monotonic() + 20
    while (
        len(
            counts := sorted(
                len(json.loads(path.read_text())["cells"]) for path in place.glob("runs/*/code/*.ipynb")
            )
        )
        < 2
        or counts[1] < 5
    ):
        assert time.monotonic() < deadline, counts
        time.sleep(0.1)
    assert counts == [3, 5]


def test_unloading_lets_go(kernels, place):
    """After %unload_ext displays pass the kernel as if runcast had never been there."""
    kernel = kernels()
    kernel.run("%load_ext runcast")
    assert "1" in kernel.run("print(len(get_ipython().display_pub._hooks))").text
    kernel.run("%unload_ext runcast")
    assert "0" in kernel.run("print(len(get_ipython().display_pub._hooks))").text


SHELL = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
from pathlib import Path
from runcast.extension.history import NotebookHistory
from runcast.extension.frontend import cell_number
shell = InteractiveShell.instance()
history = NotebookHistory(shell, print)
shell.events.register("pre_run_cell", lambda info: history.cell_begins(cell_number(shell, begun=False)))
shell.events.register("post_run_cell", lambda result: history.cell_ended(result.execution_count, result.error_before_exec or result.error_in_exec))
history.keep_in(Path(sys.argv[1]))
shell.run_cell("x = 41", store_history=True)
shell.run_cell("x + 1", store_history=True)
shell.run_cell("1 / 0", store_history=True)
shell.run_cell("def", store_history=True)
shell.run_cell("for i in range(5): print(f'\\\\r{i}', end='')", store_history=True)
shell.run_cell("print('x' * 1_000_000)", store_history=True)
history.stop()
"""


def test_old_and_new_ipython(tmp_path):
    """Results and errors are kept in every version of IPython, streams where it remembers them, long ones in part."""
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    file = tmp_path / "own" / "notebook.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", SHELL, str(file)], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "could not be kept" not in done.stdout
    notebook = nbformat.reads(file.read_text(), as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3, 4, 5, 6]
    assert notebook.cells[1].outputs[-1].data["text/plain"] == "42"
    assert notebook.cells[2].outputs[-1].ename == "ZeroDivisionError"
    assert notebook.cells[3].outputs[-1].ename == "SyntaxError"
    assert file.stat().st_size < 700_000
    if notebook.cells[4].outputs:
        assert notebook.cells[4].outputs[0].text == "4"
        assert (
            "left out" in notebook.cells[5].outputs[0].text
            or len(notebook.cells[5].outputs[0].text) < 500_000
        )


def test_a_long_notebook_does_not_delay_its_cells(tmp_path):
    """With a thousand cells and their outputs kept, beginning and ending a cell takes next to no time."""
    from IPython.core.interactiveshell import InteractiveShell

    from runcast.extension.history import NotebookHistory

    shell = InteractiveShell()
    try:
        for number in range(1000):
            shell.run_cell(f"{number}", store_history=True)
        history = NotebookHistory(shell, pytest.fail)
        history.keep_in(tmp_path / "notebook.ipynb")
        spent = 0.0
        for number in range(1001, 1031):
            started = time.thread_time()
            history.cell_begins(number)
            spent += time.thread_time() - started
            shell.run_cell("1", store_history=True)
            started = time.thread_time()
            history.cell_ended(number, None)
            spent += time.thread_time() - started
        assert spent < 0.03
        history.stop()
        assert len(json.loads((tmp_path / "notebook.ipynb").read_text())["cells"]) == 1030
        history.close()
    finally:
        shell.history_manager.end_session()
        InteractiveShell.clear_instance()
