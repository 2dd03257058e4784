"""The facts of a run, as `runcast show` words them."""

from __future__ import annotations

from runcast.cli.facts import fact_lines


def test_facts_are_told_in_words() -> None:
    """A commit, a machine and a host read as a person would say them."""
    facts = {
        "command": "train.py --lr 0.1",
        "git": {
            "commit": "8aa281daffa5178a072de645",
            "branch": "main",
            "dirty": True,
            "remote": "git@host:repo",
        },
        "host": "lab",
        "user": "ada",
        "cpus": 2,
        "memory": 25276502016,
        "gpus": ["NVIDIA H100"],
    }
    assert dict(fact_lines(facts)) == {
        "command": "train.py --lr 0.1",
        "git": "8aa281daff on main, with changes that are not committed · git@host:repo",
        "host": "ada@lab",
        "machine": "2 CPUs · 25.3 GB memory · NVIDIA H100",
    }


def test_what_is_missing_is_left_out() -> None:
    """A run without git, GPU or user has no line for them; a fact that nobody foresaw is shown as it is."""
    assert dict(fact_lines({"notebook": True, "seed": 3, "git": {}})) == {"notebook": "yes", "seed": "3"}
