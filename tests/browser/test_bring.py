"""`%runcast sync` in a real JupyterLab: a table of the runs that stays."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

WRITE = """\
from tensorboard.summary import Writer
for name in ("first", "<b>second</b>"):
    writer = Writer(f"old/{name}")
    for step in range({steps}):
        writer.add_scalar("loss", 1 / (step + 1), step)
    writer.close()
"""


def test_a_table_of_the_runs_stays(notebook):
    """The table takes the bar's place, and a saved notebook shows it without a kernel, names as they are."""
    opened = notebook(
        "%load_ext runcast", WRITE.replace("{steps}", "30_000"), "%runcast sync old --project digits"
    )
    opened.run(0)
    opened.run(1)
    opened.run(2)
    table = opened.page.locator(".jp-OutputArea table").last
    table.wait_for(state="visible", timeout=20_000)
    assert opened.page.locator(".jp-OutputArea [role=progressbar]").count() == 0
    shown = table.inner_text()
    assert "<b>second</b>" in shown
    assert "30,001 events" in shown
    opened.save()
    opened.close()
    opened.open(kernel=False)
    table = opened.page.locator(".jp-OutputArea table").last
    table.wait_for(state="visible", timeout=20_000)
    assert table.inner_text() == shown
