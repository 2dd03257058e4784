"""What is worth knowing of where a run runs: gathered in the recorder, so that the training process pays nothing for it.

Whatever cannot be found out is left out, silently: none of it is worth a word to someone who trains.
"""

from __future__ import annotations

from typing import Any

from runcast.recorder.facts.git import Repository, git_facts, without_credentials
from runcast.recorder.facts.machine import machine_facts
from runcast.recorder.facts.packages import requirements
from runcast.recorder.facts.patches import uncommitted
from runcast.recorder.facts.surroundings import surroundings

__all__ = [
    "Repository",
    "gather",
    "git_facts",
    "machine_facts",
    "requirements",
    "surroundings",
    "uncommitted",
    "without_credentials",
]


def gather(cwd: str) -> dict[str, Any]:
    """Return facts of the machine, of its surroundings and of the repository around `cwd`. May take seconds."""
    facts = {**machine_facts(), **surroundings()}
    if git := git_facts(cwd):
        facts["git"] = git
    return facts
