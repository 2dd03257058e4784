"""A real IPython shell in this process, with the extension loaded."""

import os
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNCAST_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    hooks = sys.excepthook, sys.displayhook
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.run_line_magic("load_ext", "runcast")
    yield shell
    shell.run_line_magic("unload_ext", "runcast")
    shell.reset(new_session=False)
    InteractiveShell.clear_instance()
    sys.excepthook, sys.displayhook = hooks
    assert os.getcwd() == str(tmp_path)


@pytest.fixture
def store(tmp_path):
    """Return a function that opens the store that the shell's runs are in."""
    from runcast.store.local import LocalStore

    opened = LocalStore(tmp_path / "runs")
    yield opened
    opened.close()
