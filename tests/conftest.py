"""What tests of every room use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


# Listing the installed packages takes each recorder longer than most tests last; tests of it start from a journal, which says more.
os.environ.setdefault("RUNCAST_SAVE_PACKAGES", "off")


@pytest.fixture
def close_folder(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Take away every permission on a folder until the test ends.

    Root may read everything, unless it gives that power up: `scripts/test` does (setpriv), so nothing is skipped there.
    """
    closed = []

    def close(folder: Path) -> None:
        folder.chmod(0)
        closed.append(folder)

    probe = tmp_path / "probe"
    probe.mkdir()
    close(probe)
    try:
        os.scandir(probe).close()
    except PermissionError:
        yield close
    else:
        pytest.skip("this user may read everything")
    finally:
        for folder in closed:
            folder.chmod(0o755)
