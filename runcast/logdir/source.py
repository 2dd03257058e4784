"""What the event files of one folder say together: what TensorBoard calls a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runcast.errors import BadValue
from runcast.events.framing import OVERHEAD, payload_length
from runcast.events.record import Metadata, read_record
from runcast.events.restarts import counting
from runcast.logdir.columns import Groups, Table, grouped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from runcast.events.batch import Batch, Scalars, Skip, Summary
    from runcast.events.decode import Decoder
    from runcast.events.record import Logged, Record
    from runcast.logdir.files import Files, LogFile, Reader

__all__ = ["SCALARS", "Key", "Pointer", "Source"]

SCALARS = "scalars"

_BLOCK = 1 << 20
"""Bytes that are read at a time where records are read one by one."""

_POINTS = {"tag": np.int32, "step": np.int64, "wall_time": np.float64, "value": np.float64}
_POINTERS = {
    "tag": np.int32,
    "plugin": np.int32,
    "file": np.int32,
    "step": np.int64,
    "wall_time": np.float64,
    "offset": np.int64,
    "length": np.int64,
    "ordinal": np.int32,
}


class Key(NamedTuple):
    """A series of a source."""

    tag: str
    plugin: str


class Pointer(NamedTuple):
    """Where one logged value is: number `ordinal` among the summaries of the record at [offset, offset + length) of a file."""

    file: LogFile
    offset: int
    length: int
    ordinal: int


class _Place(NamedTuple):
    """Whole records of a file, [start, stop), among which a tag's first point is."""

    start: int
    stop: int


class _File:
    """What has been read of one file, its tags numbered as in its source."""

    def __init__(self, file: LogFile, reader: Reader) -> None:
        self.file = file
        self.reader = reader
        self.points = Table(_POINTS)
        self.pointers = Table(_POINTERS)
        self.first: dict[int, _Place] = {}
        self.skipped: list[Skip] = []
        self.sessions: list[tuple[int, float]] = []
        self.error = ""


class _Numbers(dict[str, int]):
    """Numbers names in the order in which they come."""

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self)
        return number


class Source:
    """The files of one source, read when something is asked, and what they hold, by tag and plugin.

    Files count in the order of their names: of a tag's points, those of a later file come later, as in TensorBoard.
    """

    def __init__(self, name: str, files: Files, decoder: Decoder) -> None:
        self.name = name
        self._place = files
        self._decoder = decoder
        self._files: list[_File] = []
        self._tags = _Numbers()
        self._plugins = _Numbers({"": 0})
        self._stale = False
        self._forget()

    def _forget(self) -> None:
        """Forget what was derived from the files."""
        self._points: Table | None = None
        self._point_groups: Groups | None = None
        self._pointer_groups: dict[Key, NDArray[np.intp]] | None = None
        self._series: dict[str, list[Key]] | None = None
        self._metadata: dict[Key, Metadata] = {}

    def update(self, found: list[LogFile]) -> None:
        """Take the files that are there now: new ones are read from the start, known ones on from where they were."""
        known = {file.file.path: file for file in self._files}
        files = []
        for file in found:
            was = known.get(file.path)
            if was is None or was.file.id != file.id or file.size < was.reader.offset:
                was = _File(file, self._place.reader(file, self._decoder))
                self._stale = True
            elif was.file.size != file.size or was.error:
                self._stale = True
            was.file = file
            files.append(was)
        if [file.file.path for file in files] != [file.file.path for file in self._files]:
            self._stale = True
        self._files = files

    @property
    def files(self) -> list[LogFile]:
        """The files, as they were when the place was last looked at."""
        return [file.file for file in self._files]

    @property
    def tags(self) -> list[str]:
        """The tags, in no order; a number of a tag is its place here."""
        return list(self._tags)

    def damage(self) -> Iterator[tuple[LogFile, int, int, str]]:
        """Yield (file, offset, length, reason) for each stretch of bytes that could not be read."""
        self._read()
        for file in self._files:
            for skip in file.skipped:
                yield file.file, skip.offset, skip.length, skip.reason
            rest = file.file.size - file.reader.offset
            if file.error:
                yield file.file, file.reader.offset, rest, file.error
            elif file.reader.pending in {"checksum", "framing"}:
                yield file.file, file.reader.offset, rest, f"{file.reader.pending}, and no record follows"

    def sessions(self) -> list[tuple[int, float]]:
        """Return (step, wall time) of every session start, in the order of the files."""
        self._read()
        return [session for file in self._files for session in file.sessions]

    def series(self) -> list[Key]:
        """Return the series that there are, sorted."""
        return [key for keys in self._by_tag().values() for key in keys]

    def of_tag(self, tag: str) -> list[Key]:
        """Return the series of a tag: mostly one, none if there is no such tag."""
        return self._by_tag().get(tag, [])

    def points(self, tag: str, *, superseded: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return step, wall time and value of a tag's points; with `superseded`, also of those that a restart superseded."""
        rows = self.point_rows(tag, superseded=superseded)
        return self.columns("step")[rows], self.columns("wall_time")[rows], self.columns("value")[rows]

    def point_rows(self, tag: str, *, superseded: bool) -> NDArray[np.intp]:
        """Return which rows of `columns` are a tag's points."""
        groups = self._grouped_points()
        rows = groups.rows(self._tags[tag]) if tag in self._tags else groups.order[:0]
        return rows if superseded else rows[counting(self.columns("step")[rows])]

    def columns(self, name: str) -> NDArray[Any]:
        """Return a column of all points: tag (a number), step, wall_time or value."""
        self._read()
        if self._points is None:
            tables = [file.points for file in self._files]
            self._points = Table.joined(tables, _POINTS) if tables else Table(_POINTS)
        return self._points[name]

    def steps(self, key: Key) -> NDArray[np.int64]:
        """Return the steps of a series that count."""
        if key.plugin == SCALARS:
            steps: NDArray[np.int64] = self.columns("step")[self.point_rows(key.tag, superseded=False)]
            return steps
        steps = self._joined_pointers["step"][self._pointers()[key]]
        return steps[counting(steps)]

    def values(
        self, key: Key, *, superseded: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], list[Pointer]]:
        """Return step, wall time and place of a series' values."""
        rows = self._pointers()[key]
        table = self._joined_pointers
        step = table["step"][rows]
        if not superseded:
            rows = rows[counting(step)]
            step = table["step"][rows]
        places = zip(
            *(table[name][rows].tolist() for name in ("file", "offset", "length", "ordinal")), strict=True
        )
        pointers = [Pointer(self._files[file].file, *place) for file, *place in places]
        return step, table["wall_time"][rows], pointers

    def metadata(self, key: Key) -> Metadata:
        """Return what the first event of a series that says anything says about its tag."""
        if key not in self._metadata:
            found = (
                self._metadata_of_points(key.tag) if key.plugin == SCALARS else self._metadata_of_value(key)
            )
            self._metadata[key] = found or Metadata(key.plugin)
        return self._metadata[key]

    def logged(self, pointer: Pointer) -> Logged:
        """Read a value's record. Raises `BadValue` if the file has changed and `OSError` if it cannot be read."""
        data = self._place.bytes_at(pointer.file, pointer.offset, pointer.length)
        summaries = read_record(data).summaries
        if pointer.ordinal >= len(summaries):
            raise BadValue(f"{pointer.file.path}: the file has been changed since it was read")
        return summaries[pointer.ordinal]

    def records(self) -> Iterator[Record]:
        """Yield every event in full, but for what is damaged. Raises `OSError`."""
        self._read()
        for file in self._files:
            start = 0
            for skip in [*file.skipped, None]:
                stop = file.reader.offset if skip is None else skip.offset
                yield from self._records_between(file.file, start, stop)
                start = stop if skip is None else skip.offset + skip.length

    def _records_between(self, file: LogFile, start: int, stop: int) -> Iterator[Record]:
        block = _BLOCK
        while start < stop:
            data = memoryview(self._place.bytes_at(file, start, min(block, stop - start)))
            taken = 0
            for record in _records(data):
                taken += len(record)
                yield read_record(bytes(record))
            if not taken and len(data) < block:
                raise BadValue(f"{file.path}: the file has been changed since it was read")
            start += taken
            block = _BLOCK if taken else 2 * block

    def _read(self) -> None:
        if not self._stale:
            return
        self._stale = False
        self._forget()
        for at, file in enumerate(self._files):
            file.error = ""
            try:
                for batch in file.reader.read(skip=True):
                    self._take(file, batch)
            except OSError as error:
                file.error = str(error)
            if len(file.pointers):
                file.pointers["file"][:] = at

    def _take(self, file: _File, batch: Batch) -> None:
        file.skipped += batch.skipped
        file.sessions += batch.session_starts
        scalars = batch.scalars
        if len(scalars.step):
            numbers = np.array([self._tags[tag] for tag in scalars.tags], np.int32)
            new = [number for number in numbers.tolist() if number not in file.first]
            if new:
                file.first.update(_first_places(scalars, batch.scalar_records, numbers, new))
            file.points.append(
                {
                    "tag": numbers[scalars.tag],
                    "step": scalars.step,
                    "wall_time": scalars.wall_time,
                    "value": scalars.value,
                }
            )
        if batch.summaries:
            file.pointers.append(self._pointer_columns(batch.summaries))

    def _pointer_columns(self, summaries: tuple[Summary, ...]) -> dict[str, NDArray[Any]]:
        offset = np.array([summary.offset for summary in summaries], np.int64)
        at = np.arange(len(offset))
        begins = np.append(True, offset[1:] != offset[:-1])  # summaries of one record stand together
        return {
            "tag": np.array([self._tags[summary.tag] for summary in summaries]),
            "plugin": np.array([self._plugins[summary.plugin] for summary in summaries]),
            "file": np.zeros(len(offset), np.int32),
            "step": np.array([summary.step for summary in summaries], np.int64),
            "wall_time": np.array([summary.wall_time for summary in summaries], np.float64),
            "offset": offset,
            "length": np.array([summary.length for summary in summaries], np.int64),
            "ordinal": at - np.maximum.accumulate(np.where(begins, at, 0)),
        }

    def _by_tag(self) -> dict[str, list[Key]]:
        self._read()
        if self._series is None:
            names = self.tags
            with_points = np.flatnonzero(np.diff(self._grouped_points().start)).tolist()
            self._series = {}
            for key in sorted([*(Key(names[number], SCALARS) for number in with_points), *self._pointers()]):
                self._series.setdefault(key.tag, []).append(key)
        return self._series

    def _grouped_points(self) -> Groups:
        tag = self.columns("tag")
        if self._point_groups is None:
            self._point_groups = grouped(tag, len(self._tags))
        return self._point_groups

    def _pointers(self) -> dict[Key, NDArray[np.intp]]:
        """Return the rows of each series that is no scalar; a value that names no plugin has the first that its tag names."""
        self._read()
        if self._pointer_groups is None:
            tables = [file.pointers for file in self._files]
            self._joined_pointers = table = Table.joined(tables, _POINTERS) if tables else Table(_POINTERS)
            tag, plugin = table["tag"], table["plugin"].copy()
            named = np.flatnonzero(plugin)[::-1]
            first = np.zeros(len(self._tags), np.int32)
            first[tag[named]] = plugin[named]
            plugin = np.where(plugin == 0, first[tag], plugin)
            series, which = np.unique(tag.astype(np.int64) * len(self._plugins) + plugin, return_inverse=True)
            groups = grouped(which, len(series))
            tags, plugins = self.tags, list(self._plugins)
            self._pointer_groups = {}
            for at, number in enumerate(series.tolist()):
                of_tag, of_plugin = divmod(number, len(plugins))
                self._pointer_groups[Key(tags[of_tag], plugins[of_plugin])] = groups.rows(at)
        return self._pointer_groups

    def _metadata_of_value(self, key: Key) -> Metadata | None:
        rows = self._pointers()[key]
        table = self._joined_pointers
        named = rows[table["plugin"][rows] > 0]
        at = int((named if len(named) else rows)[0])
        file, offset, length, ordinal = (
            int(table[name][at]) for name in ("file", "offset", "length", "ordinal")
        )
        try:
            return self.logged(Pointer(self._files[file].file, offset, length, ordinal)).metadata
        except (BadValue, OSError):
            return None

    def _metadata_of_points(self, tag: str) -> Metadata | None:
        number = self._tags[tag]
        for file in self._files:
            place = file.first.get(number)
            if place is None:
                continue
            try:
                data = memoryview(self._place.bytes_at(file.file, place.start, place.stop - place.start))
            except OSError:
                continue
            values = (value for record in _records(data) for value in read_record(bytes(record)).values)
            first = next((value for value in values if value.tag == tag and value.point is not None), None)
            if first is not None and first.metadata is not None:
                return first.metadata
        return None


def _first_places(
    scalars: Scalars, records: NDArray[np.int64], numbers: NDArray[np.int32], new: list[int]
) -> dict[int, _Place]:
    """Return where the first point of each of the `new` tags is; where records hold several points, among which records."""
    first = np.empty(len(numbers), np.int64)
    first[scalars.tag[::-1]] = np.arange(len(scalars.tag))[
        ::-1
    ]  # of several, the last one to be assigned stays
    more = len(scalars.tag) - len(records)
    places = {}
    for number, point in zip(numbers.tolist(), first.tolist(), strict=True):
        start, _ = records[max(0, point - more)].tolist()
        offset, length = records[min(point, len(records) - 1)].tolist()
        places[number] = _Place(start, offset + length)
    return {number: places[number] for number in new}


def _records(data: memoryview) -> Iterator[memoryview]:
    """Yield the whole records at the start of `data`."""
    position = 0
    while (length := payload_length(data, position)) is not None:
        after = position + OVERHEAD + length
        if after > len(data):
            return
        yield data[position:after]
        position = after
