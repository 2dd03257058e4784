"""What `pip install` gives a user: the wheel and the sdist, built where no Node.js is, with the panel inside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUNDLES = (
    "runcast/widgets/static/panel.js",
    "runcast/widgets/static/static.js",
    "runcast/server/static/early.js",
    "runcast/server/static/icon.svg",
    "runcast/server/static/pages.js",
    "runcast/server/static/pages.css",
)


@pytest.fixture(scope="module")
def without_node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose PATH has git, a shell and the like, but neither node nor npm."""
    programs = tmp_path_factory.mktemp("bin")
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(folder).glob("*"):
            link = programs / program.name
            if program.name not in {"node", "npm", "npx", "corepack"}:
                link.unlink(missing_ok=True)
                link.symlink_to(program)
    assert shutil.which("node", path=str(programs)) is None
    return {**os.environ, "PATH": str(programs)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, without_node: dict[str, str]) -> Path:
    """The sdist of a fresh clone, and the wheel that is made from that sdist."""
    clone = tmp_path_factory.mktemp("clone") / "runcast"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", out, clone], check=True, env=without_node, timeout=600
    )
    return out


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_both_artefacts_hold_the_panel(built: Path) -> None:
    """The sdist and the wheel carry the bundles, once, so that installing them needs no Node.js."""
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for bundle in BUNDLES:
        assert names.count(bundle) == 1
    assert "runcast/run/child/sitecustomize.py" in names
    assert not [name for name in names if "/js/" in name or name.startswith(("tests/", "extension/"))]
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = archive.getnames()
    assert [name for name in inside if name.endswith("widgets/static/panel.js")]
    assert not [name for name in inside if "node_modules" in name]


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_the_installed_wheel_records(built: Path, tmp_path: Path) -> None:
    """A user who has only the wheel loads the extension and records a run, from a folder that holds no source."""
    (wheel,) = built.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel],
        check=True,
        timeout=300,
    )
    program = """
import runcast, runcast.extension, runcast.magics, runcast.widgets, sys
assert runcast.__file__.startswith(sys.argv[1]), runcast.__file__
with runcast.init(project="wheel", sync_tensorboard=True) as run:
    run.log({"loss": 0.5})
print(run.id)
"""
    env = {**os.environ, "PYTHONPATH": str(site), "RUNCAST_DIR": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(site)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "runcast", "show", done.stdout.split()[-1], "--json"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert '"loss"' in shown.stdout
