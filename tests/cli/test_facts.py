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


def test_labels_are_told() -> None:
    """Tags, notes and groups read as they were written; what config and summary show is not told again."""
    facts = {"tags": ["a", "b"], "notes": "first try", "group": "sweep", "job_type": "", "summary": {"x": 1}}
    assert dict(fact_lines(facts)) == {"tags": "a, b", "group": "sweep", "notes": "first try"}


def test_all_that_may_be_known() -> None:
    """GPUs that are alike are counted; limits of a container, what is not pushed, and a cluster's job are told."""
    facts = {
        "git": {"commit": "8aa281daffa5178a072de645", "ahead": 2, "upstream": "origin/main"},
        "host": "node7",
        "container": "docker",
        "cwd": "/home/ada",
        "script": "/home/ada/train.py",
        "cpu": "AMD EPYC",
        "cpus": 32,
        "cores": 16,
        "cpus_allowed": 4,
        "memory": 64_000_000_000,
        "memory_limit": 8_000_000_000,
        "gpus": [{"name": "NVIDIA H100", "memory": 80_000_000_000}] * 2,
        "driver": "550.54",
        "cuda": "12.4",
        "slurm": {"job": "17"},
        "python": "3.12.1",
        "implementation": "PyPy",
    }
    assert dict(fact_lines(facts)) == {
        "in": "/home/ada",
        "git": "8aa281daff · 2 commits beyond origin/main",
        "host": "node7 · docker",
        "machine": "AMD EPYC · 16 cores, 32 threads, 4 allowed · 64.0 GB memory, 8.0 GB allowed"
        " · 2 \N{MULTIPLICATION SIGN} NVIDIA H100 (80.0 GB) · driver 550.54, CUDA 12.4",
        "slurm": "job=17",
        "python": "3.12.1 (PyPy)",
    }
