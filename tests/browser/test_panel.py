"""A real JupyterLab in Chromium: the panel lives while the kernel is busy, and what a reader does there works."""

import re
import time

import pytest

from runcast.server.access import Access, Scope, Standing
from runcast.server.access.cookies import COOKIE
from runcast.server.app import create_app
from runcast.server.serve import in_thread
from runcast.store.local import LocalStore

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

START = "%load_ext runcast\n%sync_tensorboard --project browser"

# No sleep in one piece and no await: the kernel answers nothing until the cell ends.
TRAIN = """\
import os, time
from tensorboard.summary import Writer
train, validation = Writer("logs/{name}/train"), Writer("logs/{name}/validation")
step = 0
while step < {steps} if {steps} else not os.path.exists("{name}.stop"):
    train.add_scalar("loss/total", 1 / (step + 1), step)
    train.add_scalar("rate", 0.1, step)
    if step % 10 == 0:
        validation.add_scalar("loss/total", 2 / (step + 1), step)
    step += 1
    stop = time.monotonic() + {pause}
    while time.monotonic() < stop:
        sum(range(1000))
train.close()
validation.close()
open("{name}.steps", "w").write(str(step))
"""


@pytest.fixture
def train(request):
    """Return a training cell that writes to a folder of this test's own; one of no `steps` runs until it is told to stop."""

    def cell(steps=100, pause=0.002):
        return TRAIN.format(name=request.node.name, steps=steps, pause=pause)

    return cell


@pytest.fixture
def stop(request, server):
    """Return a function that tells the training cell to stop, and returns how many steps it took."""
    name = request.node.name

    def tell():
        (server.root / f"{name}.stop").touch()
        return int(wait_for(lambda: (path := server.root / f"{name}.steps").exists() and path.read_text()))

    return tell


def wait_for(look, timeout=30.0):
    stop = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < stop, "waited in vain"
        time.sleep(0.1)
    return found


def source(notebook, ending):
    return next(name for name, _ in notebook.series() if name.endswith(ending))


def held(notebook, ending, tag):
    """Return how many points the panel holds of a series, 0 for one that it has not."""
    found = [
        one for (name, other), one in notebook.series().items() if name.endswith(ending) and other == tag
    ]
    return found[0]["points"] if found else 0


def test_charts_move_while_the_cell_runs(notebook, train, stop):
    """Points reach the charts, and the charts' pixels, while the kernel is busy in one cell; in the end all are there, once."""
    opened = notebook(START, train(steps=0, pause=0.02))
    opened.run(0)
    opened.run(1, wait=False)
    seen, pictures = set(), set()
    wait_for(lambda: held(opened, "train", "loss/total") > 0)

    def moved():
        seen.add(held(opened, "train", "loss/total"))
        pictures.add(opened.pictures().get("total", ""))
        return min(len(seen), len(pictures)) >= 5

    wait_for(moved)
    steps = stop()
    wait_for(lambda: held(opened, "train", "loss/total") == steps)
    assert held(opened, "validation", "loss/total") == -(-steps // 10)
    last = opened.series()[source(opened, "train"), "loss/total"]
    assert (last["step"], last["value"]) == (steps - 1, pytest.approx(1 / steps))
    assert "rate" in opened.pictures()


def test_the_controls_act_while_the_kernel_is_busy(notebook, train):
    """Filter, smoothing, axes and the legend act at once, in the page."""
    opened = notebook(START, train(steps=100), "while True: pass")
    opened.run(0)
    opened.run(1)
    wait_for(lambda: held(opened, "train", "rate") == 100)
    opened.run(2, wait=False)
    panel, page = opened.panel, opened.page
    titles = panel.locator(".rc-card:visible .rc-card-title")
    wait_for(lambda: sorted(titles.all_inner_texts()) == ["rate", "total"])

    panel.get_by_label("Filter tags").fill("^loss/")
    wait_for(lambda: titles.all_inner_texts() == ["total"])
    panel.get_by_label("Filter tags").fill("(")
    wait_for(lambda: panel.locator(".rc-problem").inner_text())
    panel.get_by_label("Filter tags").fill("")
    wait_for(lambda: len(titles.all_inner_texts()) == 2)

    for act in (
        lambda: panel.get_by_label("Smoothing").fill("0"),
        lambda: panel.get_by_role("button", name="Log").click(),
        lambda: panel.get_by_role("button", name="Relative").click(),
        lambda: panel.locator(".rc-chip", has_text="validation").click(),
    ):
        before = opened.pictures()["total"]
        act()
        wait_for(lambda before=before: opened.pictures().get("total") not in (None, before), 5)

    before = opened.pictures()["total"]
    box = panel.locator(".rc-card", has_text="total").locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    wait_for(lambda: opened.pictures()["total"] != before, 5)
    reset = panel.locator("button", has_text="Reset zoom")
    assert reset.is_enabled()
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    wait_for(reset.is_disabled, 5)


WHITE_PIXELS = """panel => [...panel.querySelectorAll('.rc-card canvas')].reduce((sum, canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let k = 0; k < data.length; k += 4)
        if (Math.min(data[k], data[k + 1], data[k + 2]) > 220 && data[k + 3] > 128) sum++;
    return sum;
}, 0)"""


def test_the_theme_is_followed(notebook, train):
    """JupyterLab's dark theme turns the panel dark, and back; no grid of the light theme is left in the charts."""
    opened = notebook(START, train())
    opened.run(0)
    opened.run(1)
    wait_for(lambda: held(opened, "train", "rate") == 100)
    wait_for(lambda: opened.panel.evaluate(WHITE_PIXELS) > 0)
    set_theme = "theme => jupyterapp.commands.execute('apputils:change-theme', { theme })"
    background = "panel => getComputedStyle(panel).backgroundColor"
    try:
        opened.page.evaluate(set_theme, "JupyterLab Dark")
        wait_for(lambda: brightness(opened.panel.evaluate(background)) < 60)
        wait_for(lambda: opened.panel.evaluate(WHITE_PIXELS) == 0, 5)
    finally:
        opened.page.evaluate(set_theme, "JupyterLab Light")
    wait_for(lambda: brightness(opened.panel.evaluate(background)) > 200)
    wait_for(lambda: opened.panel.evaluate(WHITE_PIXELS) > 0, 5)


def brightness(colour):
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3


def test_the_tensorboard_tab_shows_tensorboard(notebook, train):
    """Opening the tab starts a real TensorBoard, and it lists this run's sources."""
    opened = notebook(START, train())
    opened.run(0)
    opened.run(1)
    wait_for(lambda: held(opened, "train", "rate") == 100)
    opened.panel.get_by_role("tab", name="TensorBoard").click()
    frame = opened.panel.locator("iframe.rc-frame")
    frame.wait_for(timeout=60_000)
    inside = opened.page.frame_locator("iframe.rc-frame")
    inside.get_by_text("loss", exact=False).first.wait_for(timeout=60_000)
    inside.get_by_text("validation", exact=False).first.wait_for(timeout=60_000)


def test_the_run_and_system_tabs(notebook, train):
    """The Run tab says which run this is and what is recorded; the System tab has a chart of the processor."""
    opened = notebook(START, train())
    opened.run(0)
    opened.run(1)
    opened.panel.get_by_role("tab", name="Run").click()
    runs = [path.name for path in (opened.server.runs / "runs").iterdir()]
    text = wait_for(lambda: (shown := opened.panel.inner_text()) and "tfevents" in shown and shown)
    assert any(run in text for run in runs)
    assert "browser" in text
    opened.panel.get_by_role("tab", name="System").click()
    wait_for(lambda: opened.panel.locator(".rc-card:visible canvas").count() > 0)


def test_reloading_the_page_keeps_the_charts(notebook, train):
    """F5 after a cell: the panel is back with every point, and goes on moving with the next cell."""
    opened = notebook(START, train(steps=100), train(steps=50).replace("logs/", "logs/again-"))
    opened.run(0)
    opened.run(1)
    wait_for(lambda: held(opened, "train", "rate") == 100)
    opened.reload()
    wait_for(lambda: held(opened, "train", "rate") == 100)
    wait_for(lambda: "rate" in opened.pictures())
    opened.run(2)
    wait_for(lambda: sum(one["points"] for (_, tag), one in opened.series().items() if tag == "rate") == 150)


def test_reloading_during_a_cell_catches_up(notebook, train, stop):
    """F5 while the kernel is busy: when the cell is done, at the latest, the panel has everything."""
    opened = notebook(START, train(steps=0, pause=0.03))
    opened.run(0)
    opened.run(1, wait=False)
    wait_for(lambda: held(opened, "train", "rate") > 20)
    opened.reload()
    steps = stop()
    wait_for(lambda: held(opened, "train", "rate") == steps, 60)


def test_the_panel_leads_to_the_run_on_its_server(notebook, page, tmp_path):
    """With `--to` the Run tab has a link to the run's page there; it opens beside the notebook, and shows the same points."""
    with LocalStore(tmp_path / "team", own_in_place=False) as store:
        access = Access(store.database)
        ada = access.users.add("ada", Standing.MEMBER)[0].id
        token = access.tokens.create(ada, "laptop", Scope.WRITE)[1]
        with in_thread(create_app(store, access)) as url:
            cookie = {"name": COOKIE, "value": access.sessions.open(ada).secret, "url": url}
            page.context.add_cookies([cookie])
            opened = notebook(
                f"import os; os.environ['RUNCAST_TOKEN'] = '{token}'\n{START} --to {url}",
                "from tensorboard.summary import Writer\nwriter = Writer('logs/shared')\n"
                "for step in range(30): writer.add_scalar('loss', 1 / (step + 1), step)\nwriter.flush()",
            )
            opened.run(0)
            opened.run(1)
            wait_for(lambda: held(opened, "shared", "loss") == 30)
            wait_for(store.runs)
            opened.panel.get_by_role("tab", name="Run").click()
            link = opened.panel.get_by_role("link", name=url)
            with page.context.expect_page() as popup:
                link.click()
            there = popup.value
            there.wait_for_selector(".rc-card canvas")
            there.wait_for_selector(".rc-state:text-is('running')")
            assert re.fullmatch(rf"{url}/runs/[a-z2-7]{{16}}", there.url)
            assert there.evaluate("opener") is None
            shown = """() => [...globalThis.__runcast.values()][0].series().find(one => one.tag === "loss").points"""
            wait_for(lambda: there.evaluate(shown) == 30)
            there.close()
