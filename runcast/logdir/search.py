"""Finding what a question is about: the source, the series; and saying what there is where the question is off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runcast.errors import TagNotFound
from runcast.events.plugins.mesh import read_metadata
from runcast.logdir.choice import near
from runcast.logdir.source import SCALARS, Key, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Sources = Mapping[str, Source]

__all__ = ["mesh_parts", "named", "not_scalars", "of_plugin", "with_plugin", "with_tag"]


def of_plugin(plugin: str) -> Callable[[Key], bool]:
    """Return what says whether a series is of a plugin."""
    return lambda key: key.plugin == plugin


def not_scalars(key: Key) -> bool:
    """Say whether a series is none of scalars."""
    return key.plugin != SCALARS


def named(sources: Sources, name: str) -> Source:
    """Return a source by name. Raises `TagNotFound`."""
    if name not in sources:
        raise TagNotFound(f"there is no source {name!r}{near(name, sources)}")
    return sources[name]


def with_tag(
    sources: Sources, source: str | None, tag: str, fits: Callable[[Key], bool], kind: str
) -> tuple[Source, Key]:
    """Return the series of a tag that fits, of the given source, or of the only one that has it. Raises `TagNotFound`."""
    among = _among(sources, source)
    found = {one.name: key for one in among for key in reversed(one.of_tag(tag)) if fits(key)}
    if not found:
        keys = [key for one in among for key in one.series()]
        others = sorted({key.plugin for one in among for key in one.of_tag(tag)})
        instead = f"; what that tag holds is {', '.join(others)}" if others else None
        where = f"source {source!r} has" if source is not None else "there are"
        raise TagNotFound(
            f"{where} no {kind} {tag!r}{instead or near(tag, [key.tag for key in keys if fits(key)])}"
        )
    name = _only(found, f"{kind} {tag!r}")
    return sources[name], found[name]


def with_plugin(
    sources: Sources, source: str | None, fits: Callable[[Key], bool], what: str
) -> tuple[Source, list[Key]]:
    """Return the series that fit, of the given source, or of the only one that has any. Raises `TagNotFound`."""
    found = {one.name: list(filter(fits, one.series())) for one in _among(sources, source)}
    found = {name: keys for name, keys in found.items() if keys}
    if not found:
        where = "no source has" if source is None else f"source {source!r} does not have"
        raise TagNotFound(f"{where} {what}")
    name = _only(found, what)
    return sources[name], found[name]


def mesh_parts(sources: Sources, source: str | None, name: str) -> tuple[Source, list[Key]]:
    """Return the series of a mesh's parts, that of its vertices first. Raises `TagNotFound`."""
    names = set()
    found: dict[str, list[Key]] = {}
    for one in _among(sources, source):
        for key in filter(of_plugin("mesh"), one.series()):
            mesh, part, _ = read_metadata(one.metadata(key).content)
            names.add(mesh)
            if mesh == name:
                parts = found.setdefault(one.name, [])
                parts.insert(0 if part == "vertices" else len(parts), key)
    if not found:
        raise TagNotFound(f"there is no mesh {name!r}{near(name, names)}")
    of_source = _only(found, f"mesh {name!r}")
    return sources[of_source], found[of_source]


def _among(sources: Sources, source: str | None) -> list[Source]:
    return list(sources.values()) if source is None else [named(sources, source)]


def _only(names: Iterable[str], what: str) -> str:
    first, *others = names
    if others:
        raise TagNotFound(
            f"several sources have {what}; say which: source={' or '.join(map(repr, [first, *others]))}"
        )
    return first
