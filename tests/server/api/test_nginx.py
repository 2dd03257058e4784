"""Behind nginx, as the guide in docs/server.md sets it up: uploads, live streams, and who a request is from."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
GUIDE = Path(__file__).parents[3] / "docs/server.md"


@pytest.fixture
def proxied(tmp_path, place_of):
    """A server, and the address of an nginx in front of it, configured by what the guide says."""
    if not Path(NGINX).exists():
        pytest.skip("nginx is not installed (`scripts/test` does that)")
    place = place_of(tmp_path / "store", trusted_proxies="127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (guide,) = re.findall(r"```nginx\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    guide = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", guide)
    guide = re.sub(r" *ssl_certificate.*\n", "", guide)
    guide = re.sub(r"(    server \S+;\n)+", f"    server {place.url.removeprefix('http://')};\n", guide)
    config = tmp_path / "nginx.conf"
    folders = "".join(
        f"{each}_temp_path {tmp_path}/{each};\n"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off;\nmaster_process off;\npid {tmp_path}/nginx.pid;\nerror_log {tmp_path}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{folders}{guide}\n}}\n"
    )
    nginx = subprocess.Popen([NGINX, "-c", str(config), "-p", str(tmp_path)], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.TransportError:  # noqa: PERF203
                assert nginx.poll() is None, nginx.stderr.read().decode()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                break
        yield place, f"http://127.0.0.1:{port}"
    finally:
        nginx.terminate()
        nginx.wait(20)
        nginx.stderr.close()


def test_behind_nginx(proxied, new_run, follow, request_log):
    """Large uploads pass through, events arrive at once, and the client's own address and scheme are known."""
    place, url = proxied
    direct, ada = place.client(place.ada), place.client(place.ada)
    ada.base_url = f"{url}/api/v1"
    run, data = new_run(ada), os.urandom(1_900_000)
    put = ada.put(f"/runs/{run}/files/saved/big.bin", content=iter([data[:99_999], data[99_999:]]))
    assert put.json() == {"size": len(data)}
    assert ada.get(f"/runs/{run}/files/saved/big.bin").content == data
    assert ada.get(f"/runs/{run}/files/saved/big.bin", headers={"Range": "bytes=5-9"}).content == data[5:10]
    with follow(ada, f"/runs/{run}/events") as events:
        events.next()
        headers = {"Upload-Offset": "0"}
        assert (
            direct.patch(f"/runs/{run}/files/files/logs/a.txt", content=b"x", headers=headers).status_code
            == 204
        )
        begun = time.monotonic()
        assert events.next().data == {"runs": [run]}
        assert time.monotonic() - begun < 2
    answer = ada.get("/runs", headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"})
    assert (
        "strict-transport-security" not in answer.headers
    )  # nginx says what it saw, whatever its client says
    assert {each["client"] for each in request_log} == {"127.0.0.1"}
