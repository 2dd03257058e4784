"""Real kernels, asked for cells as a page or as a program would."""

from __future__ import annotations

import contextlib
import os
import queue
import time
import uuid
from dataclasses import dataclass, field

import pytest
from jupyter_client.manager import KernelManager
from jupyter_client.session import Session

from runcast.store.local import LocalStore
from runcast.store.protocol import RunQuery


class PageSession(Session):
    """A session whose messages are named as JupyterLab names them."""

    @property
    def msg_id(self):
        return str(uuid.uuid4())


@dataclass
class Done:
    """What became of a cell: its status, its outputs as the notebook would keep them, and the updates to earlier ones."""

    status: str = ""
    outputs: list[dict] = field(default_factory=list)
    updates: list[dict] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def text(self):
        return "".join(output.get("text", "") for output in self.outputs)

    def displays(self):
        return [output for output in self.outputs if "data" in output]


class Kernel:
    """A kernel and a client of it."""

    def __init__(self, manager, session):
        self.manager = manager
        self.client = manager.client(session=session) if session is not None else manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    @property
    def pid(self):
        return self.manager.provisioner.pid

    def send(self, code):
        """Start a cell and return its message's name; one that fails does not abort what is sent soon after."""
        return self.client.execute(code, store_history=True, stop_on_error=False)

    def run(self, code, timeout=60.0):
        """Run a cell to its end."""
        return self.finish(self.send(code), timeout)

    def finish(self, asked, timeout=60.0):
        """Collect what a cell publishes until the kernel is idle."""
        done, started, stop = Done(), time.monotonic(), time.monotonic() + timeout
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, stop - time.monotonic()))
            kind, content = message["msg_type"], message["content"]
            if kind in ("display_data", "update_display_data"):
                content = {**content, "id": content.get("transient", {}).get("display_id")}
                (done.outputs if kind == "display_data" else done.updates).append(content)
            if message["parent_header"].get("msg_id") != asked:
                continue
            if kind in ("stream", "execute_result", "error"):
                done.outputs.append(content)
            elif kind == "status" and content["execution_state"] == "idle":
                break
        done.seconds = time.monotonic() - started
        while not done.status:
            with contextlib.suppress(queue.Empty):
                reply = self.client.get_shell_msg(timeout=5)
                if reply["parent_header"].get("msg_id") == asked:
                    done.status = reply["content"]["status"]
        return done

    def wait_for_text(self, text, timeout=60.0):
        """Wait until a cell that runs on prints this."""
        stop = time.monotonic() + timeout
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, stop - time.monotonic()))
            if message["msg_type"] == "stream" and text in message["content"]["text"]:
                return

    def updates(self, seconds):
        """Collect updates of outputs that come without a cell, for a while."""
        found, stop = [], time.monotonic() + seconds
        while (left := stop - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                message = self.client.get_iopub_msg(timeout=left)
                if message["msg_type"] == "update_display_data":
                    content = message["content"]
                    found.append({**content, "id": content["transient"]["display_id"]})
        return found

    def updates_until_picture(self, display, found, timeout=20.0):
        """Collect updates, after those that were `found`, until there is a picture in this display."""
        stop = time.monotonic() + timeout
        while not any(each["id"] == display and "image/png" in each["data"] for each in found):
            assert time.monotonic() < stop, "no picture came"
            found = found + self.updates(0.1)
        return found


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return the folder that runs go to; the working folder of kernels is beside it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.getcwd(), ROOT]))
    monkeypatch.delenv("RUNCAST_PANEL", raising=False)
    return tmp_path / "runs"


ROOT = os.getcwd()


@pytest.fixture
def kernels(place):
    """Return a function that starts a kernel, asked by a `page` or a `program`."""
    started = []

    def start(asker="page"):
        manager = KernelManager(kernel_name="python3")
        manager.shutdown_wait_time = 60  # SIGTERM comes at half of it
        manager.start_kernel(cwd=os.getcwd())
        session = PageSession(key=manager.session.key) if asker == "page" else None
        started.append(Kernel(manager, session))
        return started[-1]

    yield start
    for kernel in started:
        kernel.client.stop_channels()
        if kernel.manager.is_alive():
            kernel.manager.shutdown_kernel(now=True)
        kernel.manager.cleanup_resources()


@pytest.fixture
def store(place):
    with contextlib.closing(LocalStore(place)) as opened:
        yield opened


@pytest.fixture
def ended(store):
    """Return a function that waits until the only run has ended, and returns it."""

    def wait(timeout=20.0):
        stop = time.monotonic() + timeout
        while time.monotonic() < stop:
            runs = store.runs(RunQuery())
            if runs and runs[0].state != "running":
                (run,) = runs
                return run
            time.sleep(0.1)
        pytest.fail(f"the run has not ended in {timeout} s: {store.runs(RunQuery())}")

    return wait


@pytest.fixture
def steps(store):
    """Return a function that reads the steps recorded of a tag."""

    def read(run, tag):
        (series,) = [series for series in store.series(run.id) if series.tag == tag]
        return list(store.points(run.id, series.root, series.source, tag).step)

    return read
