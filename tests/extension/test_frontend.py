"""Each front end gets what it can show."""

import pytest

from runcast.errors import SettingsError
from runcast.extension.frontend import form

ASK = "from runcast.extension.frontend import detect; print(detect(get_ipython()))"


@pytest.mark.parametrize(("asker", "found"), [("page", "browser"), ("program", "client")])
def test_who_asks_is_told_by_the_request(kernels, asker, found):
    """A page gets the living panel; nbclient, papermill and the console get the static form."""
    assert kernels(asker).run(ASK).text == f"{found}\n"


def test_a_shell_without_a_kernel_is_a_terminal():
    """IPython's own prompt gets one line of text."""
    from IPython.core.interactiveshell import InteractiveShell

    from runcast.extension.frontend import cell_id, detect

    shell = InteractiveShell()

    assert detect(shell) == "terminal"
    assert cell_id(shell) is None


def test_the_environment_overrides(monkeypatch):
    """RUNCAST_PANEL forces one form everywhere, and a typo in it is told."""
    monkeypatch.setenv("RUNCAST_PANEL", "static")
    assert form("browser") == "static"
    monkeypatch.setenv("RUNCAST_PANEL", "")
    assert form("browser") == "widget"
    monkeypatch.setenv("RUNCAST_PANEL", "wigdet")
    with pytest.raises(SettingsError, match="set it to widget, static or none"):
        form("browser")
