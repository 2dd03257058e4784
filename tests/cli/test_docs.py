"""The command line's page says all that the commands accept."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from runcast.cli.commands import runcast

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", sorted(runcast.commands))
def test_every_command_and_option_is_described(command):
    """A user finds each command and option in docs/cli.md."""
    section = PAGE.partition(f"## `runcast {command}")[2].partition("\n## ")[0]
    assert section
    for parameter in runcast.commands[command].params:
        for name in parameter.opts if isinstance(parameter, click.Option) else []:
            assert f"`{name}" in section, name
