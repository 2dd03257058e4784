"""The server's web pages in a real Chromium: a real server process, real writers, a real recorder that sends."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time

import pytest
from jupyterlab_driver import chromium

from runcast.errors import RunNotFound
from runcast.run.record import RunRecord, new_run_id
from runcast.store.remote import RemoteStore

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

PASSWORD = "correct horse battery"

TRAIN = """
import sys, time, runcast
from tensorboardX import SummaryWriter
run = runcast.init(project="vision", name="live", sync_tensorboard=True, tags=["first"], config={"lr": 0.1})
print("it trains", flush=True)
writer = SummaryWriter("logs/train")
step = 0
while not sys.stdin.closed and step < 3000:
    writer.add_scalar("loss", 1 / (step + 1), step)
    step += 1
    time.sleep(0.02)
"""


class Site:
    """A server, and a browser that is logged in there as its admin."""

    def __init__(self, url, link, page, folder):
        self.url = url
        self.link = link
        self.page = page
        self.folder = folder
        self.token = ""

    def open(self, path, wait):
        self.page.goto(self.url + path)
        self.page.wait_for_selector(wait)

    def points(self, page, tag="loss"):
        """How many points of a series the page holds."""
        script = """tag => [...(globalThis.__runcast ?? [])].flatMap(([, feed]) => feed.series())
            .filter(series => series.tag === tag).reduce((sum, { points }) => sum + points, 0)"""
        return page.evaluate(script, tag)

    def remote(self):
        return RemoteStore(self.url, self.token)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A server that was set up in its page, with a token that was made in its page."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "RUNCAST_DIR": str(folder / "store"), "COLUMNS": "300"}
    command = [sys.executable, "-m", "runcast", "serve", "--port", "0"]
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=folder)
    try:
        found = wait_for(lambda: re.search(r"(http://\S+)/setup#\S+", log.read_text()))
        with chromium() as page:
            page.set_default_timeout(15_000)
            made = Site(found[1], found[0], page, folder)
            set_up(made)
            yield made
            # A refused request is an answer; a script or a style that the policy refuses is a mistake of ours.
            assert not [each for each in page.problems if not each.startswith("Failed to load resource")]
    finally:
        server.terminate()
        server.wait(20)


def wait_for(look, timeout=30.0):
    stop = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < stop, "waited in vain"
        time.sleep(0.05)
    return found


def set_up(site):
    page = site.page
    page.goto(site.link)
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Set up").click()
    page.wait_for_selector("text=No projects yet")
    assert site.url in page.inner_text(".first-steps")
    page.get_by_role("button", name="Account of ada").click()
    page.get_by_role("menuitem", name="API tokens").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Create token").click()
    site.token = page.inner_text(".made-link .copy-text")
    assert site.token.startswith("rc_")


@contextlib.contextmanager
def training(site):
    """A process that trains, and sends its run to the server."""
    environment = {
        **os.environ,
        "RUNCAST_DIR": str(site.folder / "local"),
        "RUNCAST_TO": site.url,
        "RUNCAST_TOKEN": site.token,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN], env=environment, cwd=site.folder, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def test_a_run_appears_moves_and_is_shared_until_the_link_is_revoked(site):
    """From the empty list to a live run that a stranger sees by a link, and no longer sees when the link is revoked."""
    page = site.page
    site.open("/", "text=No projects yet")
    with training(site):
        page.get_by_role("link", name="vision").click(timeout=30_000)  # it comes by itself
        page.wait_for_selector("tbody tr[data-state=running] .state-dot[data-state=running]")
        assert page.inner_text("tbody .chip") == "first"
        metric = page.locator("td[data-column^='summary.']").first
        wait_for(lambda: re.fullmatch(r"0\.\d+", metric.inner_text()))
        value = metric.inner_text()
        wait_for(lambda: metric.inner_text() != value)
        page.get_by_role("link", name="live").click()
        page.wait_for_selector(".rc-card canvas")
        first = site.points(page)
        wait_for(lambda: site.points(page) > first + 20)
        page.get_by_role("tab", name="Console").click()
        page.wait_for_selector("text=it trains")

        page.get_by_role("button", name="Edit").click()
        page.get_by_label("Name").fill("renamed")
        page.get_by_label("Tags", exact=True).fill("first, mine")
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector(".crumb:has-text('renamed')")
        wait_for(lambda: page.inner_text(".rc-name") == "renamed")

        page.get_by_role("button", name="Share").click()
        page.get_by_role("button", name="Create link").click()
        link = page.inner_text(".made-link .copy-text")
        context = page.context.browser.new_context(
            viewport={"width": 390, "height": 780}, color_scheme="dark"
        )
        guest = context.new_page()
        guest.goto(link)
        guest.wait_for_selector(".rc-card canvas")
        assert guest.locator(".runcast").get_attribute("data-theme") == "dark"
        assert guest.locator(".actions .button").count() == 0
        assert guest.evaluate("document.documentElement.scrollWidth") == 390
        first = site.points(guest)
        wait_for(lambda: site.points(guest) > first + 20)
        page.get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog", name="Revoke the link").get_by_role("button", name="Revoke").click()
        guest.wait_for_selector("text=This link does not work any more", timeout=15_000)
        assert guest.locator(".rc-card").count() == 0
        context.close()
    page.keyboard.press("Escape")


def test_a_run_on_its_way_appears_by_itself(site):
    """Whoever follows a run's link before the run has come sees that, and then the run."""
    run = RunRecord(new_run_id(), "late", "latecomer", "running", time.time())
    site.open(f"/runs/{run.id}", "h2:has-text('This run is not here yet')")
    site.remote().create(run)
    site.page.wait_for_selector("h1:has-text('latecomer')")


def test_what_users_write_stays_text(site):
    """Names, tags, notes, config, console and files that look like HTML are shown as they were written, and do nothing."""
    attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    run = new_run_id()
    with site.remote() as remote:
        facts = {"tags": [attack], "notes": f"# {attack}\n[x](javascript:window.hacked=1)", "host": attack}
        facts["git"] = {"remote": "javascript:window.hacked=1", "commit": attack}
        config = {attack: attack}
        remote.create(
            RunRecord(run, attack, attack, "running", time.time(), None, time.time(), config, facts)
        )
        remote.put(run, "saved/<img src=x onerror=hacked=1>.html", attack.encode())
        line = '{"n": 1, "t": 1, "s": "out", "x": "<img src=x onerror=window.hacked=1>"}\n'
        remote.append(run, "console.jsonl", 0, line.encode(), final=True)
    page = site.page
    site.open("/", f"text={attack}")
    page.get_by_role("link", name=attack).click()
    page.wait_for_selector("tbody tr .chip")
    assert page.inner_text("tbody .chip") == attack
    page.locator("tbody a").click()
    page.wait_for_selector(".rc-name")
    assert attack in page.inner_text(".notes")
    for tab in ("System", "Run", "Console", "Files"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(200)
    assert page.locator("a[href^='javascript:']").count() == 0
    page.get_by_role("tab", name="Console").click()
    page.wait_for_selector("text=onerror=window.hacked=1")
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("window.hacked") is None


def test_a_run_goes_into_the_trash_and_comes_back(site):
    """Deleting can be undone at once, and later from the trash."""
    run = new_run_id()
    with site.remote() as remote:
        remote.create(RunRecord(run, "trashed", "one-run", "finished", time.time() - 60, time.time()))
    page = site.page
    site.open("/projects/trashed", "tbody tr")
    page.get_by_role("button", name="Delete one-run").focus()  # it is in sight without a pointer
    assert page.evaluate("getComputedStyle(document.activeElement).opacity") == "1"
    page.keyboard.press("Enter")
    page.wait_for_selector("text=No runs yet")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector("tbody tr")
    page.get_by_role("link", name="one-run").click()
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.wait_for_selector("text=No runs yet")
    page.get_by_role("link", name="Trash").click()
    page.get_by_role("button", name="Restore").click()
    page.wait_for_selector("text=The trash is empty")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.wait_for_selector("tbody tr:has-text('one-run')")
    page.get_by_label("Filter runs").fill("state = running")
    page.wait_for_selector("text=No run matches the filter")
    page.get_by_label("Filter runs").fill("one-r")
    page.wait_for_selector("tbody tr:has-text('one-run')")
    page.get_by_label("Filter runs").fill("state ==== 3")
    page.wait_for_selector("#filter-problem:not(:empty)")


def test_a_project_is_settled_and_deleted_for_good(site):
    """Its owner says how long runs are kept, empties the trash, moves a run, and deletes the project once its name is typed."""
    runs = [new_run_id() for _ in range(3)]
    with site.remote() as remote:
        for number, run in enumerate(runs):
            remote.create(
                RunRecord(
                    run,
                    "passing",
                    f"run-{number}",
                    "finished",
                    time.time() - 60,
                    time.time(),
                    None,
                    {"lr": number},
                )
            )
        remote.trash(runs[0])
    page = site.page
    site.open("/projects/passing", "td[data-column='config.lr']")
    page.get_by_role("button", name="lr", exact=True).click()
    page.wait_for_selector("tbody tr:first-child:has-text('run-1')")
    page.get_by_role("button", name="Columns").click()
    page.get_by_label("lr", exact=True).uncheck()
    page.get_by_role("button", name="Done").press("Enter")
    assert page.locator("td[data-column='config.lr']").count() == 0

    page.get_by_role("link", name="Trash").click()
    page.get_by_role("button", name="Empty the trash").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    page.wait_for_selector("text=The trash is empty")
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Runs are kept").select_option(label="for 90 days")
    page.wait_for_selector("text=Saved.")
    page.reload()
    page.wait_for_selector("main[data-ready]")
    assert page.get_by_label("Runs are kept").input_value() == "90"

    site.open(f"/runs/{runs[1]}", ".rc-name")
    page.get_by_role("button", name="Edit").click()
    page.wait_for_selector("option[value=trashed]", state="attached")
    page.get_by_label("Project").select_option("trashed")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("nav a:has-text('trashed')")

    site.open("/projects/passing/settings", "main[data-ready]")
    page.get_by_role("button", name="Delete this project").click()
    dialog = page.get_by_role("dialog", name="Delete the project")
    assert "1 run," in dialog.inner_text()
    assert dialog.get_by_role("button", name="Delete for good").is_disabled()
    page.keyboard.type("passing")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Projects')")
    assert page.get_by_role("link", name="passing").count() == 0
    with site.remote() as remote, pytest.raises(RunNotFound):
        remote.run(runs[2])


def test_without_a_session_there_is_only_the_login(site):
    """Who is not logged in comes to the login, and from there to the page that was asked for; a keyboard is enough."""
    context = site.page.context.browser.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/tokens")
    page.wait_for_selector("input:focus")
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector(".problem:has-text('wrong')")
    page.keyboard.press("Control+A")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('API tokens')")
    assert page.evaluate("location.pathname") == "/tokens"
    page.get_by_role("button", name="Account of ada").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Log in')")
    page.goto(f"{site.url}/tokens")
    page.wait_for_selector("h1:has-text('Log in')")
    context.close()
