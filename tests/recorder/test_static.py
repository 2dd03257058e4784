"""What a saved notebook shows: a picture, and a page that comes alive in a real browser."""

from __future__ import annotations

import base64
import io
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageColor
from playwright.sync_api import sync_playwright

from runcast.recorder import static
from runcast.recorder.static_charts import compose, drawing_order, source_labels
from runcast.recorder.static_png import COLOURS
from runcast.run.record import RunRecord
from runcast.store.protocol import Points, SeriesRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

START = 1_700_000_000.0

RUN = RunRecord("abcdefghijklmnop", "digits", "bright-otter", "finished", START, ended=START + 133)

BUNDLE = """(() => {
  const marker = "</script><script>globalThis.escaped = 1</script><!--";
  globalThis.mounted ??= [];
  globalThis.runcastStatic = { mount(element, form) {
    element.textContent = form.run.name;
    globalThis.mounted.push({ uid: form.uid, form, marker });
  } };
})();"""


class Recorded:
    """A run's series, as a store would answer them."""

    def __init__(self, run: RunRecord = RUN) -> None:
        self.run = run
        self.series: list[SeriesRecord] = []
        self.columns: dict[int, Points] = {}

    def add(
        self, tag: str, values: Any, source: str = "train", root: str = "logs", first: int = 0
    ) -> Recorded:
        value = np.asarray(values, np.float64)
        step = np.arange(first, first + len(value), dtype=np.int64)
        number = len(self.series) + 1
        known = value[np.isfinite(value)]
        least, most = (known.min(), known.max()) if len(known) else (math.nan, math.nan)
        self.columns[number] = Points(step, START + np.arange(len(value)) / 4, value)
        self.series.append(
            SeriesRecord(
                number, root, source, tag, "scalars", len(value),
                int(step[0]), int(step[-1]), float(value[-1]), float(least), float(most), START + len(value) / 4,
            )
        )  # fmt: skip
        return self

    def draw(self, bundle: Path | str = "", uid: str = "u1") -> tuple[bytes, str]:
        png, html = static.draw(
            self.run, self.series, lambda one: self.columns[one.id], bundle=str(bundle), uid=uid
        )
        return png, html.decode("utf-8")

    def picture(self) -> Any:
        return compose(sorted(self.series, key=drawing_order), self.columns)


def training(points: int = 300) -> Recorded:
    noise = np.random.default_rng(0).normal(size=points) * 0.02
    decay = np.exp(-np.arange(points) / points * 4)
    recorded = Recorded()
    for source, floor in (("train", 0.1), ("validation", 0.3)):
        recorded.add("loss/total", decay + floor + noise, source)
        recorded.add("accuracy/top1", 1 - decay - floor / 2 + noise, source)
    return recorded.add("cpu/percent", np.full(20, 40.0), "system", "own")


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image.convert("RGB")


def pixels_of(image: Image.Image, colour: str) -> int:
    """Count the pixels of a colour, as near as a palette comes to it."""
    distance = np.abs(np.asarray(image, np.int16) - np.array(ImageColor.getrgb(colour), np.int16)).max(axis=2)
    return int((distance <= 4).sum())


# The picture


def test_the_picture_has_the_lines_in_their_colours() -> None:
    """The saved notebook's picture is sharp, small, white, and has a line for each source in its colour."""
    png, _ = training().draw()
    image = opened(png)
    assert image.width == 2 * 900
    assert 400 < image.height < 2000
    assert len(png) < 300_000
    assert image.getpixel((2, 2)) == (255, 255, 255)
    assert pixels_of(image, COLOURS[0]) > 3000
    assert pixels_of(image, COLOURS[1]) > 3000
    assert pixels_of(image, COLOURS[2]) < 3000, "the third colour is that of the run's state, and of no line"


def test_a_line_runs_where_its_values_are() -> None:
    """A line that rises from left to right is low on the left and high on the right."""
    image = np.asarray(opened(Recorded().add("rising", np.arange(100.0)).draw()[0]), np.int16)
    plot = image[200:]
    line = np.abs(plot - np.array(ImageColor.getrgb(COLOURS[0]), np.int16)).max(axis=2) <= 4
    columns = np.flatnonzero(line.any(axis=0))
    height = [float(np.flatnonzero(line[:, column]).mean()) for column in columns[:: len(columns) // 8][:7]]
    assert height == sorted(height, reverse=True)
    assert height[0] - height[-1] > 200


def test_charts_are_grouped_and_ordered_as_in_tensorboard() -> None:
    """Tags without a slash come first, groups and tags follow in natural order, and each chart has all its sources."""
    recorded = Recorded()
    for tag in ("b/layer10", "b/layer9", "a/x", "lr"):
        recorded.add(tag, [1, 2], "train").add(tag, [1, 2], "eval")
    picture = recorded.picture()
    assert [chart.tag for chart in picture.charts] == ["lr", "a/x", "b/layer9", "b/layer10"]
    assert picture.sources == ("train", "eval"), "as they came"
    assert all([line.source for line in chart.lines] == [0, 1] for chart in picture.charts)


def test_system_metrics_only_where_there_is_nothing_else() -> None:
    """The picture is of the training; only a run that measured nothing shows its machine."""
    assert "cpu/percent" not in [chart.tag for chart in training().picture().charts]
    alone = Recorded().add("cpu/percent", [1, 2], "system", "own")
    assert [chart.tag for chart in alone.picture().charts] == ["cpu/percent"]
    assert pixels_of(opened(alone.draw()[0]), COLOURS[0]) > 300


def test_values_of_run_log_are_a_source_of_their_own() -> None:
    """What `run.log` wrote is in the same chart as the writers' tag of that name, and the legend says run.log."""
    picture = Recorded().add("loss", [1, 2], "log", "own").add("loss", [2, 3], "train").picture()
    assert picture.sources == ("run.log", "train"), (
        "as they came, so that each keeps the colour that it had in the panel"
    )
    assert len(picture.charts) == 1


def test_sources_have_short_names_that_tell_them_apart() -> None:
    """Folders that all sources share are left out of the legend."""
    labels = source_labels([("logs", "."), ("logs", "a/train"), ("logs", "a/eval"), ("own", "log")])
    assert list(labels.values()) == ["logs", "a/train", "a/eval", "run.log"]
    assert list(source_labels([("cwd", "runs/a"), ("cwd", "runs/b")]).values()) == ["a", "b"]
    assert list(source_labels([("logs", ".")]).values()) == ["logs"]


def test_more_than_a_picture_holds() -> None:
    """Of many charts the picture has the first, of many sources those with the most charts, and it counts the rest."""
    recorded = Recorded()
    for number in range(20):
        recorded.add(f"t{number}", [1, 2])
    for number in range(14):
        recorded.add("reward", [number, 2], f"seed_{number}")
    picture = recorded.picture()
    assert (len(picture.charts), picture.more_charts) == (12, 9)
    assert (len(picture.sources), picture.more_sources) == (10, 5)
    assert picture.sources == ("train", *(f"seed_{number}" for number in range(9)))
    assert opened(recorded.draw()[0]).height < 3000


def test_smoothing_is_tensorboards() -> None:
    """The strong line is the moving average that TensorBoard draws at 0.6; gaps stay gaps."""
    (line,) = Recorded().add("t", [1.0, 2.0, math.nan, 4.0]).picture().charts[0].lines
    assert line.smooth[:2].tolist() == pytest.approx([1.0, (0.6 * 0.4 + 0.4 * 2) / (1 - 0.36)])
    assert math.isnan(line.smooth[2])
    assert line.smooth[3] == pytest.approx((0.6 * (0.6 * 0.4 + 0.4 * 2) + 0.4 * 4) / (1 - 0.216))
    (constant,) = Recorded().add("t", [0.1] * 5).picture().charts[0].lines
    assert constant.smooth.tolist() == [0.1] * 5


@pytest.mark.parametrize(
    "values",
    [
        [1.0, math.nan, math.inf, -math.inf, 2.0],
        [math.nan] * 3,
        [0.5],
        [math.nan, 0.5, math.nan],
        [1e308, -1e308, 5e-324],
        [1e-300, 2e-300],
        [1e16, 1e16 + 2],
        [0.0, 0.0],
        [-1234567.0, 9876543.0],
    ],
    ids=str,
)
def test_values_of_every_kind(values: list[float]) -> None:
    """Gaps, single points, constants and numbers at the ends of the range are drawn, without a warning."""
    assert opened(Recorded().add("t", values).draw()[0]).height > 200


def test_a_single_point_can_be_seen() -> None:
    """A run with one point shows a dot, also when it stands between gaps."""
    empty = pixels_of(opened(Recorded().add("t", [math.nan]).draw()[0]), COLOURS[0])
    for values in ([0.5], [math.nan, 0.5, math.nan, math.nan]):
        assert pixels_of(opened(Recorded().add("t", values).draw()[0]), COLOURS[0]) > empty


def test_steps_of_every_size() -> None:
    """Steps in the billions and beyond have an axis."""
    assert opened(Recorded().add("t", [1, 2], first=2**62).draw()[0]).height > 200


def test_text_is_shown_as_it_is() -> None:
    """Dollars and underscores are no formulas, and scripts without glyphs, emoji and line breaks cost no warning."""
    plain = Recorded().add("x", [1, 2]).draw()[0]
    assert Recorded().add("$x$", [1, 2]).draw()[0] != plain
    for tag in (
        r"$\frac{bad", "a_b^c", "损失/训练", "🚀\n\t\x00\x7f", "\u202e\u2028", "x" * 5000, "/", "a/", "", "9" * 5000,
    ):  # fmt: skip
        recorded = Recorded(replace(RUN, name=tag, project=tag)).add(tag, [1, 2], tag)
        assert opened(recorded.draw()[0]).height > 200


def test_a_run_without_points() -> None:
    """A run that has measured nothing yet has a picture that says so."""
    png, html = Recorded(replace(RUN, state="running", ended=None)).draw()
    assert 100 < opened(png).height < 300
    assert re.search(r"Run bright-otter \(recorded up to \d{4}-\d\d-\d\d \d\d:\d\d\)", html)


DRAW = """
import sys
from runcast.recorder import static
from runcast.run.record import RunRecord
assert "matplotlib" not in sys.modules
static.warm()
from matplotlib import rcParams
def settings():
    return {name: rcParams[name] for name in rcParams if name != "backend"}  # to ask for that one is to set it
before = settings()
png, _ = static.draw(RunRecord("a", "p", "n", "finished", 1.0, 2.0), [], lambda one: None, bundle="", uid="u")
assert settings() == before
assert "matplotlib.pyplot" not in sys.modules
sys.stdout.buffer.write(png)
"""


def test_the_picture_is_the_same_whatever_matplotlibrc_says(tmp_path: Path) -> None:
    """A user's matplotlib settings neither change the picture nor are changed, and no window system is touched."""
    (tmp_path / "matplotlibrc").write_text(
        "text.usetex: True\nfont.family: serif\nlines.marker: o\nlines.linewidth: 9\nsavefig.dpi: 30\nfigure.facecolor: red\n"
        "backend: tkagg\naxes.unicode_minus: False\n"
    )
    pictures = [
        subprocess.run(
            [sys.executable, "-c", DRAW],
            capture_output=True,
            check=True,
            timeout=60,
            env={**os.environ, **environment},
        ).stdout
        for environment in ({}, {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")})
    ]
    assert opened(pictures[0]).width == 1800
    assert pictures[0] == pictures[1]


# The page


class Elements(HTMLParser):
    """Collects tags, as a sanitiser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose errors fail the test."""
    with browser.new_page() as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "static.js"
    path.write_text(BUNDLE, "utf-8")
    return path


def load(page: Page, tmp_path: Path, *fragments: str) -> None:
    file = tmp_path / "page.html"
    file.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{''.join(fragments)}", "utf-8")
    page.goto(file.as_uri())


def column(form: dict[str, Any], name: str) -> list[float]:
    return np.frombuffer(base64.b64decode(form["buffers"][name]), "<f8").tolist()


def test_without_the_panels_script_there_is_only_the_picture(tmp_path: Path) -> None:
    """Where the script was not built the form is the picture alone, and says in words what is on it."""
    png, html = training().draw(tmp_path / "missing.js")
    (_, box), (tag, image) = Elements(html).found
    assert box["class"] == "runcast-static"
    assert tag == "img"
    assert image["src"] == f"data:image/png;base64,{base64.b64encode(png).decode()}"
    assert "loss/total" in (image["alt"] or "")


@pytest.mark.browser
def test_a_page_that_runs_no_scripts(browser: Browser, tmp_path: Path, bundle: Path) -> None:
    """An untrusted notebook, whose scripts do not run, shows the picture at its width, and no stray text."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    load(page, tmp_path, training().draw(bundle)[1])
    box = page.locator("img").bounding_box()
    assert box is not None
    assert box["width"] == 900
    assert box["height"] > 200
    assert page.locator("body").inner_text().strip() == ""
    context.close()


@pytest.mark.browser
def test_a_page_that_runs_scripts(page: Page, tmp_path: Path, bundle: Path) -> None:
    """Where scripts run the panel gets every series, exactly as recorded, system metrics included."""
    recorded = training()
    load(page, tmp_path, recorded.draw(bundle, uid='u"1<')[1])
    (mounted,) = page.evaluate("mounted")
    form = mounted["form"]
    assert (form["v"], form["uid"]) == (1, 'u"1<')
    assert form["run"]["state"] == "finished"
    assert page.locator(".runcast-static").inner_text() == "bright-otter"
    assert {(one["root"], one["source"]) for one in form["series"]} >= {("logs", "train"), ("own", "system")}
    steps, walls, values = (column(form, name) for name in ("step", "wall", "value"))
    start = 0
    for one in form["series"]:
        points, stop = recorded.columns[one["id"]], start + one["n"]
        assert one["total"] == one["n"] == len(points.step)
        assert steps[start:stop] == points.step.tolist()
        assert walls[start:stop] == points.wall_time.tolist()
        assert values[start:stop] == points.value.tolist()
        start = stop
    assert start == len(values)


@pytest.mark.browser
def test_names_cannot_break_out(page: Page, tmp_path: Path, bundle: Path) -> None:
    """Whatever a run, a tag or a value in its config is called, it is text and never acts."""
    nasty = "</script><script>globalThis.hacked = 1</script><!-- \" ' & \u2028\u2029 \\ `${1}` <img src=x onerror=hacked=1>"
    run = replace(
        RUN,
        name=nasty,
        project=nasty,
        config={nasty: math.nan, "__proto__": {"hacked": 1}},
        facts={"python": nasty},
    )
    load(page, tmp_path, Recorded(run).add(nasty, [1, 2], nasty, nasty).draw(bundle, uid=nasty)[1])
    (mounted,) = page.evaluate("mounted")
    form = mounted["form"]
    assert form["run"]["name"] == form["series"][0]["tag"] == form["uid"] == nasty
    assert form["run"]["config"][nasty] == "NaN"
    assert mounted["marker"].startswith("</script>"), "text in the panel's script is kept as it is"
    assert page.evaluate("typeof hacked + typeof escaped + typeof ({}).hacked") == "undefined" * 3
    assert page.locator(".runcast-static").inner_text().startswith("</script>")


def test_a_saved_notebook_tells_no_secrets(bundle: Path) -> None:
    """Who published a notebook finds neither user, host, folder, command line nor remote in it; the commit is there."""
    facts = {
        "host": "secret-host", "user": "secret-user", "cwd": "/home/secret-user", "command": "train.py --key secret",
        "executable": "/home/secret-user/python", "python": "3.11.7",
        "git": {"commit": "c0ffee", "remote": "https://secret.example/repo"},
    }  # fmt: skip
    saved = Recorded(replace(RUN, facts=facts)).add("t", [1, 2]).draw(bundle)[1]
    assert "secret" not in saved
    assert "c0ffee" in saved


@pytest.mark.browser
def test_several_forms_in_one_page(page: Page, tmp_path: Path, bundle: Path) -> None:
    """Forms of several runs, one shown twice, and one that is drawn again all come alive, each with its own run."""
    first = training().draw(bundle, uid="a")[1]
    second = Recorded(replace(RUN, name="calm-lynx")).add("t", [1, 2]).draw(bundle, uid="b")[1]
    load(page, tmp_path, first, second, first)
    assert page.locator(".runcast-static").all_inner_texts() == ["bright-otter", "calm-lynx", "bright-otter"]
    again = Recorded(replace(RUN, name="brave-crane")).add("t", [1, 2, 3]).draw(bundle, uid="b")[1]
    page.evaluate(
        """html => {
          const [, box] = document.querySelectorAll(".runcast-static");
          const output = document.createElement("div");
          output.append(document.createRange().createContextualFragment(html));
          box.replaceWith(output);
        }""",
        again,
    )
    assert page.locator(".runcast-static").all_inner_texts() == [
        "bright-otter",
        "brave-crane",
        "bright-otter",
    ]


@pytest.mark.browser
def test_a_large_run_stays_light_and_keeps_its_spikes(page: Page, tmp_path: Path, bundle: Path) -> None:
    """A run of many series weighs about a megabyte in the notebook, and no spike is lost on the way."""
    recorded = Recorded()
    for number in range(100):
        values = np.random.default_rng(number).normal(size=1000)
        values[number] = 100.0
        recorded.add(f"group/{number}", values)
    html = recorded.draw(bundle)[1]
    assert len(html.encode()) < 1_050_000
    load(page, tmp_path, html)
    form = page.evaluate("mounted[0].form")
    assert [one["total"] for one in form["series"]] == [1000] * 100
    assert column(form, "value").count(100.0) == 100
    assert column(form, "step")[-1] == 999
