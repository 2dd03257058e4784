"""Checksums with and without native code."""

from __future__ import annotations

import subprocess
import sys

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.events import checksum, linear_crc

WITHOUT_NATIVE = """
import sys
sys.modules["google_crc32c"] = None
from runcast.events import checksum
assert checksum.crc32c is checksum._fallback_crc32c
assert "numpy" not in sys.modules
print(checksum.crc32c(b"123456789"), checksum.crc32c(bytes(range(256)) * 40))
"""


@pytest.mark.parametrize("crc32c", [checksum.crc32c, checksum._fallback_crc32c])
def test_known_values(crc32c):
    """The check values of RFC 3720 and of the CRC catalogue."""
    assert crc32c(b"") == 0
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


@given(st.binary(max_size=3000))
def test_fallback_equals_native(data):
    """Files are verified to the same numbers where there is no native code."""
    expected = google_crc32c.value(data)
    assert checksum._fallback_crc32c(data) == expected
    if len(data) >= 4:
        assert linear_crc.crc32c_of_bytes(data) == expected


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_length_checksums_by_columns(lengths):
    """The checksums of many length fields at once are those of each."""
    column = linear_crc.masked_length_crc(np.array(lengths, np.uint64)).tolist()
    assert column == [checksum.masked_crc32c(length.to_bytes(8, "little")) for length in lengths]


def test_without_the_native_module():
    """A platform without google-crc32c still reads and writes event files."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_NATIVE], capture_output=True, text=True, check=True)
    expected = [checksum.crc32c(b"123456789"), checksum.crc32c(bytes(range(256)) * 40)]
    assert list(map(int, done.stdout.split())) == expected
