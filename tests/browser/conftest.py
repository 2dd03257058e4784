"""One JupyterLab for the session, one page a module (two of Playwright cannot be open at once), one notebook a test."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jupyterlab_driver import Notebook, chromium, jupyterlab, write_notebook

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with jupyterlab(tmp_path_factory.mktemp("jupyterlab")) as running:
        yield running


@pytest.fixture(scope="module")
def page(server):
    with chromium() as opened:
        yield opened


@pytest.fixture
def notebook(server, page):
    """Return a function that opens a notebook with the given cells."""
    opened = []

    def open_notebook(*cells):
        path = write_notebook(server.root / f"notebook{next(_numbers)}.ipynb", cells)
        opened.append(Notebook(page, server, path).open())
        return opened[-1]

    yield open_notebook
    for each in opened:
        each.close()
