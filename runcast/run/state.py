"""What a run's journal says, entry after entry: the run itself, and what of it is to be recorded.

The recorder follows a journal live, and whoever rebuilds an index reads it once from the start; both fold it here, so
they come to the same run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from runcast.run.journal import read_journal
from runcast.run.record import RunRecord, State

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Child", "Finish", "RunState", "Save", "Watch", "Writer", "read_state"]

Policy = Literal["live", "now", "end"]


@dataclass(frozen=True, slots=True)
class Watch:
    """A declared logdir; `save` says whether its event files are kept, or only their scalars."""

    root: str
    path: str
    save: bool = True


@dataclass(frozen=True, slots=True)
class Writer:
    """An event file that a writer of the training process (or of a child) opened; `path` is absolute."""

    root: str
    source: str
    path: str
    library: str = ""
    adopted: bool = False
    save: bool = True


@dataclass(frozen=True, slots=True)
class Child:
    """A process under the training process that may write event files; `why` says why its writers are not recorded."""

    pid: int | None
    executable: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Save:
    """Files that are to be kept under `saved/`, by their path below `base`; `pattern` is absolute, and may be a glob.

    `policy` says when: `live` whenever they change, `now` once, at once, `end` when the run ends.
    """

    pattern: str
    base: str
    policy: Policy = "live"


@dataclass(frozen=True, slots=True)
class Finish:
    """How the run ended."""

    state: State
    ended: float
    interrupted: bool = False
    error: str | None = None


@dataclass
class RunState:
    """The fold of a journal's entries. `run` is None until the `start` entry was read.

    Entries of several authors arrive in file order; what is not understood (a newer version's operation, a field of the
    wrong type) is passed over, so that an older recorder still records.
    """

    run: RunRecord | None = None
    pid: int | None = None
    pid_created: float | None = None
    cwd: str = ""
    tensorboard: bool | None = None
    """Whether TensorBoard is wanted: True from the start, False never, None once a panel is shown."""
    left_out: frozenset[str] = frozenset()
    """What is not to be recorded: some of `code`, `git`, `packages`, `system`."""
    to: str = ""
    """The address of the server that the run is brought to; "" for none."""
    offline: bool = False
    """Whether bringing it there is left to `runcast sync`."""
    cell: int = 0
    """The number of the notebook cell that runs now; 0 while none does."""
    watches: dict[str, Watch] = field(default_factory=dict)
    """Declared logdirs by root, in order of declaration."""
    writers: dict[str, Writer] = field(default_factory=dict)
    """Writers' event files by absolute path, in order of opening."""
    saves: list[Save] = field(default_factory=list)
    """What `run.save` named, in that order, each once."""
    children: dict[str, Child] = field(default_factory=dict)
    """Processes that have joined, or could not, by author; the run's own process stands for those that it forks."""
    save: bool = True
    """Whether children's event files are kept, or only their scalars."""
    libraries: frozenset[str] | None = None
    """The libraries whose writers are recorded, in children too; None for all."""
    rank: int | None = None
    """The rank that the run's own process has among those of a distributed training; None where it has none."""
    following: str = ""
    """The folder of the run that came after this one in its process; empty while there is none."""
    finish: Finish | None = None
    resumed: int = 0
    """How often the run has gone on after an end."""
    begun: float = 0.0
    """When the latest process began with the run: its creation, or when it was resumed."""
    gathered: float = 0.0
    """When a recorder last noted what machine it runs on; 0 if none has."""
    updated: float = 0.0
    """The time of the latest entry."""

    @property
    def url(self) -> str | None:
        """The run's page on the server that it is brought to; None without one."""
        return f"{self.to}/runs/{self.run.id}" if self.to and self.run is not None else None

    def fold(self, entry: dict[str, Any]) -> None:
        """Take in one entry."""
        try:
            self.updated = max(self.updated, float(entry.get("time", 0.0)))
            match entry["op"]:
                case "start":
                    self._start(entry)
                case "watch":
                    watch = Watch(str(entry["root"]), str(entry["path"]), bool(entry.get("save", True)))
                    self.watches.setdefault(watch.root, watch)
                case "writer":
                    self._writer(entry)
                case "capture":
                    self.save = bool(entry.get("save", True))
                    self.rank = int(entry["rank"]) if entry.get("rank") is not None else None
                    libraries = entry.get("libraries")
                    self.libraries = None if libraries is None else frozenset(map(str, libraries))
                    self.following = ""
                case "child":
                    pid = int(entry["pid"]) if entry.get("pid") is not None else None
                    child = Child(pid, str(entry.get("executable") or ""), str(entry.get("why") or ""))
                    self.children[str(entry.get("by"))] = child
                case "cell":
                    self.cell = int(entry["n"]) if entry["event"] == "begin" else 0
                case "next":
                    self.following = str(entry["folder"])
                case "log_file":
                    self._save(entry)
                case "resume":
                    self._resume(entry)
                case "set":
                    self._set(dict(entry["values"]))
                    if "host" in (entry["values"].get("facts") or {}):
                        self.gathered = float(entry["time"])
                case "finish":
                    self._finish(entry)
                case _:
                    pass
        except (KeyError, TypeError, ValueError):
            return

    def _start(self, entry: dict[str, Any]) -> None:
        if self.run is not None:
            return
        self.run = RunRecord(
            id=str(entry["run"]),
            project=str(entry["project"]),
            name=str(entry["name"]),
            state="running",
            created=float(entry["created"]),
            config=dict(entry.get("config") or {}),
            facts=dict(entry.get("facts") or {}),
        )
        self.begun = self.run.created
        self._take_process(entry)

    def _take_process(self, entry: dict[str, Any]) -> None:
        """Take in which process records the run from here on."""
        assert self.run is not None
        self.pid = int(entry["pid"]) if entry.get("pid") is not None else None
        self.pid_created = float(entry["pid_created"]) if entry.get("pid_created") is not None else None
        self.cwd = str(entry.get("cwd") or "")
        self.left_out = frozenset(map(str, entry.get("left_out") or ()))
        if (
            entry.get("to") is not None
        ):  # a run that goes on goes on to where it was brought before, unless told otherwise
            self.to = str(entry["to"])
        self.offline = bool(entry.get("offline", False))
        self.tensorboard = bool(entry["tensorboard"]) if entry.get("tensorboard") is not None else None
        if entry.get("notebook") is not None:
            self.run.facts.setdefault("notebook", entry["notebook"])

    def _resume(self, entry: dict[str, Any]) -> None:
        """Let the run run again: how it ended before is no longer how it ends."""
        if self.run is None:
            return
        facts = {**self.run.facts, **dict(entry.get("facts") or {})}
        # None, not nothing: whoever has been told of the earlier end is told that it no longer holds.
        facts.update({fact: None for fact in ("interrupted", "error") if fact in facts})
        self.run = replace(self.run, state="running", ended=None, facts=facts)
        self._set(entry)
        self.finish = None
        self.resumed += 1
        self.begun = float(entry["time"])
        self._take_process(entry)

    def _save(self, entry: dict[str, Any]) -> None:
        policy = entry.get("policy", "live")
        if policy not in get_args(Policy):
            raise ValueError(policy)
        save = Save(str(entry["path"]), str(entry["base"]), policy)
        if save not in self.saves:
            self.saves.append(save)

    def _writer(self, entry: dict[str, Any]) -> None:
        writer = Writer(
            root=str(entry["root"]),
            source=str(entry["source"]),
            path=str(entry["path"]),
            library=str(entry.get("library") or ""),
            adopted=bool(entry.get("adopted", False)),
            save=bool(entry.get("save", True)),
        )
        self.writers.setdefault(writer.path, writer)

    def _set(self, values: dict[str, Any]) -> None:
        if self.run is None:
            return
        facts = {**self.run.facts, **(values.get("facts") or {})}
        facts.update(
            {fact: values[fact] for fact in ("tags", "notes", "group", "job_type") if fact in values}
        )
        if values.get("summary"):
            facts["summary"] = {**self.run.summary, **dict(values["summary"])}
        self.run = replace(
            self.run,
            name=str(values.get("name", self.run.name)),
            project=str(values.get("project", self.run.project)),
            config={**self.run.config, **(values.get("config") or {})},
            facts=facts,
        )

    def _finish(self, entry: dict[str, Any]) -> None:
        """Take the first end that was written: a recorder that took a silence for a crash does not overrule it."""
        if self.finish is not None or self.run is None:
            return
        if entry["state"] not in get_args(State):
            raise ValueError(entry["state"])
        error = entry.get("error")
        self.finish = Finish(
            state=entry["state"],
            ended=float(entry.get("ended") or entry.get("time") or time.time()),
            interrupted=bool(entry.get("interrupted", False)),
            error=str(error) if error else None,
        )
        facts = dict(self.run.facts)
        if self.finish.interrupted:
            facts["interrupted"] = True
        if self.finish.error is not None:
            facts["error"] = self.finish.error
        self.run = replace(self.run, state=self.finish.state, ended=self.finish.ended, facts=facts)


def read_state(journal: Path) -> RunState:
    """Return what the journal says as a whole; its `run` is None where there is no journal or no start entry."""
    state = RunState()
    for entry in read_journal(journal)[0]:
        state.fold(entry)
    return state
