"""The installed packages, as `pip freeze` writes them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from runcast.run.redact import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["requirements"]

_LEFT_OUT = {"pip", "setuptools", "distribute", "wheel"}
"""What `pip freeze` leaves out, too: tools that install."""


def requirements(path: Iterable[str] | None = None) -> str:
    """Return a line for each package that this interpreter finds (or that is on the module path `path`), by name.

    A package from a repository or a file says which (`name @ git+https://…@commit`), one that is installed from a folder and
    follows it says so in a comment. Addresses hold no credentials.
    """
    import importlib.metadata  # not every run lists them

    found: dict[str, str] = {}
    where: dict[str, Any] = {} if path is None else {"path": list(path)}
    for distribution in importlib.metadata.distributions(**where):
        try:
            name, version = distribution.metadata["Name"], distribution.version
            if not name or not version:
                continue
            key = re.sub(r"[-_.]+", "-", name).lower()
            if (
                key not in _LEFT_OUT and key not in found
            ):  # what comes first on the module path is what is imported
                found[key] = _line(name, version, distribution.read_text("direct_url.json"))
        except Exception:  # noqa: BLE001, S112  what is half removed is not installed
            continue
    return "".join(f"{line}\n" for line in sorted(found.values(), key=str.lower))


def _line(name: str, version: str, direct_url: str | None) -> str:
    origin = json.loads(direct_url) if direct_url else {}
    url = redact_url(str(origin.get("url") or ""))
    if vcs := origin.get("vcs_info"):
        return f"{name} @ {vcs['vcs']}+{url}@{vcs['commit_id']}{_subdirectory(origin)}"
    if origin.get("dir_info", {}).get("editable"):
        return f"{name}=={version}  # editable, from {url}"
    if url:
        return f"{name} @ {url}{_subdirectory(origin)}"
    return f"{name}=={version}"


def _subdirectory(origin: dict[str, Any]) -> str:
    return f"#subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
