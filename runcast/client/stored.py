"""`StoredRun`: one run of a store, to be read, edited and downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runcast.client.download import fetch
from runcast.client.history import History, label_of
from runcast.errors import RunNotFound, StoreError
from runcast.logdir.choice import chosen, near
from runcast.logdir.series import Series
from runcast.run.record import OWN_ROOT
from runcast.store.protocol import Facts
from runcast.store.shapes import whole_summary
from runcast.store.wire import run_from

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from runcast.run.record import RunRecord, State
    from runcast.store.local import LocalStore
    from runcast.store.protocol import FileRecord, SeriesRecord
    from runcast.store.remote import RemoteStore

__all__ = ["RunFile", "StoredRun", "read_run"]

_UNSAID = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
"""Numbers that JSON says as texts."""


def read_run(store: LocalStore | RemoteStore, run: str) -> RunRecord | dict[str, Any]:
    """Return a run as its store says it. Raises `RunNotFound`."""
    say = getattr(store, "run_shape", None)
    found: RunRecord | dict[str, Any] = store.run(run) if say is None else say(run)
    return found


class StoredRun:
    """A run as its store has it; made by `Api`. What was read stays as it was until `refresh`.

    `name`, `project`, `tags`, `notes`, `group` and `job_type` may be set; `update` sends what was, and from then on a training that still goes on
    leaves those fields alone.
    """

    def __init__(self, store: LocalStore | RemoteStore, said: RunRecord | dict[str, Any]) -> None:
        self._store = store
        self._take(said)
        self._edits: dict[str, Any] = {}
        self._series: Sequence[SeriesRecord] | None = None

    # What it is

    @property
    def id(self) -> str:
        """The run's id."""
        return self._record.id

    @property
    def url(self) -> str | None:
        """The run's page; None for a run of this machine."""
        server = getattr(self._store, "url", None)
        return f"{server}/runs/{self.id}" if server is not None else None

    @property
    def state(self) -> State:
        """`running`, `finished`, `failed` or `crashed`."""
        return self._record.state

    @property
    def created(self) -> float:
        """When it began, in seconds since the epoch."""
        return self._record.created

    @property
    def ended(self) -> float | None:
        """When it ended; None if it has not."""
        return self._record.ended

    @property
    def config(self) -> dict[str, Any]:
        """What the training was started with."""
        return self._record.config

    @property
    def facts(self) -> dict[str, Any]:
        """What else is known of it: host, command, git and the like."""
        return self._record.facts

    @property
    def summary(self) -> dict[str, Any]:
        """What came of it: the last values of its series, and what the user set."""
        if self._summary is not None:
            return dict(self._summary)
        return whole_summary(self._record, self._known_series(), self._store)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._edits.get("name", self._record.name))

    @name.setter
    def name(self, name: str) -> None:
        self._edits["name"] = name

    @property
    def project(self) -> str:
        """The project that it belongs to."""
        return str(self._edits.get("project", self._record.project))

    @project.setter
    def project(self, project: str) -> None:
        self._edits["project"] = project

    @property
    def tags(self) -> tuple[str, ...]:
        """Its labels."""
        return tuple(self._edits.get("tags", self._record.tags))

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        self._edits["tags"] = [tags] if isinstance(tags, str) else list(tags)

    @property
    def notes(self) -> str:
        """What somebody wrote about it."""
        return str(self._edits.get("notes", self._record.notes))

    @notes.setter
    def notes(self, notes: str) -> None:
        self._edits["notes"] = notes

    @property
    def group(self) -> str:
        """The name that runs which belong together share."""
        return str(self._edits.get("group", self._record.group))

    @group.setter
    def group(self, group: str) -> None:
        self._edits["group"] = group

    @property
    def job_type(self) -> str:
        """What it does within its group."""
        return str(self._edits.get("job_type", self._record.job_type))

    @job_type.setter
    def job_type(self, job_type: str) -> None:
        self._edits["job_type"] = job_type

    def __repr__(self) -> str:
        return f"<StoredRun {self.project}/{self.name} {self.id} {self.state}>"

    # Changes

    def update(self) -> StoredRun:
        """Send what was set, and return the run as it is now."""
        if self._edits:
            own = {name: self._edits[name] for name in ("name", "project") if name in self._edits}
            labels = {name: value for name, value in self._edits.items() if name not in own}
            self._store.update(self.id, Facts(**own, facts=labels, edit=True))
            self._edits = {}
        return self.refresh()

    def refresh(self) -> StoredRun:
        """Read the run again, and return it; what was set and not sent stays set."""
        self._take(read_run(self._store, self.id))
        self._series = None
        return self

    def delete(self) -> None:
        """Put the run into the trash, from which `restore` takes it until the trash is emptied."""
        self._store.trash(self.id)

    def restore(self) -> None:
        """Take the run out of the trash."""
        self._store.restore(self.id)

    def purge(self) -> None:
        """Delete the run, which is in the trash, and its files for good. Raises `StoreError` where it is not there, or not yours."""
        self._store.purge(self.id)

    # What it logged

    def series(self) -> list[SeriesRecord]:
        """Return what series there are, of scalars and everything else, with their bounds and last values."""
        return list(self._known_series())

    def history(
        self,
        tags: str | Sequence[str] | None = None,
        points: int | None = 500,
        *,
        source: str | Sequence[str] | None = None,
        system: bool = False,
    ) -> History:
        """Return scalars, of each series at most `points` points: first, least, greatest and last of equal parts; None: all.

        `tags` and `source` choose by name or pattern (`loss/*`), or several of these. System metrics are among them with `system`.
        """
        scalars = [
            each
            for each in self._known_series()
            if each.plugin == "scalars" and (system or (each.root, each.source) != (OWN_ROOT, "system"))
        ]
        labels = label_of(scalars)
        wanted = set(chosen({each.tag for each in scalars}, tags))
        sources = set(chosen(set(labels.values()), source))
        found = []
        for each in scalars:
            label = labels[each.root, each.source]
            if each.tag in wanted and label in sources:
                few = points is not None and each.count > points
                columns = self._store.points(
                    self.id,
                    each.root,
                    each.source,
                    each.tag,
                    pixels=max(1, points // 4) if few and points else None,
                )
                found.append(Series(label, each.tag, columns.step, columns.wall_time, columns.value))
        return History(found)

    def scan_history(
        self, tags: str | Sequence[str] | None = None, *, source: str | Sequence[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield every step of each source as a dict: `source`, `step`, and the values of its tags."""
        return self.history(tags, None, source=source).rows()

    # Files

    def files(self) -> list[RunFile]:
        """Return the run's files, by path."""
        return [RunFile(self._store, self.id, file) for file in self._store.files(self.id) if file.size]

    def file(self, path: str) -> RunFile:
        """Return one file. Raises `RunNotFound` where the run has none of this path."""
        files = {file.path: file for file in self.files()}
        if path not in files:
            raise RunNotFound(f"run {self.id} has no file {path!r}{near(path, files)}")
        return files[path]

    def download(self, folder: str | os.PathLike[str]) -> Path:
        """Copy all of the run's files into a folder, as `RunFile.download` does, and return the folder."""
        for file in self.files():
            file.download(folder)
        return Path(folder)

    def _take(self, said: RunRecord | dict[str, Any]) -> None:
        """Take in a run: a server says its summary, too."""
        self._record = run_from(said) if isinstance(said, dict) else said
        self._summary = said.get("summary") if isinstance(said, dict) else None
        if self._summary is not None:
            self._summary = {key: _UNSAID.get(str(value), value) for key, value in self._summary.items()}

    def _known_series(self) -> Sequence[SeriesRecord]:
        if self._series is None:
            self._series = self._store.series(self.id)
        return self._series


class RunFile:
    """One file of a run."""

    def __init__(self, store: LocalStore | RemoteStore, run: str, record: FileRecord) -> None:
        self._store = store
        self._run = run
        self.path = record.path
        """Its path in the run."""
        self.size = record.size
        """How many bytes were recorded when it was listed."""

    def read(self) -> bytes:
        """Return the file's bytes."""
        data = self._store.read(self._run, self.path, 0, self.size)
        if len(data) != self.size:
            raise StoreError(f"{self.path} of run {self._run} has changed: list the files again")
        return data

    def download(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the file to its path below `folder`, and return that.

        What an earlier download has brought of a file that only grows is not fetched again; one that broke off is gone on with.
        Until the file is whole, it is `<name>.part`. Raises `StoreError`, also if it cannot be written.
        """
        return fetch(self._store, self._run, self.path, self.size, Path(folder))

    def __repr__(self) -> str:
        return f"<RunFile {self.path} {self.size:,} bytes>"
