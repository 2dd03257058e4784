"""The built panel in a real browser: what a reader sees of the frames that a kernel sends."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "widgets" / "static"
ADDRESS = "http://panel.test/"

pytestmark = pytest.mark.browser

# What anywidget gives a module: a model with traits and messages, and an element.
PAGE = """<!doctype html><meta charset="utf-8">
<style>table, button, canvas, dl, div { border: 3px solid rgb(255, 0, 0); text-transform: uppercase } p { color: rgb(1, 2, 3) }</style>
<body data-jp-theme-light="true"><p id="prose">The notebook's own text</p>
<div id="cell" style="width: 880px"></div><div id="form" data-runcast-static="u1">the static form</div>
<script type="module">
  import panel from "./panel.js";
  const traits = {
    uid: "u1",
    run: { id: "abcdefghijklmnop", name: "bright-otter", project: "digits", state: "running" },
    options: { height: 560, tensorboard: true },
    address: { port: null },
  };
  const handlers = [];
  window.sent = [];
  const model = {
    get: (name) => traits[name],
    on: (name, handle) => name === "msg:custom" && handlers.push(handle),
    off: () => {},
    send: (content) => window.sent.push(content),
  };
  window.receive = (header, columns = []) =>
    handlers.forEach((handle) => handle(header, columns.map((column) => new DataView(Float64Array.from(column).buffer))));
  panel.initialize({ model });
  window.open_view = () => {
    window.close_view = panel.render({ model, el: document.getElementById("cell") });
  };
  window.ready = true;
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    subprocess.run([sys.executable, ROOT / "tools" / "backend.py"], check=True, capture_output=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A notebook's page with the panel's module in it; its errors fail the test."""
    errors: list[str] = []
    with browser.new_page(viewport={"width": 1000, "height": 800}) as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.route(ADDRESS + "*.js", lambda route: route.fulfill(path=STATIC / Path(route.request.url).name))
        page.route(ADDRESS, lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.goto(ADDRESS)
        page.wait_for_function("window.ready")
        yield page
        assert errors == []


def snapshot(page: Page, tags: dict[str, list[float]], source: str = "train", seq: int = 0) -> None:
    """Send what the recorder sends first: whole series with their descriptions."""
    heads = [
        {"id": f"{source}/{tag}", "n": len(values), "total": len(values)}
        | {"root": "logs", "source": source, "tag": tag, "plugin": "scalars"}
        for tag, values in tags.items()
    ]
    steps = [step for values in tags.values() for step in range(len(values))]
    values = [value for series in tags.values() for value in series]
    header = {"kind": "snapshot", "v": 1, "uid": "u1", "seq": seq, "series": heads}
    page.evaluate("([header, columns]) => receive(header, columns)", [header, [steps, steps, values]])


def delta(page: Page, tag: str, steps: list[int], values: list[float], seq: int) -> None:
    header = {
        "kind": "delta",
        "v": 1,
        "uid": "u1",
        "seq": seq,
        "series": [{"id": f"train/{tag}", "n": len(steps)}],
    }
    page.evaluate("([header, columns]) => receive(header, columns)", [header, [steps, steps, values]])


def coloured(page: Page, tag: str) -> int:
    """Count the pixels of the tag's canvas that have the first source's colour."""
    return page.evaluate(
        """tag => {
          const canvas = document.querySelector(`canvas[data-tag="${tag}"]`);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let i = 0; i < data.length; i += 4) count += data[i] < 90 && data[i + 2] > 180 && data[i + 3] > 200;
          return count;
        }""",
        tag,
    )


def drawn_step(page: Page, tag: str) -> Any:
    return page.evaluate("tag => __runcast.get('u1').lastDrawn(tag)?.step", tag)


def test_points_that_came_before_the_view_are_drawn(page: Page) -> None:
    """A cell that trains while the page is still opening loses no point of its charts."""
    snapshot(page, {"loss": [3.0, 2.0, 1.0]})
    page.evaluate("open_view()")
    page.wait_for_function("__runcast.get('u1').lastDrawn('loss')?.step === 2")
    assert coloured(page, "loss") > 50
    assert page.get_by_text("3 points").is_visible()


def test_new_points_reach_the_screen(page: Page) -> None:
    """A chart moves while the cell runs, and says when it painted which point."""
    page.evaluate("open_view()")
    assert page.get_by_text("Waiting for the first point").is_visible()
    snapshot(page, {"loss": [3.0, 2.0, 1.0]})
    page.wait_for_function("__runcast.get('u1').lastDrawn('loss')?.step === 2")
    before = page.evaluate("performance.timeOrigin + performance.now()")
    delta(page, "loss", [3, 4], [0.5, 0.25], seq=1)
    page.wait_for_function("__runcast.get('u1').lastDrawn('loss')?.step === 4")
    drawn = page.evaluate("__runcast.get('u1').lastDrawn('loss')")
    assert drawn["value"] == 0.25
    assert 0 < drawn["drawnAt"] - before < 2000
    assert not page.get_by_text("Waiting for the first point").is_visible()


def test_files_that_are_left_out_are_told(page: Page) -> None:
    """Who waits for the points of an earlier training reads why they do not come, and sees no lag in the table."""
    old = {"path": "logs/old", "source": "old", "size": 5000, "recorded": 0, "lag": 5000, "state": "older"}
    receive = (
        "files => receive({ kind: 'run', v: 1, uid: 'u1', run: { state: 'running' }, points: 1, files })"
    )
    page.evaluate("open_view()")
    page.evaluate(receive, [old])
    told = page.get_by_text("1 older event file is left out: it has not grown since the run started.")
    assert told.is_visible()
    assert page.get_by_text("1 point", exact=True).is_visible()
    page.evaluate(receive, [old, old | {"path": "logs/older"}])
    assert page.get_by_text("2 older event files are left out: they have not grown").is_visible()
    page.get_by_role("tab", name="Run").click()
    assert page.locator(".rc-table tbody tr").first.locator("td").nth(3).inner_text() == "\N{EN DASH}"


def test_the_head_of_a_chart_shows_what_was_logged(page: Page) -> None:
    """The number above a curve is the last value itself, however strongly the curve is smoothed."""
    snapshot(page, {"loss": [100.0, 10.0, 0.125]})
    page.evaluate("open_view()")
    page.wait_for_function("__runcast.get('u1').lastDrawn('loss')?.step === 2")
    assert page.locator(".rc-card-readout").inner_text() == "0.125"


def test_the_living_panel_hides_the_static_form(page: Page) -> None:
    """Nothing is shown twice; when the panel goes, the form is back."""
    assert page.locator("#form").is_visible()
    page.evaluate("open_view()")
    assert not page.locator("#form").is_visible()
    page.evaluate("close_view()")
    assert page.locator("#form").is_visible()
    assert page.locator(".runcast").count() == 0


def test_the_page_is_asked_for_points_after_a_reload(page: Page) -> None:
    """A reloaded page asks the kernel for everything, and works the same if it gets no answer."""
    assert page.evaluate("sent") == [{"kind": "hello", "uid": "u1"}]


def test_styles_stay_on_their_side(page: Page) -> None:
    """A notebook's style sheet does not disfigure the panel, nor the panel the notebook."""
    snapshot(page, {"loss": [3.0, 2.0, 1.0]})
    page.evaluate("open_view()")
    page.wait_for_selector("canvas[data-tag=loss]")
    style = "element => [getComputedStyle(element).borderTopColor, getComputedStyle(element).textTransform]"
    for selector in (".rc-tab", ".rc-card", "canvas"):
        border, transform = page.locator(selector).first.evaluate(style)
        assert (border != "rgb(255, 0, 0)", transform) == (True, "none"), selector
    assert page.locator("#prose").evaluate("element => getComputedStyle(element).color") == "rgb(1, 2, 3)"


def test_tags_are_text(page: Page) -> None:
    """A tag, a source or a message that looks like HTML is shown as it is."""
    evil = "<img src=x onerror=window.hacked=1>"
    snapshot(page, {f"{evil}/{evil}": [1.0, 2.0]}, source=evil)
    page.evaluate("text => receive({ kind: 'warning', text })", evil)
    page.evaluate("open_view()")
    page.wait_for_selector("canvas")
    page.mouse.move(500, 400)
    assert page.locator(".rc-warning").inner_text().startswith(evil)
    assert page.locator(".runcast img").count() == 0
    assert page.evaluate("window.hacked") is None


def test_a_drag_zooms_and_a_double_click_resets(page: Page) -> None:
    """Zooming in shows fewer steps; everything comes back with a double click."""
    snapshot(page, {"loss": np.linspace(1, 0, 1000).tolist()})
    page.evaluate("open_view()")
    page.wait_for_selector("canvas[data-tag=loss]")
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 100, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, middle + 3, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Reset zoom").wait_for()
    page.mouse.move(box["x"] + box["width"] - 2, middle)
    step = page.locator(".rc-tooltip-heading span").first
    last = 1000 * 200 / box["width"]
    assert abs(int(step.inner_text().removeprefix("step ").replace(",", "")) - last) < 20
    page.mouse.dblclick(box["x"] + 150, middle)
    page.get_by_role("button", name="Reset zoom").wait_for(state="hidden")


def test_the_tooltip_stays_inside_the_panel(page: Page) -> None:
    """At the right edge of the panel the values are beside the pointer's other side, not cut off."""
    for seq, source in enumerate(["train", "validation", "a/rather/long/name/of/a/source"]):
        snapshot(page, {"loss": [3.0, 2.0, 1.0], "zeta": [1.0, 2.0, 3.0]}, source=source, seq=seq)
    page.evaluate("open_view()")
    page.wait_for_selector("canvas[data-tag=zeta]")
    box = page.locator(".u-over").nth(1).bounding_box()
    panel = page.locator(".runcast").bounding_box()
    assert box is not None
    assert panel is not None
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 20)
    tooltip = page.locator(".rc-tooltip").bounding_box()
    assert tooltip is not None
    assert tooltip["x"] >= panel["x"]
    assert tooltip["x"] + tooltip["width"] <= panel["x"] + panel["width"]
    assert page.locator(".rc-tooltip-row").count() == 3


def test_system_charts_stand_apart_from_the_tabs(page: Page) -> None:
    """The first row of the System tab does not touch the tabs' line."""
    head = {
        "id": "1",
        "n": 1,
        "total": 1,
        "root": "own",
        "source": "system",
        "tag": "cpu",
        "plugin": "scalars",
    }
    send = "head => receive({ kind: 'snapshot', v: 1, uid: 'u1', series: [head] }, [[1], [1], [1]])"
    page.evaluate(send, head)
    page.evaluate("open_view()")
    page.get_by_role("tab", name="System").click()
    card = page.locator(".rc-card").bounding_box()
    tabs = page.locator(".rc-top").bounding_box()
    assert card is not None
    assert tabs is not None
    assert card["y"] - tabs["y"] - tabs["height"] >= 8


def test_the_last_step_is_written_in_full(page: Page) -> None:
    """A tick at the very end of the x axis has room for its label."""
    snapshot(page, {"loss": [float(step) for step in range(5001)]})
    page.evaluate("open_view()")
    page.wait_for_function("__runcast.get('u1').lastDrawn('loss')")
    cut = """() => {
      const canvas = document.querySelector("canvas");
      const { data } = canvas.getContext("2d").getImageData(canvas.width - 1, 0, 1, canvas.height);
      return data.some((byte) => byte > 0);
    }"""
    assert not page.evaluate(cut)


def test_hiding_a_source_leaves_the_others_bright(page: Page) -> None:
    """Pointing at a source fades the others; hiding it with that same click brings them back."""
    for seq, source in enumerate(["train", "validation"]):
        snapshot(page, {"loss": [3.0, 2.0, 1.0]}, source=source, seq=seq)
    page.evaluate("open_view()")
    page.wait_for_function("__runcast.get('u1').lastDrawn('loss')")
    chip = page.locator(".rc-chip").nth(1)
    drawn_at = "__runcast.get('u1').lastDrawn('loss').drawnAt"
    for act, bright in ((chip.hover, False), (chip.click, True)):
        before = page.evaluate(drawn_at)
        act()
        page.wait_for_function(f"{drawn_at} > {before}")
        assert (coloured(page, "loss") > 50) is bright


def test_a_source_has_the_same_colour_in_every_form(page: Page) -> None:
    """The source that came first has the first colour, whatever order its series are sent in, and keeps it."""
    heads = [
        {"id": id_, "n": 1, "total": 1, "root": "logs", "source": source, "tag": "loss", "plugin": "scalars"}
        for id_, source in [("10", "late"), ("9", "early")]
    ]
    receive = "([series, column]) => receive({ kind: 'snapshot', v: 1, uid: 'u1', series }, [column, column, column])"
    page.evaluate(receive, [heads, [1.0, 2.0]])
    page.evaluate("open_view()")
    colours = """() => Object.fromEntries([...document.querySelectorAll(".rc-chip")].map(
      (chip) => [chip.innerText.trim(), chip.style.getPropertyValue("--rc-line")]))"""
    before = page.evaluate(colours)
    assert before == {"early": "#2a6fdb", "late": "#e36a0d"}
    page.evaluate(receive, [[heads[0] | {"id": "3", "source": "latest"}], [1.0]])
    page.wait_for_function("document.querySelectorAll('.rc-chip').length === 3")
    assert page.evaluate(colours) == before | {"latest": "#129a74"}


def test_the_theme_follows_the_page(page: Page) -> None:
    """Switching JupyterLab's theme switches the panel while it lives."""
    page.evaluate("open_view()")
    panel = page.locator(".runcast")
    assert panel.get_attribute("data-theme") == "light"
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_selector(".runcast[data-theme=dark]")


def test_only_what_is_in_sight_is_drawn(page: Page) -> None:
    """A hundred charts cost as much as the few that can be seen."""
    snapshot(page, {f"group/{index}": [1.0, 2.0, 3.0] for index in range(100)})
    page.evaluate("open_view()")
    page.wait_for_function("__runcast.get('u1').lastDrawn('group/0')")
    assert 4 <= page.locator("canvas").count() <= 30
    assert drawn_step(page, "group/99") is None
    page.locator(".rc-scroller").first.evaluate("element => (element.scrollTop = element.scrollHeight)")
    page.wait_for_function("__runcast.get('u1').lastDrawn('group/99')?.step === 2")
    assert page.locator("canvas").count() <= 30


def test_a_saved_notebook_shows_its_charts(page: Page) -> None:
    """The static form draws without a kernel, has no TensorBoard tab, and a newer one takes its place."""

    def column(values: list[float]) -> str:
        return base64.b64encode(np.asarray(values, "<f8").tobytes()).decode()

    head = {"id": "1", "n": 3, "root": "logs", "source": ".", "tag": "loss", "plugin": "scalars", "total": 3}
    form = {
        "v": 1,
        "uid": "u1",
        "run": {"name": "bright-otter", "state": "finished"},
        "series": [head],
        "buffers": {"step": column([0, 1, 2]), "wall": column([7, 8, 9]), "value": column([3, 2, 1])},
    }
    page.add_script_tag(url=ADDRESS + "static.js")
    mount = "form => { runcastStatic.mount(document.getElementById('form'), form) }"
    for _ in range(2):
        page.evaluate(mount, json.loads(json.dumps(form)))
        page.wait_for_selector("#form canvas[data-tag=loss]")
    assert page.locator("#form .runcast").count() == 1
    assert page.get_by_role("tab").all_inner_texts() == ["Charts", "System", "Run"]
    page.wait_for_function("__runcast.get('static:u1').lastDrawn('loss')?.step === 2")
    assert coloured(page, "loss") > 50


def test_cores_and_gpus_share_charts(page: Page) -> None:
    """The System tab has one chart for all cores and one for each figure of all GPUs, with a line for each of them."""
    tags = {f"cpu/core{core:02}_percent": [10.0 + core, 20.0 + core, 90.0 - core] for core in range(16)}
    tags |= {f"gpu{gpu}/power_w": [100.0 + gpu, 300.0, 250.0 - 20 * gpu] for gpu in range(2)}
    tags |= {"cpu/percent": [10.0, 20.0, 40.0], "notebook/cell": [3.0, 3.0, 0.0]}
    heads = [
        {"id": tag, "n": 3, "total": 3, "root": "own", "source": "system", "tag": tag, "plugin": "scalars"}
        for tag in tags
    ]
    values = [value for series in tags.values() for value in series]
    steps = [0, 2, 4] * len(tags)
    header = {"kind": "snapshot", "v": 1, "uid": "u1", "seq": 0, "series": heads}
    page.evaluate("([header, columns]) => receive(header, columns)", [header, [steps, steps, values]])
    page.evaluate("open_view()")
    page.get_by_role("tab", name="System").click()
    titles = page.locator(".rc-system .rc-card-title").all_inner_texts()
    assert titles == ["CPU cores", "CPU", "GPU power", "Notebook cell"]
    page.locator('.rc-system .rc-card:has-text("GPU power") .rc-plot').hover()
    rows = page.locator(".rc-tooltip-label").all_inner_texts()
    assert sorted(rows) == ["GPU 0", "GPU 1"]


def test_the_run_tab_tells_what_is_known(page: Page) -> None:
    """Commit, changes, machine and GPUs read as a person would say them, and the remote is a link."""
    facts = {
        "command": "python train.py --token REDACTED",
        "git": {
            "commit": "8aa281daffa5178a072de645",
            "branch": "main",
            "dirty": True,
            "upstream": "origin/main",
            "ahead": 2,
            "remote": "https://git.example/team/project.git",
        },
        "cpu": "AMD EPYC",
        "cpus": 32,
        "cores": 16,
        "memory": 64_000_000_000,
        "gpus": [{"name": "NVIDIA H100", "memory": 80_000_000_000}] * 2,
        "cuda": "12.4",
        "driver": "550.54",
        "slurm": {"job": "17"},
    }
    page.evaluate(
        "facts => receive({ kind: 'run', v: 1, uid: 'u1', run: { state: 'running', facts }, points: 1, files: [] })",
        facts,
    )
    page.evaluate("open_view()")
    page.get_by_role("tab", name="Run").click()
    names = page.locator(".rc-facts dt").all_inner_texts()
    told = dict(zip(names, page.locator(".rc-facts dd").all_inner_texts(), strict=True))
    assert told["CPU"] == "AMD EPYC, 16 cores, 32 threads"
    assert told["GPUs"].replace("\N{NO-BREAK SPACE}", " ") == "2 \N{MULTIPLICATION SIGN} NVIDIA H100 (80 GB)"
    assert told["NVIDIA driver"] == "550.54, CUDA 12.4"
    assert told["Not pushed"] == "2 commits beyond origin/main"
    assert "with changes that are not committed" in told["Git commit"]
    assert told["Slurm"] == "job=17"
    link = page.get_by_role("link", name="https://git.example/team/project.git")
    assert link.get_attribute("href") == "https://git.example/team/project"
