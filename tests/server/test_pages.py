"""The pages' shell and bundles, as a browser asks for them."""

from __future__ import annotations

import re

import httpx
import pytest

from runcast.server.app import create_app
from runcast.server.serve import in_thread
from runcast.store.local import LocalStore


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with (
        LocalStore(tmp_path_factory.mktemp("server"), own_in_place=False) as store,
        in_thread(create_app(store)) as url,
        httpx.Client(base_url=url) as opened,
    ):
        yield opened


def test_every_page_is_the_same_shell_and_only_its_own_scripts_run(client):
    """Whatever page is asked for, the browser gets the shell, with a policy that lets nothing in from elsewhere."""
    shells = [
        client.get(path)
        for path in ("/", "/login", "/projects/a%2Fb/members", "/runs/abc", "/share/runs/abc")
    ]
    assert len({shell.text for shell in shells}) == 1
    for shell in shells:
        assert (shell.status_code, shell.headers["cache-control"]) == (200, "no-cache")
        policy = shell.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script(?! src)|<style| style=| on\w+=|https?:", shells[0].text)
    again = client.get("/", headers={"If-None-Match": shells[0].headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/nothing/here").status_code == 404


def test_bundles_are_kept_for_good_and_sent_compressed(client):
    """A bundle's address changes with its content, so browsers never ask for the same one twice."""
    found = re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get("/").text)
    assert [path.split("/")[-1] for path in found] == ["icon.svg", "pages.css", "early.js", "pages.js"]
    for path in found:
        bundle = client.get(path)
        assert bundle.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert (bundle.headers["content-encoding"], bundle.headers["vary"]) == ("gzip", "Accept-Encoding")
        plain = client.get(path, headers={"Accept-Encoding": "identity"})
        assert plain.text == bundle.text
        assert "content-encoding" not in plain.headers
    assert client.get(re.sub("/static/[^/]+", "/static/0000", found[0])).status_code == 404
    assert client.get("/static/0000/..%2Fpages.py").status_code == 404
