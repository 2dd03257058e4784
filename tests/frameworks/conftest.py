"""Tests with the real libraries of `tests/frameworks.txt`: each is collected where its library is installed."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("tensorflow") else ["test_event_files.py"]
