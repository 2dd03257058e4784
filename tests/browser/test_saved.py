"""What is left in a notebook when its kernel is gone: charts, never a dead widget alone."""

import time

import pytest

from runcast.store.local import LocalStore
from runcast.store.protocol import RunQuery

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

WIDGET = "application/vnd.jupyter.widget-view+json"

TRAIN = """\
from tensorboard.summary import Writer
writer = Writer("logs/{name}")
for step in range(100):
    writer.add_scalar("loss", 1 / (step + 1), step)
writer.close()
"""


def wait_for(look, timeout=30.0):
    stop = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < stop, "waited in vain"
        time.sleep(0.1)
    return found


def trained(notebook, name):
    """Open a notebook and train in it, until the static form is there."""
    opened = notebook(
        f"%load_ext runcast\n%sync_tensorboard --name {name}", TRAIN.format(name=name), "%runcast finish"
    )
    opened.run(0)
    opened.run(1)
    wait_for(lambda: bundles(opened, "image/png"))
    return opened


def bundles(opened, kind):
    return [output["data"][kind] for output in opened.outputs(0) if kind in output.get("data", {})]


def state(opened, name):
    with LocalStore(opened.server.runs) as store:
        return next((run.state for run in store.runs(RunQuery()) if run.name == name), None)


def assert_alive(opened):
    """The static form is seen, with its points and a drawn chart that a reader can use."""
    opened.form.wait_for(state="visible", timeout=20_000)
    wait_for(lambda: any(one["points"] == 100 for one in opened.series("static").values()))
    wait_for(lambda: opened.form.locator("canvas").count() > 0)

    def cards(pattern):
        """Count the charts that a filter leaves; typed anew each time, as the last form may just be taking the earlier one's place."""
        opened.form.get_by_label("Filter tags").fill(pattern)
        opened.page.wait_for_timeout(200)
        return opened.form.locator(".rc-card:visible").count()

    wait_for(lambda: cards("nothing like that") == 0)
    wait_for(lambda: cards("") == 1)


def test_the_living_panel_hides_the_form(notebook):
    """While the widget lives, the same charts do not stand there twice."""
    opened = trained(notebook, "hidden")
    opened.panel.wait_for(state="visible")
    assert not opened.form.is_visible()


def test_finishing_leaves_the_form_alone(notebook):
    """After %runcast finish the widget is gone from the notebook, the form is seen, and it works without a kernel."""
    opened = trained(notebook, "ended")
    opened.run(2)
    wait_for(lambda: not bundles(opened, WIDGET))
    assert_alive(opened)
    wait_for(lambda: state(opened, "ended") == "finished")


def test_a_finished_notebook_opens_again_with_its_charts(notebook):
    """Saved, closed, opened with no kernel: picture and interactive form are there, and no error of a widget."""
    opened = trained(notebook, "reopened")
    opened.run(2)
    wait_for(lambda: not bundles(opened, WIDGET))
    opened.save()
    opened.close()
    opened.open(kernel=False)
    assert opened.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session") is None
    assert_alive(opened)
    assert bundles(opened, "image/png")
    assert opened.page.get_by_text("Error displaying widget").count() == 0


def test_restart_leaves_the_form(notebook):
    """The kernel restarted from the menu: the run is finished, and what was drawn is in the notebook when it opens again."""
    opened = trained(notebook, "restarted")
    opened.restart()
    wait_for(lambda: state(opened, "restarted") == "finished")
    opened.save()
    opened.close()
    opened.open(kernel=False)
    assert_alive(opened)


def test_shutdown_leaves_the_form(notebook):
    """The kernel shut down from the menu: the same."""
    opened = trained(notebook, "shut")
    opened.shutdown()
    wait_for(lambda: state(opened, "shut") == "finished")
    opened.save()
    opened.close()
    opened.open(kernel=False)
    assert_alive(opened)


def test_a_page_that_runs_no_scripts_shows_the_picture(notebook, server, page):
    """In a notebook that is not trusted, JupyterLab drops the script; the picture is seen."""
    opened = trained(notebook, "untrusted")
    opened.run(2)
    wait_for(lambda: not bundles(opened, WIDGET))
    saved = opened.save()
    opened.close()
    saved.cells[1].source += "# changed elsewhere"
    for cell in saved.cells:
        cell.metadata.pop("trusted", None)
    import nbformat

    copy = server.root / "from-elsewhere.ipynb"
    saved.cells[0].outputs[-1].data["text/html"] += "<!-- not signed here -->"
    nbformat.write(saved, copy)
    from jupyterlab_driver import Notebook

    other = Notebook(page, server, copy).open(kernel=False)
    picture = page.locator(".jp-OutputArea img").first
    picture.wait_for(state="visible", timeout=20_000)
    assert picture.evaluate("image => image.naturalWidth") > 400
    other.close()
