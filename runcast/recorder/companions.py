"""Files that TensorBoard's projector and profiler plugins want beside the event files, and that no event file names."""

# Paths are those of a scan, as text.
# ruff: noqa: PTH118, PTH120

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from runcast.events.discover import PROJECTOR_CONFIG, find_files, is_companion

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LONGEST_CONFIG", "beside", "named_by", "named_in"]

PROFILES = os.path.join("plugins", "profile")

_NAMED = re.compile(
    r'\b(tensor_path|metadata_path|bookmarks_path|image_path|model_checkpoint_path)\s*:\s*"((?:[^"\\]|\\.)*)"'
)

LONGEST_CONFIG = 4 << 20
"""Bytes of a projector's configuration that are read."""


def beside(folder: str) -> Iterator[tuple[str, str]]:
    """Yield path and place of the companions of the event files in a folder; places are relative to it, with `/`.

    They are in the folder itself and in `plugins/profile`; what else is below it need not be the writer's.
    """
    try:
        with os.scandir(folder) as scan:
            names = sorted(entry.name for entry in scan if is_companion(entry.name, "."))
    except OSError:
        return
    yield from ((os.path.join(folder, name), name) for name in names)
    profiles = os.path.join(folder, PROFILES)
    if os.path.isdir(profiles):  # noqa: PTH112
        for found in find_files(Path(profiles), source="plugins/profile"):
            yield str(found.path), f"{found.source}/{found.name}"


def named_by(config: str) -> Iterator[tuple[str, str]]:
    """Yield path and place of the files that a projector configuration names: tensors, metadata, sprite images, bookmarks.

    Places are relative to the configuration's folder; a file that lies outside of it has none that TensorBoard would look at,
    and is passed over.
    """
    if os.path.basename(config) != PROJECTOR_CONFIG:  # noqa: PTH119
        return
    folder = os.path.dirname(config)
    try:
        with open(config, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            text = file.read(LONGEST_CONFIG)
    except OSError:
        return
    for kind, name in named_in(text):
        path = os.path.normpath(os.path.join(folder, name))
        place = os.path.relpath(path, folder)
        if place.startswith(os.pardir) or os.path.isabs(place):  # noqa: PTH117
            continue
        found = glob.glob(f"{glob.escape(path)}.*") if kind == "model_checkpoint_path" else [path]  # noqa: PTH207
        for each in found:
            yield each, Path(os.path.relpath(each, folder)).as_posix()


def named_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a projector's configuration names: the field, such as `tensor_path`, and the path as it stands there."""
    for kind, quoted in _NAMED.findall(text):
        yield kind, re.sub(r"\\(.)", r"\1", quoted)
