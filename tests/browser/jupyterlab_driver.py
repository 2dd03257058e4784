"""A real JupyterLab, driven through its own command registry in a real Chromium."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Locator, Page

__all__ = ["Notebook", "Server", "chromium", "jupyterlab", "write_notebook"]

CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Server:
    """A JupyterLab that runs: its address, the folder of its notebooks and where its runs go."""

    url: str
    root: Path
    runs: Path
    log: Path


@contextlib.contextmanager
def jupyterlab(base: Path) -> Iterator[Server]:
    """Run a JupyterLab whose every folder is below `base`, until the block ends."""
    root, runs, log = base / "notebooks", base / "runs", base / "server.log"
    root.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "RUNCAST_DIR": str(runs),
        "IPYTHONDIR": str(base / "ipython"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "JUPYTERLAB_SETTINGS_DIR": str(base / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
        **{f"JUPYTER_{name}_DIR": str(base / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")},
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password="),
        *(f"--ServerApp.root_dir={root}", "--ServerApp.disable_check_xsrf=True"),
        *("--LabApp.expose_app_in_browser=True", "--LabApp.news_url="),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    news = base / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false"}')
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, cwd=base, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await_server(url, process, log)
        yield Server(url, root, runs, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_server(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"{url}/api/status", timeout=2).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def chromium(**context: Any) -> Iterator[Page]:
    """Open one page in a headless Chromium, until the block ends. `page.problems` lists what its console called errors."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), headless=True, args=list(CHROMIUM_ARGS)
        )
        try:
            page = browser.new_context(viewport={"width": 1400, "height": 1000}, **context).new_page()
            problems: list[str] = []
            page.on(
                "console", lambda message: problems.append(message.text) if message.type == "error" else None
            )
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.problems = problems  # type: ignore[attr-defined]
            yield page
        finally:
            browser.close()


def write_notebook(path: Path, cells: Sequence[str]) -> Path:
    """Write a notebook with these code cells."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)
    return path


class Notebook:
    """One notebook, open in the page."""

    def __init__(self, page: Page, server: Server, path: Path) -> None:
        self.page = page
        self.server = server
        self.path = path

    @property
    def panel(self) -> Locator:
        """The living panel."""
        return self.page.locator(".runcast:not([data-runcast-static] *):visible").first

    @property
    def form(self) -> Locator:
        """The static form, seen or not."""
        return self.page.locator("[data-runcast-static]").first

    def series(self, form: str = "panel") -> dict[tuple[str, str], dict[str, Any]]:
        """Return what the newest panel (or `static` form) of the page holds of each series, by (source, tag)."""
        script = """form => [...(globalThis.__runcast ?? [])]
            .filter(([uid]) => uid.startsWith('static:') === (form === 'static'))
            .slice(-1).flatMap(([, feed]) => feed.series())"""
        return {(one["source"], one["tag"]): one for one in self.page.evaluate(script, form)}

    def pictures(self) -> dict[str, str]:
        """Return what stands on each chart of the panel just now, by its title."""
        script = """() => Object.fromEntries([...document.querySelectorAll('.runcast:not([data-runcast-static] *) .rc-card')]
            .filter(card => card.querySelector('canvas'))
            .map(card => [card.querySelector('.rc-card-title').textContent, card.querySelector('canvas').toDataURL()]))"""
        found: dict[str, str] = self.page.evaluate(script)
        return found

    @property
    def name(self) -> str:
        return self.path.relative_to(self.server.root).as_posix()

    def open(self, *, kernel: bool = True) -> Notebook:
        """Show it; the first one loads JupyterLab, later ones reuse the page. Without `kernel`, no kernel is started."""
        page = self.page
        if not page.url.startswith(f"{self.server.url}/lab"):
            page.goto(f"{self.server.url}/lab?reset")
            page.wait_for_function("window.jupyterapp?.restored?.then(() => true)", timeout=60_000)
        page.evaluate(
            """async ([path, kernel]) => {
                const widget = await jupyterapp.commands.execute('docmanager:open', {
                    path, kernel: kernel ? undefined : { name: '', shouldStart: false, autoStartDefault: false, canStart: false },
                });
                await widget.context.ready;
                await widget.revealed;
                jupyterapp.shell.activateById(widget.id);
                if (kernel) {
                    await widget.sessionContext.ready;
                    await widget.sessionContext.session.kernel.info;
                }
            }""",
            [self.name, kernel],
        )
        return self

    def reload(self) -> None:
        """Reload the whole page, as F5 does after saving; the kernel lives on."""
        self.save()
        self.page.goto(f"{self.server.url}/lab/tree/{self.name}")
        self.page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext", timeout=60_000)
        self.page.evaluate(
            "async () => { const w = jupyterapp.shell.currentWidget; await w.context.ready; await w.sessionContext.ready }"
        )

    def run(self, index: int, *, wait: bool = True, timeout: float = 60.0) -> None:
        """Run one cell, and wait until it is done unless told otherwise."""
        self.page.evaluate(
            "i => { const n = jupyterapp.shell.currentWidget.content; n.activeCellIndex = i; n.deselectAll() }",
            index,
        )
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell') }")
        if wait:
            self.wait(index, timeout)

    def wait(self, index: int, timeout: float = 60.0) -> None:
        """Wait until a cell is done."""
        self.page.wait_for_function(
            """i => { const cell = jupyterapp.shell.currentWidget.content.model.cells.get(i);
                      return cell.executionCount !== null && cell.executionState !== 'running' }""",
            arg=index,
            timeout=timeout * 1000,
        )

    def wait_idle(self, timeout: float = 60.0) -> None:
        """Wait until the kernel is idle."""
        script = "() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
        self.page.wait_for_function(script, timeout=timeout * 1000)

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Return what the notebook would save as a cell's outputs."""
        script = "i => jupyterapp.shell.currentWidget.content.model.cells.get(i).outputs.toJSON()"
        found: list[dict[str, Any]] = self.page.evaluate(script, index)
        return found

    def restart(self) -> None:
        """Restart the kernel, as the menu does."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.restartKernel()")

    def shutdown(self) -> None:
        """Shut the kernel down, as the menu does."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def save(self) -> nbformat.NotebookNode:
        """Save, and return what is on disk."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.context.save()")
        return nbformat.read(self.path, as_version=4)

    def close(self) -> None:
        """Shut the kernel down and close the tab without saving."""
        self.page.evaluate(
            """async () => {
                const widget = jupyterapp.shell.currentWidget;
                if (widget?.sessionContext?.session) await widget.sessionContext.shutdown();
                if (widget?.context) { widget.context.model.dirty = false; await widget.context.ready; }
                widget?.dispose();
            }"""
        )
