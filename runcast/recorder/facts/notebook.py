"""The name of the notebook that a kernel belongs to, asked of those who know, in the recorder: the kernel never waits.

Whoever knows best comes first: the Jupyter server that started the kernel (its answer is right after a renaming), then what
the front end told the kernel, then the program that executes the notebook (papermill, nbconvert).
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["notebook_path"]

TIMEOUT = 2.0
"""Seconds that one server may take to answer."""

MOST_ANSWER = 4 << 20

_KERNEL = re.compile(r"(?:^|[/\\=])(?:kernel-)?([0-9a-f]{8}-[0-9a-f-]{27,28}|v\d-[\w-]+)\.json$")
_RUNNERS = re.compile(
    r"papermill|nbconvert|nbclient|jupyter-execute|jupyter-run|ploomber|quarto", re.IGNORECASE
)


def notebook_path(pid: int, told: object, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the path (or the name) of the notebook of the kernel `pid`; None if nobody knows.

    `told` is what the front end said to the kernel, if anything. Takes a few seconds at worst.
    """
    named_by_editor = isinstance(told, str) and told != environment.get("JPY_SESSION_NAME")
    if named_by_editor:
        return str(told)  # VS Code; it follows renaming by itself
    command = _command(pid)
    connection = next((part for part in command if part.endswith(".json")), "")
    found = _KERNEL.search(connection)
    if found is not None:
        for server in _servers(Path(connection.partition("=")[2] or connection).parent, environment):
            if path := _ask(server, found[1]):
                return path
    if isinstance(told, str) and told:
        return told
    return _executed_by(pid)


def _command(pid: int) -> list[str]:
    with suppress(psutil.Error, OSError):
        return psutil.Process(pid).cmdline()
    return []


def _servers(runtime: Path, environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield url, token and root_dir of the Jupyter servers of this user that live on this machine."""
    try:
        files = sorted(
            (*runtime.glob("jpserver-*.json"), *runtime.glob("nbserver-*.json")),
            key=lambda file: file.stat().st_mtime,
            reverse=True,
        )
    except OSError:
        files = []
    for file in files:
        with suppress(OSError, ValueError):
            info = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(info, dict) and psutil.pid_exists(int(info.get("pid", -1))):
                yield info
    host, port = environment.get("COLAB_JUPYTER_IP"), environment.get("KMP_TARGET_PORT")
    if host and port and _is_ours(host):
        yield {"url": f"http://{host}:{port}/", "token": ""}


def _is_ours(host: str) -> bool:
    """Whether an address is one of this machine's own."""
    with suppress(ValueError, OSError, psutil.Error):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return True
        return any(address.address == host for each in psutil.net_if_addrs().values() for address in each)
    return False


def _ask(server: Mapping[str, Any], kernel: str) -> str | None:
    """Return the path of the notebook whose session has this kernel."""
    import http.client  # recorders of scripts ask nobody

    try:
        url = urlsplit(str(server["url"]))
        if url.scheme != "http" or url.hostname is None or not _is_ours(url.hostname):
            return None
        connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=TIMEOUT)
        try:
            token = str(server.get("token") or "")
            headers = {"Authorization": f"token {token}"} if token else {}
            connection.request("GET", f"{quote(url.path.rstrip('/'))}/api/sessions", headers=headers)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                return None
            sessions = json.loads(answer.read(MOST_ANSWER))
        finally:
            connection.close()
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return None
    for session in sessions if isinstance(sessions, list) else []:
        with suppress(KeyError, TypeError):
            if session["kernel"]["id"] == kernel:
                return _path_of(session, server)
    return None


def _path_of(session: Mapping[str, Any], server: Mapping[str, Any]) -> str | None:
    path = session.get("path") or (session.get("notebook") or {}).get("path") or ""
    name = session.get("name") or (session.get("notebook") or {}).get("name") or ""
    if not str(path).endswith(".ipynb"):  # Colab's paths are ids
        return str(name) or None
    root = server.get("root_dir") or server.get("notebook_dir")
    return str(Path(str(root), str(path))) if root else str(path)


def _executed_by(pid: int) -> str | None:
    """Return the notebook that the kernel's parent was told to execute."""
    with suppress(psutil.Error, OSError):
        for parent in psutil.Process(pid).parents()[:2]:
            command = parent.cmdline()
            if any(_RUNNERS.search(Path(part).name) for part in command[:4]):
                for part in command[1:]:
                    if part.endswith(".ipynb"):
                        return str(Path(parent.cwd(), part))
    return None
