"""Everything that a place's event files hold, by source and tag."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from runcast.errors import LogdirError, SettingsError
from runcast.events import plugins
from runcast.events.decode import Decoder
from runcast.events.plugins import graphs, hparams, tensors
from runcast.events.plugins.mesh import assembled
from runcast.logdir import search
from runcast.logdir.answers import Graph, Hparams, Skipped, Tag
from runcast.logdir.choice import chosen, near
from runcast.logdir.display import as_html, as_text
from runcast.logdir.files import files_at
from runcast.logdir.series import Series
from runcast.logdir.source import SCALARS, Source
from runcast.logdir.tables import long_form, wide_arrow, wide_pandas
from runcast.logdir.values import Values

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from runcast.events.plugins.audio import Audio
    from runcast.events.plugins.custom_scalars import Layout
    from runcast.events.plugins.histograms import Histogram
    from runcast.events.plugins.images import Image
    from runcast.events.plugins.mesh import Mesh, MeshPart
    from runcast.events.plugins.pr_curves import PrCurve
    from runcast.events.plugins.tensors import Tensor
    from runcast.events.record import Logged, Metadata, Record
    from runcast.logdir.files import Files, LogFile
    from runcast.logdir.source import Key
    from runcast.logdir.tables import Long

__all__ = ["Logdir", "read"]


def read(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    pattern: str | Sequence[str] | None = None,
) -> Logdir:
    """Open TensorBoard logs for reading: a folder with all below it, an event file, a pattern such as `runs/*/train`, or several.

    Addresses in buckets (`s3://bucket/runs`, `gs://…`, `az://account/container/…`) are read as folders are, in ranges.
    With `pattern` only the sources that match it are read (shell wildcards; several patterns: any of them). Opening lists the files; what
    they hold is read when something is asked. Raises `LogdirError` if there is no event file.
    """
    return Logdir(files_at(path), pattern)


class Logdir:
    """TensorBoard logs by source (a folder with event files, which TensorBoard calls a run) and tag.

    Made by `runcast.read`. Damaged bytes never raise: they are passed over, and listed in `skipped`. Where a training was restarted,
    the points that a later one supersedes do not count, as in TensorBoard: a step that goes back or repeats supersedes the
    tag's earlier points at or after it. `superseded=True` gives all points. What has been read stays in memory as columns, 28
    bytes a point; images and the like stay in their files. Not thread-safe.
    """

    def __init__(self, files: Files, pattern: str | Sequence[str] | None = None) -> None:
        self._files = files
        self._pattern = pattern
        self._decoder = Decoder()
        self._sources: dict[str, Source] = {}
        self._list()
        if not self._sources:
            names = {file.source for file in files.list()}
            raise LogdirError(f"{files}: no source matches {pattern!r}{near(str(pattern), names)}")

    # What there is

    @property
    def sources(self) -> list[str]:
        """The names of the sources, sorted; `.` is the place itself."""
        return list(self._sources)

    @property
    def files(self) -> list[LogFile]:
        """The event files, by source and name."""
        return [file for source in self._sources.values() for file in source.files]

    @property
    def skipped(self) -> list[Skipped]:
        """What could not be read, and why, by file and offset. A record that is still being written is not among it."""
        return [
            Skipped(file.path, offset, length, reason)
            for source in self._sources.values()
            for file, offset, length, reason in source.damage()
        ]

    def tags(self, plugin: str | None = None, source: str | None = None) -> list[Tag]:
        """Return the series, by source, tag and plugin; with `plugin` and `source` only those. Raises `TagNotFound`."""
        return [
            self._described(one, key)
            for one in self._among(source)
            for key in one.series()
            if plugin is None or key.plugin == plugin
        ]

    def refresh(self) -> Logdir:
        """Look at the files again, and read on only what is new in them when something is asked; returns itself.

        A file that was replaced is read anew, one that is gone is forgotten. Raises `LogdirError` if none is left.
        """
        self._list()
        return self

    # Scalars

    def scalars(self, tag: str, source: str | None = None, *, superseded: bool = False) -> Series:
        """Return a scalar series; `source` may be left out where only one has the tag. Raises `TagNotFound`."""
        found, _ = search.with_tag(self._sources, source, tag, search.of_plugin(SCALARS), SCALARS)
        return Series(found.name, tag, *found.points(tag, superseded=superseded))

    def to_pandas(
        self,
        tag: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        *,
        wide: bool = False,
        superseded: bool = False,
    ) -> pd.DataFrame:
        """Return all scalars as a data frame: columns source, tag, step, wall_time, value, a row a point.

        `tag` and `source` choose by name or pattern (`loss/*`), or several of these. `wide` gives a column for each tag instead,
        and a row for each source and step, the index. Raises `MissingPackage` without pandas.
        """
        long = self._long(tag, source, wide=wide, superseded=superseded)
        return wide_pandas(long) if wide else long.to_pandas()

    def to_arrow(
        self,
        tag: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        *,
        wide: bool = False,
        superseded: bool = False,
    ) -> pa.Table:
        """Return what `to_pandas` does as an Arrow table; source and step are columns of the wide form too."""
        long = self._long(tag, source, wide=wide, superseded=superseded)
        return wide_arrow(long) if wide else long.to_arrow()

    # Everything else, read from its file when it is looked at

    def images(
        self, tag: str, source: str | None = None, *, superseded: bool = False
    ) -> Values[tuple[Image, ...]]:
        """Return images, one or more a step: `logs.images("sample")[-1][0].array()`. Raises `TagNotFound`."""
        return self._values(tag, "images", source, superseded=superseded)

    def histograms(
        self, tag: str, source: str | None = None, *, superseded: bool = False
    ) -> Values[Histogram]:
        """Return histograms: `logs.histograms("weights")[-1].counts`. Raises `TagNotFound`."""
        return self._values(tag, "histograms", source, superseded=superseded)

    def text(
        self, tag: str, source: str | None = None, *, superseded: bool = False
    ) -> Values[str | NDArray[Any]]:
        """Return text, a string or an array of them a step. Raises `TagNotFound`."""
        return self._values(tag, "text", source, superseded=superseded)

    def audio(
        self, tag: str, source: str | None = None, *, superseded: bool = False
    ) -> Values[tuple[Audio, ...]]:
        """Return sounds, one or more a step: `logs.audio("voice")[-1][0].array()`. Raises `TagNotFound`."""
        return self._values(tag, "audio", source, superseded=superseded)

    def pr_curves(self, tag: str, source: str | None = None, *, superseded: bool = False) -> Values[PrCurve]:
        """Return precision-recall curves. Raises `TagNotFound`."""
        return self._values(tag, "pr_curves", source, superseded=superseded)

    def tensors(self, tag: str, source: str | None = None, *, superseded: bool = False) -> Values[Tensor]:
        """Return the tensors of a tag that holds no scalars, as arrays, whatever its plugin. Raises `TagNotFound`."""
        found, key = search.with_tag(self._sources, source, tag, search.not_scalars, "tensors")
        return self._lazy(found, key, tensors.read, superseded=superseded)

    def meshes(self, name: str, source: str | None = None, *, superseded: bool = False) -> Values[Mesh]:
        """Return meshes by the name that they were logged with; faces and colours are those of the same step. Raises `TagNotFound`."""
        found, keys = search.mesh_parts(self._sources, source, name)
        vertices, *others = [self._lazy(found, key, superseded=superseded) for key in keys]

        def whole(at: int) -> Mesh:
            step = int(vertices.step[at])
            beside: list[MeshPart] = [other.at(step) for other in others if (other.step == step).any()]
            return assembled([vertices[at], *beside])

        return Values(found.name, name, vertices.step, vertices.wall_time, whole)

    # What a source has once: of several that were logged, the last

    def hparams(self, source: str | None = None) -> Hparams:
        """Return the hyperparameters of a source, which may be left out where only one has any. Raises `TagNotFound`."""
        found, keys = search.with_plugin(
            self._sources, source, search.of_plugin(hparams.PLUGIN), "hyperparameters"
        )
        said: dict[type, Any] = {}
        for key in keys:
            value: Any = self._lazy(found, key)[-1]
            said[type(value)] = value
        start = said.get(hparams.SessionStart)
        config = dict(start.config) if start else {}
        return Hparams(config, start, said.get(hparams.SessionEnd), said.get(hparams.Experiment))

    def graph(self, source: str | None = None) -> Graph:
        """Return the graphs of a source, which may be left out where only one has any. Raises `TagNotFound`."""
        found, keys = search.with_plugin(
            self._sources, source, lambda key: key.plugin in graphs.PLUGINS, "a graph"
        )
        whole: dict[str, bytes | None] = {"graph_def": None, "meta_graph_def": None}
        keras: dict[str, bytes] = {}
        run_metadata: dict[str, bytes] = {}
        for key in keys:
            blob: graphs.Blob = self._lazy(found, key)[-1]
            if blob.kind in whole:
                whole[blob.kind] = blob.data
            else:
                (keras if blob.kind == "keras" else run_metadata)[key.tag] = blob.data
        return Graph(whole["graph_def"], whole["meta_graph_def"], keras, run_metadata)

    def layout(self, source: str | None = None) -> Layout:
        """Return the layout of the custom scalars page of a source. Raises `TagNotFound`."""
        found, (key, *_) = search.with_plugin(
            self._sources, source, search.of_plugin("custom_scalars"), "a custom scalar layout"
        )
        layout: Layout = self._lazy(found, key)[-1]
        return layout

    def metadata(self, tag: str, source: str | None = None, plugin: str | None = None) -> Metadata:
        """Return what the first event of a series said about it, the plugin's own bytes among it. Raises `TagNotFound`."""
        fits = search.of_plugin(plugin) if plugin is not None else lambda _: True
        found, key = search.with_tag(self._sources, source, tag, fits, plugin or "values")
        return found.metadata(key)

    def records(self, source: str | None = None) -> Iterator[Record]:
        """Yield every event of a source, or of all, as it stands in the files: session logs, versions and writers are among them.

        Slow, by the nature of it: each is decoded in full.
        """
        return itertools.chain.from_iterable(one.records() for one in self._among(source))

    def __repr__(self) -> str:
        return as_text(str(self._files), self.files)

    def _repr_html_(self) -> str:
        return as_html(str(self._files), self.files, self.tags())

    # How the above is done

    def _list(self) -> None:
        by_source: dict[str, list[LogFile]] = {}
        for file in self._files.list():
            by_source.setdefault(file.source, []).append(file)
        sources = {}
        for name in chosen(sorted(by_source), self._pattern):
            source = self._sources.get(name) or Source(name, self._files, self._decoder)
            source.update(by_source[name])
            sources[name] = source
        self._sources = sources

    def _among(self, source: str | None) -> list[Source]:
        return list(self._sources.values()) if source is None else [search.named(self._sources, source)]

    def _values(self, tag: str, plugin: str, source: str | None, *, superseded: bool) -> Values[Any]:
        found, key = search.with_tag(self._sources, source, tag, search.of_plugin(plugin), plugin)
        return self._lazy(found, key, superseded=superseded)

    @staticmethod
    def _lazy(
        source: Source,
        key: Key,
        read: Callable[[Logged, Metadata], Any] = plugins.read,
        *,
        superseded: bool = False,
    ) -> Values[Any]:
        step, wall_time, pointers = source.values(key, superseded=superseded)
        return Values(
            source.name,
            key.tag,
            step,
            wall_time,
            lambda at: read(source.logged(pointers[at]), source.metadata(key)),
        )

    @staticmethod
    def _described(source: Source, key: Key) -> Tag:
        metadata, step = source.metadata(key), source.steps(key)
        name = metadata.display_name or key.tag
        return Tag(
            source.name,
            key.tag,
            key.plugin,
            name,
            metadata.description,
            len(step),
            int(step[0]),
            int(step[-1]),
        )

    def _long(
        self,
        tag: str | Sequence[str] | None,
        source: str | Sequence[str] | None,
        *,
        wide: bool,
        superseded: bool,
    ) -> Long:
        if wide and superseded:
            raise SettingsError("a wide table has one value a step, so it cannot hold superseded points too")
        wanted = []
        for name in chosen(self._sources, source):
            keys = self._sources[name].series()
            wanted.append(
                (self._sources[name], chosen([key.tag for key in keys if key.plugin == SCALARS], tag))
            )
        return long_form(wanted, superseded=superseded)
