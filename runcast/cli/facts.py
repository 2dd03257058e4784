"""The facts of a run (where and how it was made), each in words, for `runcast show`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runcast.cli.words import figure, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["fact_lines", "plain"]

_TOLD = frozenset(
    [
        "host",
        "user",
        "os",
        "cpu",
        "cpus",
        "cpus_allowed",
        "cores",
        "memory",
        "memory_limit",
        "gpus",
        "driver",
        "cuda",
        "python",
        "implementation",
        "executable",
        "command",
        "program",
        "module",
        "script",
        "cwd",
        "notebook",
        "git",
        "container",
        "hosted",
        "slurm",
        "distributed",
        "environment",
        "hparams",
        "metrics",
        "summary",
        "tags",
        "notes",
        "group",
        "job_type",
        "sync",
    ]
)


def fact_lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (what, text) of every fact: those that every run has in a form made for reading, then any others."""
    if tags := facts.get("tags"):
        yield "tags", ", ".join(map(str, tags))
    for name, what in (("group", "group"), ("job_type", "job type"), ("notes", "notes")):
        if text := facts.get(name):
            yield what, str(text)
    if notebook := facts.get("notebook"):
        yield "notebook", "yes" if notebook is True else str(notebook)
    if command := facts.get("command"):
        yield "command", " ".join(map(str, command)) if isinstance(command, list) else str(command)
    if cwd := facts.get("cwd"):
        yield "in", str(cwd)
    if git := " · ".join(_git(facts.get("git"))):
        yield "git", git
    if host := facts.get("host"):
        around = ", ".join(str(facts[name]) for name in ("hosted", "container") if facts.get(name))
        user = f"{facts['user']}@{host}" if facts.get("user") else str(host)
        yield "host", f"{user} · {around}" if around else user
    if machine := " · ".join(_machine(facts)):
        yield "machine", machine
    for name in ("slurm", "distributed", "environment"):
        if isinstance(values := facts.get(name), dict) and values:
            yield name, "  ".join(f"{key}={value}" for key, value in values.items())
    if python := facts.get("python"):
        kind = facts.get("implementation", "CPython")
        version = f"{python}" if kind == "CPython" else f"{python} ({kind})"
        yield "python", f"{version} · {facts['executable']}" if facts.get("executable") else version
    if isinstance(sync := facts.get("sync"), dict) and sync.get("from"):
        yield "from", unquote(str(sync["from"]).removeprefix("file://").removesuffix("!"))
    for key, value in facts.items():
        if key not in _TOLD:
            yield key, plain(value)


def plain(value: Any) -> str:
    """Return a value of a config or a fact as text."""
    return value if isinstance(value, str) else figure(value) if isinstance(value, float) else repr(value)


def _git(git: Any) -> Iterator[str]:
    if not isinstance(git, dict):
        return
    if git.get("commit"):
        changed = ", with changes that are not committed" if git.get("dirty") else ""
        branch = f" on {git['branch']}" if git.get("branch") else ""
        yield f"{str(git['commit'])[:10]}{branch}{changed}"
    if ahead := git.get("ahead"):
        yield f"{ahead} commit{'' if ahead == 1 else 's'} beyond {git.get('upstream', 'upstream')}"
    if remote := git.get("remote"):
        yield str(remote)


def _machine(facts: Mapping[str, Any]) -> Iterator[str]:
    if cpu := facts.get("cpu"):
        yield str(cpu)
    if cpus := facts.get("cpus"):
        cores = facts.get("cores", cpus)
        words = f"{cpus} CPU{'' if cpus == 1 else 's'}" if cores == cpus else f"{cores} cores, {cpus} threads"
        yield f"{words}, {facts['cpus_allowed']} allowed" if facts.get("cpus_allowed") else words
    if isinstance(memory := facts.get("memory"), int):
        limit = facts.get("memory_limit")
        yield f"{size(memory)} memory" + (f", {size(limit)} allowed" if isinstance(limit, int) else "")
    if isinstance(gpus := facts.get("gpus"), list):
        for name, count in Counter(map(_gpu, gpus)).items():
            yield name if count == 1 else f"{count} \N{MULTIPLICATION SIGN} {name}"
    if driver := facts.get("driver"):
        yield f"driver {driver}" + (f", CUDA {facts['cuda']}" if facts.get("cuda") else "")
    if system := facts.get("os"):
        yield str(system)


def _gpu(gpu: Any) -> str:
    if not isinstance(gpu, dict):
        return str(gpu)
    name = str(gpu.get("name", "unknown"))
    return f"{name} ({size(gpu['memory'])})" if isinstance(gpu.get("memory"), int) else name
