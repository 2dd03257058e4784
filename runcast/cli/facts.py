"""The facts of a run (where and how it was made), each in words, for `runcast show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.cli.words import figure, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["fact_lines", "plain"]

_TOLD = {"host", "user", "os", "cpus", "memory", "gpus", "python", "executable", "command", "notebook", "git"}


def fact_lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (what, text) of every fact: those that every run has in a form made for reading, then any others."""
    if notebook := facts.get("notebook"):
        yield "notebook", "yes" if notebook is True else str(notebook)
    if command := facts.get("command"):
        yield "command", " ".join(map(str, command)) if isinstance(command, list) else str(command)
    git = facts.get("git")
    if isinstance(git, dict) and git.get("commit"):
        changed = ", with changes that are not committed" if git.get("dirty") else ""
        branch = f" on {git['branch']}" if git.get("branch") else ""
        remote = f" · {git['remote']}" if git.get("remote") else ""
        yield "git", f"{str(git['commit'])[:10]}{branch}{changed}{remote}"
    if host := facts.get("host"):
        yield "host", f"{facts['user']}@{host}" if facts.get("user") else str(host)
    if machine := " · ".join(_machine(facts)):
        yield "machine", machine
    if python := facts.get("python"):
        yield "python", f"{python} · {facts['executable']}" if facts.get("executable") else str(python)
    for key, value in facts.items():
        if key in _TOLD or value is None:
            continue
        if isinstance(value, dict) and key == "summary":
            yield key, "\n".join(f"{name} = {plain(each)}" for name, each in value.items())
        elif isinstance(value, list) and key == "tags":
            yield key, ", ".join(map(str, value))
        else:
            yield key, plain(value)


def plain(value: Any) -> str:
    """Return a value of a config or a fact as text."""
    return value if isinstance(value, str) else figure(value) if isinstance(value, float) else repr(value)


def _machine(facts: Mapping[str, Any]) -> Iterator[str]:
    if cpus := facts.get("cpus"):
        yield f"{cpus} CPU{'' if cpus == 1 else 's'}"
    if isinstance(memory := facts.get("memory"), int):
        yield f"{size(memory)} memory"
    if isinstance(gpus := facts.get("gpus"), list):
        yield from map(str, gpus)
    if system := facts.get("os"):
        yield str(system)
