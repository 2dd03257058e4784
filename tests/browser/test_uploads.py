"""Files that somebody uploaded, in a real Chromium of somebody who is logged in: whatever is in them, nothing of it runs."""

from __future__ import annotations

import http.server
import threading
import time
from contextlib import contextmanager

import pytest
from jupyterlab_driver import chromium

from runcast.run.record import RunRecord, new_run_id
from runcast.server.access import Access, Standing
from runcast.server.access.cookies import COOKIE
from runcast.server.app import create_app
from runcast.server.serve import in_thread
from runcast.store.local import LocalStore

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120)]

SCRIPT = "(globalThis.top ?? globalThis).pwned = 1; fetch('/pwned'); new Image().src = '/pwned'"
FILES = {
    "evil.html": f'<!doctype html><title>evil</title><body onload="{SCRIPT}"><script>{SCRIPT}</script>',
    "evil.svg": f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="{SCRIPT}"><script>{SCRIPT}</script></svg>',
    "evil.js": SCRIPT,
    "evil.css": "body { background: url(/pwned) }",
    "evil.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><script>{SCRIPT}</script></html>',
    "evil.pdf": "%PDF-1.4",
    "evil.jpg": f"<html><script>{SCRIPT}</script>",
}


@contextmanager
def other_site(page_html):
    """Another server on this machine, with one page: of another origin, yet near enough that cookies are sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page_html.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_uploads_are_powerless(tmp_path):
    """HTML, SVG, scripts and styles that are a run's files are downloaded when they are opened, and dead wherever they are embedded."""
    with LocalStore(tmp_path, own_in_place=False) as store:
        access = Access(store.database)
        ada = access.users.add("ada", Standing.ADMIN)[0].id
        session = access.sessions.open(ada).secret
        run = new_run_id()
        store.create(RunRecord(run, "p", "n", "running", time.time()))
        for name, text in FILES.items():
            store.put(run, f"saved/{name}", text.encode())
        with in_thread(create_app(store, access)) as url, chromium() as page:
            page.context.add_cookies([{"name": COOKIE, "value": session, "url": url}])
            answers = {}
            page.on("response", lambda answer: answers.setdefault(answer.url, answer.status))
            files = {name: f"{url}/api/v1/runs/{run}/files/saved/{name}" for name in FILES}
            for address in files.values():
                with (
                    page.expect_download() as download,
                    pytest.raises(Exception, match=r"Download is starting|ERR_ABORTED"),
                ):
                    page.goto(address)
                assert download.value.url == address
            html = "".join(
                f'<script src="{address}"></script><img src="{address}"><iframe src="{address}"></iframe>'
                f'<object data="{address}"></object><embed src="{address}"><link rel="stylesheet" href="{address}">'
                for address in files.values()
            )
            with other_site(f"<!doctype html><body>{html}") as attack:
                page.goto(attack)
                page.wait_for_timeout(1500)
                assert page.evaluate("globalThis.pwned") is None
                assert page.evaluate("[...document.images].map(image => image.naturalWidth)") == [0] * len(
                    FILES
                )
                assert page.evaluate("getComputedStyle(document.body).backgroundImage") == "none"
            # Even a page of the site itself could not run them.
            page.goto(f"{url}/healthz")
            page.evaluate(
                """addresses => addresses.forEach(address => {
                    const script = document.createElement("script")
                    script.src = address
                    document.documentElement.append(script)
                })""",
                list(files.values()),
            )
            page.wait_for_timeout(500)
            assert page.evaluate("globalThis.pwned") is None
            assert not [address for address in answers if "pwned" in address]
            assert 200 in answers.values()
