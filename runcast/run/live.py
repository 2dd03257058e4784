"""`Run`: the run that this process records."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runcast import capture
from runcast.run.children import Children, flush_at_exit
from runcast.run.cloud import cloud_environment
from runcast.run.exits import Outcome, outcome_of
from runcast.run.journal import Journal
from runcast.run.logged import ValueLog
from runcast.run.namesakes import Namesakes
from runcast.run.notes import Notes
from runcast.run.ranks import rank, ranked
from runcast.run.record import is_own
from runcast.run.roots import Roots, check_logdir, is_remote
from runcast.run.saved import files_of, wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from runcast.run.channel import Message
    from runcast.run.console import Capture, ConsoleMode
    from runcast.run.link import RecorderLink
    from runcast.run.record import RunRecord, State
    from runcast.run.state import Policy

__all__ = ["Run"]

log = logging.getLogger("runcast")


class Run(Namesakes):
    """One recorded training, as the process that trains sees it. Made by `runcast.init`; every method is thread-safe.

    Nothing here raises into training but for arguments that make no sense; what goes wrong is told once, on the logger
    `runcast`. In a forked child the run is not owned: `log`, `finish` and the like do nothing there, while event files that
    the child opens are recorded.
    """

    def __init__(
        self,
        record: RunRecord,
        folder: Path,
        journal: Journal,
        link: RecorderLink,
        *,
        roots: Roots,
        config: Mapping[str, Any],
        sync_tensorboard: bool,
        save: bool,
        finish_timeout: float,
        step: int = 0,
        url: str | None = None,
        resumed: bool = False,
        disabled: bool = False,
        ended_well: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(record, config, Notes(journal), step=step)
        self.id = record.id
        self.folder = folder
        self.url = url
        """The run's page on the server that it is brought to; None without one."""
        self.resumed = resumed
        """Whether this is an earlier run that goes on."""
        self.disabled = disabled
        """Whether nothing of it is recorded."""
        self.save_event_files = save
        """Whether event files are kept, or only their scalars; holds for writers opened from now on."""
        self._ended_well = ended_well
        self._link = link
        self._roots = roots
        self._sync_tensorboard = sync_tensorboard
        self._finish_timeout = finish_timeout
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._state: State = "running"
        self._cell: int | None = None
        self._console: Capture | None = None
        self._paths: set[str] = set()
        self._recorded: dict[str, int] = {}
        self._stop_capture: Callable[[], None] | None = None
        self._left = False
        self._children = Children(folder, self._note)
        self._on_finish: list[Callable[[], None]] = []
        self._log = ValueLog(
            folder,
            step=step,
            warn=self._warn,
            keep=self._keep,
            logged=self._logged,
            step_of=self._metrics.step,
        )

    def __repr__(self) -> str:
        return f"<Run {self.project}/{self.name} {self.id} {self._state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        outcome = outcome_of(error)
        self.finish(outcome.state, error=outcome.error, interrupted=outcome.interrupted)

    @property
    def state(self) -> State:
        """`running`, or what the run was finished as."""
        return self._state

    @property
    def owned(self) -> bool:
        """Whether this process may end the run: not so in a forked child."""
        return os.getpid() == self._pid

    @property
    def step(self) -> int:
        """The step of the next `log` that is given none."""
        return self._log.step

    # What the run records

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Record values, each at the same step; nested dicts become tags with `/`.

        Numbers are scalars, texts texts; arrays and tensors of several numbers, and lists of them, are histograms; `runcast.Image`,
        `Histogram`, `Table`, `Audio` and `Video`, PIL images and Matplotlib figures are what they are. What nobody understands
        is left out, and told once.

        The step is `data["global_step"]` if that is there, else `step`, else one more than the last. While TensorBoard is
        synced `step` is ignored (and said so once), because the writers' own steps count. `commit=False`, W&B's way to log to
        one step in several calls, leaves the next call at the same step.
        """
        if not self._recording:
            if self.state != "running":
                self._warn("ended", f"run.log after the end of {self.name}: nothing more is recorded in it")
            return
        given: Any = data  # whatever a training passes
        if not isinstance(given, Mapping):
            self._warn("values", f"run.log takes a dict, not a {type(given).__name__}; it is left out")
            return
        if step is not None and self._sync_tensorboard:
            self._warn(
                "step",
                "run.log(step=…) is ignored while TensorBoard is synced; put the step into the dict as 'global_step'",
            )
            step = None
        with self._lock:
            self._log.write(data, step, advance=commit is not False)
            if self._log.path is not None:
                self._paths.add(str(self._log.path))

    def save(
        self,
        glob_str: str | os.PathLike[str] | None = None,
        base_path: str | os.PathLike[str] | None = None,
        policy: Policy = "live",
    ) -> list[str]:
        """Keep files in the run, under `saved/` and their path below `base_path`; return those that match now.

        `glob_str` is the path of a file or folder, or a glob (`**` crosses folders). `live` keeps them whenever they change and
        picks up what appears later, `now` keeps what is there now, once, and `end` what is there when the run ends. Copying is the
        recorder's work and goes on in the background. Raises `SettingsError` for a pattern that leads out of its base.
        """
        if glob_str is None:
            self._warn(
                "save", "run.save() without a path keeps nothing; names and config are recorded by themselves"
            )
            return []
        want = wanted(glob_str, base_path, policy, home=self._dir)
        found = list(files_of(want.pattern))
        if not self._recording:
            return found
        if not found:
            later = {"live": "; what appears is kept", "end": "; what is there at the end is kept"}
            self._warn(f"save {want}", f"run.save: nothing matches {want.pattern} yet{later.get(policy, '')}")
        self._keep(*want)
        return found

    def _keep(self, pattern: str, base: str, policy: Policy = "now") -> None:
        self._note("log_file", path=pattern, base=base, policy=policy)
        self._link.send({"kind": "wake"})

    def watch(self, logdir: str | os.PathLike[str], *_: Any, save: bool | None = None, **__: Any) -> None:
        """Watch a folder for event files of any process; it need not exist yet, and twice is as once.

        What is no path is taken for a model, as W&B does: that its gradients are not recorded is told once. Raises `LogdirError` for
        a regular file.
        """
        given: Any = logdir
        if not isinstance(given, (str, os.PathLike)):
            self._warn(
                "model",
                "run.watch(model) has no effect, run.watch is for folders; log what you need of a model, as in "
                "run.log({'gradients/fc': runcast.Histogram(model.fc.weight.grad)})",
            )
            return
        path = check_logdir(logdir)
        if not self._recording:
            return
        root = self._roots.declare(path)
        if root is not None:
            self._note("watch", root=root, path=path, save=self.save_event_files if save is None else save)
            self._wake(path)

    def watch_writers(self) -> None:
        """Record the writers of this process and of its children, present and future; harmless when that is so already."""
        with self._lock:
            if self._recording:
                self._children.admit(save=self.save_event_files)
                if self._stop_capture is None:
                    self._stop_capture = capture.subscribe(self._writer_opened)

    @property
    def captures(self) -> bool:
        """Whether the writers of this process are recorded in this run."""
        return self._stop_capture is not None

    def _writer_opened(self, notice: capture.WriterNotice) -> None:
        if self._left or is_own(self.folder, notice.path):
            return  # over, or a file that the run itself writes
        root, source = self._roots.locate(notice.path)
        if not self.owned:
            flush_at_exit()
            source = ranked(source, rank(), self._children.rank)
        self._note(
            "writer",
            root=root,
            source=source,
            path=notice.path,
            library=notice.library,
            adopted=notice.adopted,
            save=self.save_event_files,
        )
        if self.owned:
            self._paths.add(notice.path)
            self._wake(notice.path)

    def _wake(self, path: str) -> None:
        """Let the recorder look at a logdir or a file; for one in a bucket it may need to know who we are by now."""
        if is_remote(path):
            self._link.send({"kind": "environment", "set": cloud_environment()})
        self._link.send({"kind": "wake"})

    def watch_console(self, mode: ConsoleMode, *, interactive: bool) -> None:
        """Note what is printed from now on (see `runcast.run.console`); harmless when that is so already."""
        from runcast.run.console import capture_console

        def failed(why: str) -> None:
            self._warn("console", f"what is printed is not recorded any more: {why}")

        if self._console is None and self._recording:
            self._console = capture_console(
                self.folder, mode, interactive=interactive, cell=lambda: self._cell, failed=failed
            )

    def mark_cell(self, event: str, n: int, cell_id: str | None = None, error: str | None = None) -> None:
        """Note that notebook cell number `n` begins (`event` "begin") or ends ("end")."""
        if not self._recording:
            return
        self._cell = n if event == "begin" else None
        if self._console is not None:
            self._console.look()
        self._note("cell", event=event, n=n, cell=cell_id, error=error)

    # The recorder

    def start(self) -> None:
        """Start the recorder."""
        self._link.start()

    def drain(self, timeout: float = 1.0) -> bool:
        """Flush the writers and wait until the recorder has what they wrote; whether it has.

        Takes at most `timeout` seconds, and returns at once when nothing is missing or no recorder is alive. Where logdirs are
        watched the recorder has looked through them by then, since other processes may have written there.
        """
        if not self._recording:
            return True
        deadline = time.monotonic() + timeout
        capture.flush_all(timeout)
        self._paths.update(self._children.announced())
        missing = {path: size for path, size in self._sizes().items() if size > self._recorded.get(path, 0)}
        if not missing and not self._roots.any_declared:
            return True
        reply = self._link.request("drain", max(0.0, deadline - time.monotonic()), files=missing)
        if reply is not None:
            self._recorded.update(reply[0].get("recorded", {}))
        return reply is not None and all(self._recorded.get(path, 0) >= missing[path] for path in missing)

    def _sizes(self) -> dict[str, int]:
        sizes = {}
        for path in list(self._paths):
            try:
                sizes[path] = Path(path).stat().st_size
            except OSError:  # noqa: PERF203  removed, or on a bucket: nothing that could be waited for
                continue
        return sizes

    def status(self, timeout: float = 1.0) -> dict[str, Any] | None:
        """Return what the recorder says of the run and its files; None when it does not answer in `timeout` seconds."""
        reply = self._link.request("status", timeout)
        return reply[0] if reply is not None else None

    def request(self, kind: str, timeout: float, **fields: Any) -> Message | None:
        """Ask the recorder (see `runcast.run.channel`); None when it is dead or does not answer in `timeout` seconds."""
        return self._link.request(kind, timeout, **fields)

    def send(self, header: dict[str, Any]) -> None:
        """Send the recorder a message, without waiting; a `show` is sent again to each new recorder."""
        self._link.send(header)

    def on_message(self, callback: Callable[[dict[str, Any], list[bytes]], None]) -> Callable[[], None]:
        """Call `callback(header, buffers)` on a thread of ours for each message; return a function that ends that."""
        return self._link.subscribe(callback)

    @property
    def recorder_pid(self) -> int | None:
        """The process id of the recorder; None while there is none."""
        return self._link.pid

    # The end

    def finish(
        self,
        state: State | int = "finished",
        *,
        error: str | None = None,
        interrupted: bool = False,
        timeout: float | None = None,
        exit_code: int | None = None,
        quiet: bool | None = None,
    ) -> bool:
        """End the run, and wait until everything is recorded, at most `timeout` seconds (default: the setting).

        True if everything is recorded. A recorder that needs longer goes on by itself. Harmless when called again. An exit code is
        W&B's way to say that it failed; it may stand in the place of `state`. `quiet` is W&B's as well, and changes nothing.
        """
        del quiet
        if not self.owned:
            return False
        code = state if isinstance(state, int) else exit_code
        if not isinstance(state, str) or code is not None:
            state, said = outcome_of(SystemExit(code))[:2]
            error = said if error is None else error
        with self._lock:
            if self._state != "running":
                return True
            self._state = state
        patience = self._finish_timeout if timeout is None else timeout
        deadline = time.monotonic() + patience
        if self._stop_capture is not None:
            capture.flush_all(patience, remote=True)
        self.leave()
        with self._lock:
            self._log.close()
        if self._console is not None:
            self._console.stop(patience)
        for callback in self._on_finish:
            callback()
        if self._temporary is not None:
            self._temporary.cleanup()
        if state == "finished" and not interrupted:
            self._ended_well()
        self._note("finish", state=state, interrupted=interrupted, error=error, ended=time.time())
        self._link.end()
        complete = self._link.wait_finished(max(0.0, deadline - time.monotonic()))
        if not complete and timeout is None and self._link.alive:
            log.warning("runcast: run %s is still being recorded; that goes on without this process", self.id)
        return complete

    def leave(self) -> None:
        """Record no more writers of this process, nor of children that it starts."""
        stop, self._stop_capture = self._stop_capture, None
        self._left = True
        if stop is not None:
            stop()
        if self.owned:
            self._children.release()

    def on_finish(self, callback: Callable[[], None]) -> None:
        """Call `callback()` once, when the run is being finished, before its end is noted; it must not raise."""
        self._on_finish.append(callback)

    def finish_at_exit(self, outcome: Outcome, timeout: float | None) -> None:
        """Finish because the process ends. A cell that is still open was interrupted."""
        self.finish(
            outcome.state,
            error=outcome.error,
            interrupted=outcome.interrupted or self._cell is not None,
            timeout=timeout,
        )

    def disown(self) -> None:
        """Become the forked child's view of the run: a journal of its own, and no recorder, lock or file of the parent's."""
        self._notes = self._notes.child(Journal(self.folder / "run.jsonl", f"child:{os.getpid()}"))
        self._lock = threading.RLock()
        self._link.abandon()
        if self._console is not None:
            self._console.stop()

    # Notes

    @property
    def _recording(self) -> bool:
        return self._state == "running" and self.owned and not self.disabled

    def _note(self, op: str, **fields: Any) -> None:
        self._notes.note(op, **fields)

    def _warn(self, key: str, text: str) -> None:
        self._notes.warn(key, text)
