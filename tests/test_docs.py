"""What the pages say is what the program does: snippets run, and every option, setting, error and public name is described."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import runcast
from runcast import errors
from runcast.cli.commands import runcast as command_line
from runcast.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
TOGETHER = {"reading.md"}  # pages whose snippets go on from each other


def snippets_of(name: str, text: str) -> list[str]:
    """The programs and signatures that a page shows."""
    found = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return ["\n".join(found)] if name in TOGETHER else found


SNIPPETS = [
    pytest.param(code, id=f"{name}-{number}")
    for name, text in PAGES.items()
    for number, code in enumerate(snippets_of(name, text))
]


def is_signature(code: str) -> bool:
    """Whether a snippet shows how something is called, with a bare `*` or with every default, and not a program."""
    return not code.startswith("import") and "=None" in code


@pytest.mark.parametrize("code", [snippet for snippet in SNIPPETS if not is_signature(snippet.values[0])])
def test_a_snippet_runs(code: str, tmp_path: Path) -> None:
    """A program shown on a page runs as it stands; only the reader's own `train` and `model` are filled in."""
    program = "def train(*_, **__): pass\n" + code
    env = {**os.environ, "RUNCAST_DIR": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", [snippet for snippet in SNIPPETS if is_signature(snippet.values[0])])
def test_a_signature_is_the_real_one(code: str) -> None:
    """A signature shown on a page has the parameters and defaults of the code."""
    for line in code.strip().splitlines():
        found = re.fullmatch(r"(?:\w+ = )?([\w.]+)\((.*)\)", line)
        assert found, line
        target = runcast
        for part in found[1].split(".")[1:]:
            target = getattr(target, part)
        bare = [one.replace(annotation=one.empty) for one in inspect.signature(target).parameters.values()]
        assert f"({found[2]})" == str(inspect.Signature(bare)).replace("'", '"')


def test_every_command_and_option_is_described() -> None:
    """docs/cli.md names every command of `runcast`, and every option of each."""
    assert isinstance(command_line, click.Group)
    context = click.Context(command_line)
    for name in command_line.list_commands(context):
        command = command_line.get_command(context, name)
        assert command
        assert f"runcast {name}" in PAGES["cli.md"]
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert option in PAGES["cli.md"], f"runcast {name} {option}"


def test_every_setting_is_described() -> None:
    """Every RUNCAST_ variable that the code reads stands on a page."""
    code = "".join(
        path.read_text()
        for room in ("runcast", "extension", "magics", "widgets")
        for path in (ROOT / room).rglob("*.py")
    )
    settings = {field.name for field in dataclasses.fields(Settings)} - {"id", "from_wandb"}
    variables = {f"RUNCAST_{name.upper()}" for name in settings}
    variables |= set(re.findall(r"\"(RUNCAST_[A-Z_]*[A-Z])\"", code))
    for variable in sorted(variables):
        assert f"`{variable}`" in "".join(PAGES.values())


def test_every_magic_option_is_described() -> None:
    """docs/notebook.md shows the same usage line as `%sync_tensorboard --help`, and describes each option."""
    from runcast.magics.options import SYNC_USAGE

    page = PAGES["notebook.md"]
    assert SYNC_USAGE.splitlines()[0] in page
    for option in re.findall(r"--[a-z-]+", SYNC_USAGE):
        assert f"`{option}" in page


def test_every_error_and_public_name_is_described() -> None:
    """docs/python.md names every error, and everything that `runcast` exports."""
    for name in errors.__all__:
        assert f"`{name}`" in PAGES["python.md"] or f"errors.{name}" in PAGES["python.md"]
    for name in runcast.__all__:
        assert re.search(rf"runcast\.{name}\b|`{name}`", PAGES["python.md"]), name


def test_pages_link_to_what_exists() -> None:
    """No page points at a file that is not there."""
    for name, text in PAGES.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (folder / target).exists(), f"{name} links to {target}"
