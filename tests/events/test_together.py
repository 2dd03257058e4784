"""Small stretches of many files, decoded as one: each gets what it would get alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from runcast.events import Decoder
from runcast.events.decode import _ONE_BY_ONE
from runcast.events.writer import _record

TAGS = [f"train/loss_{number}" for number in range(30)]


def scalar(tag, step, value):
    return _record(
        Event(
            step=step,
            wall_time=1e9 + step,
            summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]),
        ).SerializeToString()
    )


def two_points(step):
    values = [Summary.Value(tag=tag, simple_value=step) for tag in ("a", "b")]
    return _record(Event(step=step, summary=Summary(value=values)).SerializeToString())


RECORDS = st.one_of(
    st.builds(scalar, st.sampled_from(TAGS), st.integers(-(2**63), 2**63 - 1), st.floats(width=32)),
    st.sampled_from(
        [
            two_points(7),
            _record(Event(file_version="brain.Event:2").SerializeToString()),
            _record(b"no event"),
            _record(
                Event(
                    step=3, summary=Summary(value=[Summary.Value(tag="i", image=Summary.Image(height=1))])
                ).SerializeToString()
            ),
        ]
    ),
)


@st.composite
def stretches(draw):
    """Return some stretches, the most of them plain, a few cut short, changed or with other records."""
    found = []
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.integers(0, 2)):
            step = draw(st.integers(0, 1000))
            tag = draw(st.sampled_from(TAGS))
            data = b"".join(scalar(tag, step + n, n / 7) for n in range(draw(st.integers(1, 60))))
        else:
            data = b"".join(draw(st.lists(RECORDS, max_size=6)))
        harm = draw(st.sampled_from(["", "", "", "cut", "flip"]))
        if harm == "cut":
            data = data[: draw(st.integers(0, len(data)))]
        elif harm == "flip" and data:
            at = draw(st.integers(0, len(data) - 1))
            data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
        found.append((data, draw(st.integers(0, 2**40))))
    return found


def check(stretches, decoder):
    for found, (data, offset) in zip(decoder.decode_all(stretches), stretches, strict=True):
        alone = Decoder().decode(data, offset)
        assert found.scalars.tags == alone.scalars.tags
        for name in ("tag", "step", "wall_time", "value"):
            column, expected = getattr(found.scalars, name), getattr(alone.scalars, name)
            assert column.dtype == expected.dtype
            assert column.tobytes() == expected.tobytes(), name
        assert np.array_equal(found.scalar_records, alone.scalar_records)
        for name in ("start", "stop", "records", "summaries", "skipped", "pending", "session_starts"):
            assert getattr(found, name) == getattr(alone, name), name


@given(stretches(), stretches())
def test_each_gets_what_it_would_get_alone(first, then):
    """Whatever is among the stretches, and whatever was learned before, no file's points become another's, and none differ."""
    decoder = Decoder()
    check(first, decoder)
    check([*then, *first, *then], decoder)


@pytest.mark.parametrize("bad", ["cut", "flip"])
def test_a_bad_stretch_is_its_own_trouble(bad):
    """A stretch that ends within a record, or fails verification, costs its neighbours nothing, wherever it stands."""
    good = [(b"".join(scalar(TAGS[n], step, 0.5) for step in range(10)), 100 * n) for n in range(30)]
    for place in (0, 7, 29):
        data, offset = good[place]
        changed = data[:-5] if bad == "cut" else data[:-1] + bytes([data[-1] ^ 1])
        among = [*good[:place], (changed, offset), *good[place + 1 :]]
        assert sum(len(data) for data, _ in among) > _ONE_BY_ONE
        check(among, Decoder())
        batches = Decoder().decode_all(among)
        assert [batch.records for batch in batches] == [10] * place + [9] + [10] * (29 - place)
