"""What is a run: which folders of a location belong together.

- A folder with event files is a source. So is one with profiler traces or a projector's configuration, even without event files.
- A folder that is called like a part of a training (`train`, `validation`, `rank3`; see `is_part`) belongs to the run of the folder
  above it. Names that experiments have too (`test`, `eval`) do so where that folder has event files itself, or holds nothing but parts.
- A folder below one with event files belongs to the same run if the same process wrote in both (`add_scalars`, `add_hparams` and
  Keras's tuner do that), if it is named after the tag that it holds (`add_scalars` of tensorboardX, whose files do not tell
  their process), or if it is a trial of the experiment that the upper one describes (hparams).
- Everything else is a run of its own: siblings are.

All of that follows from names and the beginnings of files, so that a folder that has grown is understood as before.
"""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from runcast.events.discover import PROJECTOR_CONFIG, is_companion, is_event_file
from runcast.recorder.companions import LONGEST_CONFIG, named_in
from runcast.run.record import OWN_ROOT
from runcast.store.paths import placed
from runcast.sync.names import as_text, is_part, may_be_part, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runcast.sync.locations import Entry, Location

__all__ = ["Layout", "Member", "Planned", "plan"]

Layout = Literal["auto", "one", "folder"]
"""What is a run: as above; all of it; each folder."""

_HEAD = 64 << 10
"""Bytes of a file that tell what it is about."""

_MOST_HEADS = 4
"""Files of a folder whose beginnings are looked at."""

_EXPERIMENT, _TRIAL = "_hparams_/experiment", "_hparams_/session_start_info"


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a run, and its place there."""

    location: Location
    entry: Entry
    source: str
    path: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A run to be: its `key` is the same whenever the same folder is planned in the same way."""

    key: str
    name: str
    events: tuple[Member, ...]
    whole: tuple[Member, ...]
    """What is kept beside event files: graphs, profiler traces, what the projector shows."""
    created: float
    host: str
    run: str = ""
    """The run that has it already, where that is not told by the key (see `known`)."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(member.entry.size for member in (*self.events, *self.whole))

    @property
    def version(self) -> tuple[tuple[str, int, str], ...]:
        """What differs once any of its files has changed, or another has come."""
        return tuple((each.path, each.entry.size, each.entry.version) for each in (*self.events, *self.whole))


@dataclass
class _Group:
    """Folders that are one run, whose name is that of `folder`."""

    location: Location
    folder: str
    events: list[Entry] = field(default_factory=list)
    whole: list[Entry] = field(default_factory=list)


def plan(found: Sequence[tuple[Location, Sequence[Entry]]], layout: Layout = "auto") -> list[Planned]:
    """Return the runs that are to be made of what was found at locations, oldest first."""
    groups = [group for location, entries in found for group in _groups(location, entries, layout)]
    if layout == "one":
        runs = [_planned_as_one(groups)] if groups else []
    else:
        runs = [_planned([group], f"{layout} {_url(group)}", _name(group)) for group in groups]
    unique = {run.key: run for run in runs}  # a place that was given twice
    return sorted(unique.values(), key=lambda run: (run.created, run.name))


def _groups(location: Location, entries: Sequence[Entry], layout: Layout) -> list[_Group]:
    """Deal the files of one location out to groups."""
    events: defaultdict[str, list[Entry]] = defaultdict(list)
    others: list[Entry] = []
    for entry in entries:
        if is_event_file(posixpath.basename(entry.path)):
            events[_folder(entry)].append(entry)
        else:
            others.append(entry)
    others += _named_by_projectors(location, others)
    sources = set(events)
    for entry in others:
        owner = _owner(entry)
        if is_companion(posixpath.basename(entry.path), _folder(entry)) and not any(
            folder in events for folder in (owner, *_above(owner))
        ):
            sources.add(owner)
    if layout == "one":
        roots = dict.fromkeys(sources, ".")
    elif layout == "folder":
        roots = {folder: folder for folder in sources}
    else:
        roots = _Kinship(location, events, sources).roots()
    groups: dict[str, _Group] = {}
    for folder in sorted(sources):
        group = groups.setdefault(roots[folder], _Group(location, roots[folder]))
        group.events += events.get(folder, [])
    for entry in others:
        owner = _owner(entry)
        home = next((folder for folder in (owner, *_above(owner)) if folder in roots), None)
        home = (
            roots[home]
            if home is not None
            else next((f for f in (owner, *_above(owner)) if f in groups), None)
        )
        if home is not None:
            groups[home].whole.append(entry)
    return list(groups.values())


class _Kinship:
    """Finds out which folders of a location belong together."""

    def __init__(self, location: Location, events: dict[str, list[Entry]], sources: set[str]) -> None:
        self._location = location
        self._events = events
        self._sources = sources
        self._tags: dict[str, list[str]] = {}
        self._below: defaultdict[str, set[str]] = defaultdict(set)
        for source in sources:
            for folder in (source, *_above(source)):
                if folder != ".":
                    self._below[_parent(folder)].add(folder)

    def roots(self) -> dict[str, str]:
        """Return for each source the folder that is its run."""
        tops = {source: self._above_parts(source) for source in self._sources}
        runs: defaultdict[str, list[str]] = defaultdict(list)
        for source, top in sorted(tops.items()):
            runs[top].append(source)
        joined: dict[str, str] = {}
        for top in sorted(runs, key=lambda folder: (folder != ".", folder.count("/"), folder)):
            joined[top] = top
            for upper in _above(top):
                if upper in joined and self._belong_together(runs[joined[upper]], runs[top]):
                    joined[top] = joined[upper]
                    runs[joined[upper]] += runs[top]
                    break
        return {source: joined[top] for source, top in tops.items()}

    def _above_parts(self, folder: str) -> str:
        """Return the folder whose part this one is, or itself."""
        while folder != ".":
            name, parent = posixpath.basename(folder), _parent(folder)
            alone = parent in self._sources or all(
                may_be_part(posixpath.basename(each)) for each in self._below[parent]
            )
            if not is_part(name) and not (may_be_part(name) and alone):
                break
            folder = parent
        return folder

    def _belong_together(self, upper: list[str], lower: list[str]) -> bool:
        if not any(source in self._events for source in upper):
            return False
        if self._processes(upper) & self._processes(lower):
            return True
        if any(self._is_named_after_its_tag(each, upper) for each in lower):
            return True
        return any(_TRIAL in self._first_tags(each) for each in lower) and any(
            _EXPERIMENT in self._first_tags(each) for each in upper
        )

    def _processes(self, sources: Iterable[str]) -> set[tuple[str, int]]:
        said = [
            written(posixpath.basename(entry.path))
            for each in sources
            for entry in self._events.get(each, ())
        ]
        return {(each.host, each.pid) for each in said if each.pid is not None}

    def _is_named_after_its_tag(self, folder: str, upper: Iterable[str]) -> bool:
        above = next((each for each in _above(folder) if each in upper), None)
        if above is None:
            return False
        name = posixpath.relpath(folder, above)
        return any(
            name.startswith((f"{tag}/", f"{tag.replace('/', '_')}_")) and not tag.startswith("_")
            for tag in self._first_tags(folder)
        )

    def _first_tags(self, folder: str) -> list[str]:
        """Return the tags that a folder's files begin with; none of one that cannot be read, which is told when it is brought."""
        known = self._tags.get(folder)
        if known is None:
            from runcast.events.decode import (
                Decoder,
            )  # NumPy takes a while, and most trees are told by their names

            known = self._tags[folder] = []
            for entry in self._events.get(folder, ())[:_MOST_HEADS]:
                with suppress(OSError), self._location.open(entry) as file:
                    batch = Decoder().decode(file.read(_HEAD))
                    known += [*batch.scalars.tags, *(summary.tag for summary in batch.summaries)]
        return known


def _named_by_projectors(location: Location, others: Sequence[Entry]) -> list[Entry]:
    """Return the files that projector configurations name: tensors, metadata, sprite images, checkpoints."""
    known = {entry.path for entry in others}
    found: dict[str, Entry] = {}
    for config in others:
        if posixpath.basename(config.path) != PROJECTOR_CONFIG:
            continue
        with suppress(OSError):
            with location.open(config) as file:
                text = file.read(LONGEST_CONFIG).decode("utf-8", "replace")
            for kind, name in named_in(text):
                path = posixpath.normpath(posixpath.join(_folder(config), name))
                if posixpath.isabs(name) or path.startswith("../"):
                    continue
                is_checkpoint = kind == "model_checkpoint_path"
                for entry in location.find(f"{path}." if is_checkpoint else path, beginning=is_checkpoint):
                    if entry.path not in known:
                        found[entry.path] = entry
    return list(found.values())


def _planned_as_one(groups: Sequence[_Group]) -> Planned:
    key = "one " + " ".join(sorted(_url(group) for group in groups))
    return _planned(groups, key, _name(groups[0]))


def _planned(groups: Sequence[_Group], key: str, name: str) -> Planned:
    taken: dict[str, int] = {}
    events: list[Member] = []
    whole: list[Member] = []
    for group in groups:
        root = placed(posixpath.basename(_name(group)))
        root = f"{root}_" if root == OWN_ROOT else root
        taken[root] = taken.get(root, 0) + 1
        root = root if taken[root] == 1 else f"{root}~{taken[root]}"
        for entries, members in ((group.events, events), (group.whole, whole)):
            for entry in sorted(entries, key=lambda entry: entry.path):
                source = posixpath.relpath(_folder(entry), group.folder)
                path = placed("files", root, source, posixpath.basename(entry.path))
                members.append(Member(group.location, entry, source, path))
    said = sorted(
        (each.time, each.host) for member in events if (each := written(_base(member))).time is not None
    )
    changed = [member.entry.changed for member in (*events, *whole) if member.entry.changed]
    created = said[0][0] if said else min(changed, default=0.0)
    host = next((each for _, each in said if each), "")
    return Planned(key, as_text(name), tuple(events), tuple(whole), created or 0.0, host)


def _name(group: _Group) -> str:
    if group.folder == ".":
        return group.location.name
    if "/" not in group.folder and may_be_part(group.folder):
        return f"{group.location.name}/{group.folder}"  # a part says little without the training's name
    return group.folder


def _url(group: _Group) -> str:
    url = group.location.url
    if group.folder == ".":
        return url
    folder = quote(os.fsencode(group.folder)) if url.startswith("file:") else group.folder
    return f"{url}/{folder}"


def _base(member: Member) -> str:
    return posixpath.basename(member.entry.path)


def _folder(entry: Entry) -> str:
    return _parent(entry.path)


def _owner(entry: Entry) -> str:
    """Return the folder of a training that a file beside event files belongs to: profiles have folders of their own within it."""
    folder = f"/{_folder(entry)}/"
    at = folder.find("/plugins/profile/")
    return folder[:at].strip("/") or "." if at >= 0 else _folder(entry)


def _parent(path: str) -> str:
    return posixpath.dirname(path) or "."


def _above(folder: str) -> list[str]:
    """Return the folders that a folder is in, the nearest first."""
    found = []
    while folder != ".":
        folder = _parent(folder)
        found.append(folder)
    return found
