"""The fuzzer's check (`fuzz/decode.py`), on programs that Hypothesis draws and on what the fuzzer once found."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def check_program():
    """Import the fuzzer's script as it imports its neighbour: by name, from its folder."""
    folder = str(Path(__file__).parent / "fuzz")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("decode").check
    finally:
        sys.path.remove(folder)


@settings(max_examples=150)
@given(program=st.binary(min_size=10, max_size=400))
def test_any_program(check_program, program):
    """Whatever a file holds and wherever it is damaged or cut, the decoder answers as the plain reader does."""
    check_program(program)
