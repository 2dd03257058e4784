"""The fuzzer's check (`fuzz/decode.py`), on programs that Hypothesis draws and on what the fuzzer once found."""

from __future__ import annotations

from decode import check
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=150)
@given(program=st.binary(min_size=10, max_size=400))
def test_any_program(program):
    """Whatever a file holds and wherever it is damaged or cut, the decoder answers as the plain reader does."""
    check(program)
