"""Which points count after a restart."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2

import runcast
from runcast.events import Decoder, counting


def counted_one_by_one(steps):
    kept = []
    for index, step in enumerate(steps):
        while kept and steps[kept[-1]] >= step:
            kept.pop()
        kept.append(index)
    return kept


@given(st.lists(st.integers(-5, 20)))
def test_as_one_by_one(steps):
    """Each new point drops the earlier ones at or after its step."""
    assert np.flatnonzero(counting(np.array(steps, np.int64))).tolist() == counted_one_by_one(steps)


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ([], []),
        ([5], [0]),
        ([1, 2, 3], [0, 1, 2]),
        ([1, 2, 2], [0, 2]),
        ([1, 2, 3, 2, 3, 4], [0, 3, 4, 5]),
        ([2**63 - 1, 2**63 - 1], [1]),
        ([-(2**63), 0], [0, 1]),
    ],
)
def test_examples(steps, kept):
    """A repeated step keeps the last, a step that goes back replaces what came after it."""
    assert np.flatnonzero(counting(np.array(steps, np.int64))).tolist() == kept


def restarting(rng):
    """Steps of a training that was started again and again, from a checkpoint or from the beginning."""
    steps, step = [], rng.choice([0, 1, 1000, -50, 2**33])
    for _ in range(rng.randrange(1, 6)):
        for _ in range(rng.randrange(1, 30)):
            steps.append(step)
            step += rng.choice([0, 1, 1, 1, 1, 2, 10])
        step -= rng.choice([0, 1, 5, rng.randrange(100), 10**6])
    return steps


def write_runs(folder, rng):
    """Runs of one to three files each, whose tags restart together or apart; some with session logs and version records."""
    for number in range(120):
        series = [
            (tag, step)
            for tag in rng.sample(["loss", "acc", "a/b", ""], rng.randrange(1, 4))
            for step in restarting(rng)
        ]
        if number % 2:
            series.sort(key=lambda _: rng.random())
        files = [[] for _ in range(rng.randrange(1, 4))]
        for position, (tag, step) in enumerate(series):
            event = event_pb2.Event(step=step, wall_time=1e9 + rng.choice([position, -position]))
            for again in range(rng.choice([1, 1, 1, 2])):  # a tag may come twice in one event
                event.summary.value.add(tag=tag, simple_value=position + again / 4)
            if rng.random() < 0.03:
                start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
                files[position * len(files) // len(series)].append(
                    event_pb2.Event(step=step, wall_time=1e9, session_log=start)
                )
            files[position * len(files) // len(series)].append(event)
        for at, events in enumerate(files):
            path = folder / f"run{number}" / f"events.out.tfevents.{at}.host"
            path.parent.mkdir(exist_ok=True)
            yield path, [event_pb2.Event(file_version="brain.Event:2"), *events]


def read_run(folder):
    """Read a run's files by name, as the Rust server does: {tag: [(step, wall time, value)]}, those that count."""
    series = {}
    for path in sorted(folder.iterdir()):
        scalars = Decoder().decode(path.read_bytes()).scalars
        for number, tag in enumerate(scalars.tags):
            of_tag = scalars.tag == number
            columns = scalars.step[of_tag], scalars.wall_time[of_tag], scalars.value[of_tag]
            series.setdefault(tag, []).append(columns)
    shown = {}
    for tag, parts in series.items():
        step, wall_time, value = map(np.concatenate, zip(*parts, strict=True))
        kept = counting(step)
        shown[tag] = list(
            zip(step[kept].tolist(), wall_time[kept].tolist(), value[kept].tolist(), strict=True)
        )
    return shown


@pytest.mark.parametrize("seed", range(4))
def test_what_counts_is_what_the_rust_server_shows(tmp_path, rust_scalars, record, seed):
    """After restarts of every kind, each series has exactly the points that TensorBoard's fast loader gives."""
    rng = random.Random(seed)
    written = 0
    for path, events in write_runs(tmp_path, rng):
        written += sum(len(event.summary.value) for event in events)
        path.write_bytes(b"".join(record(event.SerializeToString()) for event in events))
    shown = rust_scalars(tmp_path)
    assert {folder.name for folder in tmp_path.iterdir()} == set(shown)
    counted = sum(len(points) for tags in shown.values() for points in tags.values())
    logs = runcast.read(tmp_path)
    for run, tags in shown.items():
        assert read_run(tmp_path / run) == tags
        for tag in logs.tags(source=run):
            series = logs.scalars(tag.tag, run)
            points = list(
                zip(series.step.tolist(), series.wall_time.tolist(), series.value.tolist(), strict=True)
            )
            assert points == tags.pop(tag.tag)
        assert not tags
    assert 1000 < counted < written - 1000
