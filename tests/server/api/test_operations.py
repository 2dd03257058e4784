"""What keeps a server well: health, figures, the log, safe headers, proxies, and an orderly start and end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from runcast.run.record import new_run_id
from runcast.server import serve
from runcast.server.access import Access, Scope
from runcast.store.local import LocalStore

LOG = "files/logs/console.jsonl"


def test_health_and_figures(place, ada):
    """Anyone may ask whether the server lives and can work; its figures are for admins."""
    assert httpx.get(f"{place.url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{place.url}/readyz").json() == {"status": "ok"}
    metrics = f"{place.url}/metrics"
    assert httpx.get(metrics).status_code == 401
    assert httpx.get(metrics, headers=ada.headers).status_code == 403
    reader = {"Authorization": f"Bearer {place.secret(place.boss, Scope.READ)}"}
    figures = httpx.get(metrics, headers=reader)
    assert figures.headers["content-type"].startswith("text/plain")
    assert re.search(r'runcast_requests_total\{method="GET",route="/metrics",status="401"\} \d', figures.text)


def test_a_server_without_its_database_says_so(own_place):
    """While the database cannot be used, the server lives but is not ready, and requests are answered 503, to be tried again."""
    ada = own_place.client(own_place.ada)
    ada.get("/runs")
    own_place.store.database.close()
    (own_place.root / "store.db").rename(own_place.root / "elsewhere")
    (own_place.root / "store.db").mkdir()
    time.sleep(1.1)
    ready = httpx.get(f"{own_place.url}/readyz")
    assert (ready.status_code, "retry-after" in ready.headers) == (503, True)
    assert httpx.get(f"{own_place.url}/healthz").status_code == 200
    answer = ada.get("/runs")
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


def test_every_answer_has_safe_headers(place, ada, new_run):
    """Whatever is answered, even an error, tells browsers to guess nothing, embed nothing, send no referrer and keep nothing."""
    run = new_run(ada)
    html = b"<script>alert(1)</script>"
    ada.put(f"/runs/{run}/files/saved/page.html", content=html)
    for path in (
        "/healthz",
        "/nothing",
        "/api/v1/runs",
        "/api/v1/openapi.json",
        f"/api/v1/runs/{run}/files/saved/page.html",
    ):
        for headers in ({}, ada.headers):
            answer = httpx.get(place.url + path, headers=headers)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert re.search(r"no-store|no-cache", answer.headers["cache-control"])
            assert answer.headers["x-request-id"]
            assert "server" not in answer.headers
            assert "strict-transport-security" not in answer.headers
    file = ada.get(f"/runs/{run}/files/saved/page.html")
    assert file.content == html
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.headers["content-security-policy"].startswith("sandbox;")


def test_the_log_knows_no_secrets(place, ada, new_run, request_log):
    """Each request is logged with who and what, under the id that its answer has; never a token, a cookie or a query."""
    run = new_run(ada)
    answer = ada.get(f"/runs/{run}", params={"token": "s3cret"}, headers={"Cookie": "runcast_session=c00kie"})
    ada.get("/runs", headers={"X-Request-Id": "mine-1", "Authorization": "Bearer rc_wr0ng"})
    ada.get("/runs", headers={"X-Request-Id": "evil\tid {}"})
    ada.get("/runs/%0d%0aforged")
    deadline = time.monotonic() + 5
    while len(request_log) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    said = json.dumps(request_log)
    for secret in ("s3cret", "c00kie", "rc_wr0ng", ada.headers["Authorization"].split()[1]):
        assert secret not in said
    _, shown, refused, *_ = request_log
    assert shown["request"] == answer.headers["x-request-id"]
    assert shown["actor"].endswith("of ada")
    assert (shown["method"], shown["path"], shown["status"]) == ("GET", f"/api/v1/runs/{run}", 200)
    assert (refused["request"], refused["actor"], refused["status"]) == ("mine-1", None, 401)
    assert "evil" not in said


@pytest.mark.parametrize(("trusted", "believed"), [("", False), ("10.0.0.0/8", False), ("127.0.0.1", True)])
def test_only_trusted_proxies_say_where_a_request_comes_from(
    tmp_path, place_of, request_log, trusted, believed
):
    """X-Forwarded-For and -Proto count from the proxies that are named; anyone else's are passed over."""
    place = place_of(tmp_path, trusted_proxies=trusted)
    headers = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
    }
    answer = httpx.get(f"{place.url}/api/v1/runs", headers=headers)
    assert ("strict-transport-security" in answer.headers) is believed
    assert request_log[-1]["client"] == ("203.0.113.9" if believed else "127.0.0.1")


def test_heads_of_requests_are_limited(tmp_path, place_of, monkeypatch):
    """A connection that sends no whole request in time, or headers without end, is closed."""
    monkeypatch.setattr(serve, "HEAD_TIMEOUT", 0.4)
    host, port = place_of(tmp_path).url.removeprefix("http://").split(":")
    for said, status in (
        (b"", b"408"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"408"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 99_999, b"431"),
    ):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(said)
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 " + status), said[:20]


class Serving:
    """`runcast serve` as a process."""

    def __init__(self, root, *options):
        command = [sys.executable, "-m", "runcast", "--dir", str(root), "serve", "--port", "0", *options]
        environment = {**os.environ, "COLUMNS": "300"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.lines = [self.process.stdout.readline(), self.process.stdout.readline()]
        found = re.search(r"at (http://\S+)", self.lines[0])
        assert found, self.process.stderr.read()
        self.url = found[1]
        self.lines.append(self.process.stdout.readline() if "account" in self.lines[1] else "")

    def end(self, number=signal.SIGTERM):
        """Stop it; return its exit status, how long that took, and its log."""
        started = time.monotonic()
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=20)
        return self.process.returncode, time.monotonic() - started, log


def test_serving_from_start_to_end(tmp_path):
    """The first start prints a link with which to begin; SIGTERM answers what is in flight, sends streams away, and keeps all."""
    first = Serving(tmp_path)
    link = re.search(rf"{first.url}/setup#(rcl_\S+)", "".join(first.lines))
    assert link
    setup = {"secret": link[1], "name": "ada", "password": "correct horse battery"}
    assert httpx.post(f"{first.url}/api/v1/setup", json=setup, timeout=30).status_code == 200
    assert first.end(signal.SIGINT)[0] == 0

    with LocalStore(tmp_path, own_in_place=False) as store:
        access = Access(store.database)
        token = access.tokens.create(access.users.find("ada").id, "test", Scope.ADMIN)[1]
    second = Serving(tmp_path, "--log-level", "debug")
    assert "setup" not in "".join(second.lines)
    with httpx.Client(
        base_url=f"{second.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as ada:
        run = {"id": new_run_id(), "project": "p", "name": "n", "state": "running", "created": time.time()}
        assert ada.post("/runs", json=run).status_code == 201
        release, answers = threading.Event(), []

        def slow_body():
            yield b"first"
            release.wait(20)
            yield b" and last"

        def put():
            answers.append(ada.put(f"/runs/{run['id']}/files/saved/slow.txt", content=slow_body()))

        putting = threading.Thread(target=put)
        with ada.stream("GET", f"/runs/{run['id']}/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            putting.start()
            time.sleep(0.5)
            ending = []
            ender = threading.Thread(target=lambda: ending.append(second.end()))
            ender.start()
            rest = list(lines)
            assert any(line.startswith("retry:") for line in rest)
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{second.url}/healthz")
            release.set()
            putting.join()
            ender.join()
    assert answers[0].json() == {"size": 14}
    status, took, log = ending[0]
    assert status == 0
    assert took < 10
    for line in log.splitlines():
        said = json.loads(line)
        assert said["level"] in {"debug", "info", "warning"}, said
    assert token not in log
    assert "Traceback" not in log
    with LocalStore(tmp_path, own_in_place=False) as store:
        assert store.read(run["id"], "saved/slow.txt", 0, 99) == b"first and last"


def test_a_port_that_is_taken(tmp_path):
    """Where somebody else listens already, one line says so, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "runcast", "--dir", str(tmp_path), "serve", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert re.fullmatch(rf"runcast: cannot listen at 127.0.0.1:{port}: .*--port\n", done.stderr)
