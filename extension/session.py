"""What runcast does in one shell: the run that is being recorded, and what is shown of it."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runcast.errors import LogdirError, RuncastError
from runcast.extension.frontend import cell_id, cell_number, detect, form
from runcast.extension.history import NotebookHistory

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

    from runcast.extension.frontend import Form
    from runcast.magics.options import SyncOptions
    from runcast.run.live import Run
    from runcast.widgets.view import View

__all__ = ["Session"]

DRAIN = 1.0
"""Seconds that the end of a cell may wait until what it logged is recorded."""

BATCH_FORM = 10.0
"""Seconds that a cell of a notebook executed by a program may wait for its points and, again, for its static form: nobody
sits there, the recorder may just be starting on a busy machine, and nothing could update the form later."""

FINISH = 10.0
"""Seconds that an explicit finish may wait for the recorder; it goes on by itself if it needs longer."""

EXIT = 0.1
"""Seconds that the end of the process may wait for the recorder: Jupyter kills a kernel soon after, and nothing is lost."""

INTERRUPTS = (KeyboardInterrupt, asyncio.CancelledError)


class Session:
    """One shell's runs: at most one is recorded at a time, and a new one finishes the one before.

    Its cell hooks never raise; what goes wrong in them is in `warnings`. In a process forked off a cell nothing happens.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.warnings: deque[str] = deque(maxlen=20)
        self._pid = os.getpid()
        self._view: View | None = None
        self._depth = 0
        self._interrupted = False
        self._cell_run: tuple[Run, int] | None = None
        self._cell_number: int | None = None
        self._history = NotebookHistory(shell, self.report)
        self._history_run: Run | None = None

    @property
    def owned(self) -> bool:
        """Whether this process is the one that loaded the extension, not a fork of it."""
        return os.getpid() == self._pid

    # Runs

    @property
    def run(self) -> Run | None:
        """The run that is recorded now, whoever started it."""
        active = sys.modules.get(
            "runcast.run.active"
        )  # the engine is imported with the first run, not with the extension
        run: Run | None = active.active_run() if active is not None else None
        return run if run is not None and run.owned else None

    def start(self, options: SyncOptions, *, for_cell: bool = False) -> Run:
        """Record a new run and show it; with `for_cell` it ends with the cell that is being executed.

        Raises `RuncastError` if there can be no run. A logdir or a panel that cannot be used is told, and the run goes on.
        """
        from runcast.run.active import init

        frontend = detect(self.shell)
        shown = form(frontend)
        self.finish()
        run = init(
            options.project,
            options.name,
            sync_tensorboard=True,
            save=options.save,
            to=options.to,
            logdirs=_usable(options.logdirs),
            tensorboard=None if options.tensorboard else False,
        )
        self._cell_run = (run, self._depth) if for_cell else None
        # Anew for each run: what is registered last is called first, and the run has an exit handler of its own.
        atexit.unregister(self.at_exit)
        atexit.register(self.at_exit)
        self._mark(run, "begin")
        self._keep_history(run)
        self._show(run, shown, options)
        return run

    def finish(self, *, error: BaseException | None = None) -> Run | None:
        """Finish the run that is recorded now, as `error` says, and leave its static form standing; return that run."""
        from runcast.run.exits import outcome_of

        run = self.run
        if not self.owned:
            return None
        if run is not None:
            outcome = outcome_of(error)
            run.drain(DRAIN)
            run.finish(outcome.state, error=outcome.error, interrupted=outcome.interrupted, timeout=FINISH)
        self._close_view()
        return run

    def close(self) -> None:
        """Let go of the shell; the run is finished."""
        self._history.close()

    def report(self, problem: str) -> None:
        """Keep a problem for `%runcast status`: it is no reason to disturb a training."""
        self.warnings.append(f"{time.strftime('%H:%M:%S')} {problem}")

    # Hooks

    def pre_run_cell(self, _info: Any = None) -> None:
        """A cell begins."""
        self._depth += 1
        self._guarded(self._begin)

    def post_run_cell(self, result: ExecutionResult | None = None) -> None:
        """A cell has ended: the panel gets all that it logged."""
        self._guarded(self._end, result)
        self._depth = max(0, self._depth - 1)

    def at_exit(self) -> None:
        """The process ends in good order. Jupyter interrupts a busy kernel before it ends it, which ends the cell first."""
        self._guarded(self._exit)

    def _guarded(self, hook: Any, *arguments: Any) -> None:
        if not self.owned:
            return
        try:
            hook(*arguments)
        except Exception as error:  # noqa: BLE001  our mistakes are not the user's
            self.report(f"after-cell hook: {error!r}")

    def _begin(self) -> None:
        if self._depth != 1:
            return
        self._cell_number = cell_number(self.shell, begun=False)
        self._history.cell_begins(self._cell_number)
        if (run := self.run) is not None:
            self._mark(run, "begin")
            self._keep_history(run)

    def _end(self, result: ExecutionResult | None) -> None:
        run = self.run
        error = None if result is None else result.error_before_exec or result.error_in_exec
        if self._depth <= 1 and result is not None and result.execution_count is not None:
            self._history.cell_ended(result.execution_count, error)
        if run is not None:
            self._keep_history(run)
        if run is None:
            self._close_view()
            return
        if self._depth <= 1:
            self._mark(run, "end", error)
            self._interrupted = isinstance(error, INTERRUPTS)
        if self._cell_run is not None and self._cell_run[0] is run:
            if self._cell_run[1] >= self._depth:
                self._cell_run = None
                self.finish(error=KeyboardInterrupt() if isinstance(error, INTERRUPTS) else error)
        elif self._depth <= 1:
            is_batch = self._view is not None and detect(self.shell) == "client"
            run.drain(BATCH_FORM if is_batch else DRAIN)
            if self._view is not None:
                self._view.refresh(BATCH_FORM if is_batch else 0.0)

    def _exit(self) -> None:
        from runcast.run.exits import Outcome

        if (run := self.run) is not None:
            run.finish_at_exit(Outcome("finished", None, self._interrupted), EXIT)
        self._close_view()

    def _keep_history(self, run: Run) -> None:
        """Keep the notebook with this run, unless code is not to be kept."""
        if run is self._history_run:
            return
        from runcast.run.record import NOTEBOOK
        from runcast.settings import load_settings

        self._history_run = run
        if not load_settings().save_code or getattr(self.shell, "kernel", None) is None:
            self._history.keep_in(None)
            return
        self._history.keep_in(run.folder / NOTEBOOK)
        run.on_finish(self._history.stop)

    def _mark(self, run: Run, event: str, error: BaseException | None = None) -> None:
        text = None if error is None else f"{type(error).__name__}: {error}"
        number = cell_number(self.shell, begun=True) if self._cell_number is None else self._cell_number
        run.mark_cell(event, number, cell_id(self.shell), text)

    # What is shown

    def _show(self, run: Run, shown: Form, options: SyncOptions) -> None:
        if shown == "none":
            there = f", and brought to {run.url}" if run.url is not None else ""
            print(f"runcast: {run.name} is recorded in {run.folder}{there}; `runcast show {run.id}` shows it")  # noqa: T201
            return
        try:
            from runcast.widgets.view import View

            self._view = View(run, shown, self.report)
            self._view.show(height=options.height, tensorboard=options.tensorboard)
        except RuncastError as error:
            tell(f"{error}. The run {run.id} is recorded all the same")

    def _close_view(self) -> None:
        view, self._view = self._view, None
        if view is not None:
            view.close()


def tell(text: str) -> None:
    """Say something to the user, in one line, where the cell's errors go."""
    print(f"runcast: {text}", file=sys.stderr)  # noqa: T201


def _usable(logdirs: tuple[str, ...]) -> list[str]:
    """Return the logdirs that can be watched, and tell what is the matter with the others, or with one that is not there yet."""
    from runcast.run.roots import check_logdir, is_remote

    usable = []
    for logdir in logdirs:
        try:
            path = check_logdir(logdir)
        except LogdirError as error:
            tell(f"{error}. The run is recorded without it")
            continue
        usable.append(path)
        if is_remote(path):
            continue
        if not Path(path).exists():
            print(f"runcast: {path} does not exist yet; it is waited for")  # noqa: T201
        elif not os.access(path, os.R_OK | os.X_OK):
            tell(f"no permission to read {path}; its files are recorded once they can be read")
    return usable
