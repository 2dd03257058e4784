"""What `python -m runcast.recorder RUN_FOLDER --parent PID` does: record one run until it ends.

The run's folder is `RUNCAST_DIR/runs/<id>`. Standard input and output are the channel (`runcast.run.channel`); whatever else
would be printed goes to `recorder.log` in the run's folder. Several folders with `--complete` are runs whose training process
is gone: they are completed, one after the other; with `--send`, runs that are complete, and not yet on their servers.

Exit status: 0 the run is complete, `EXIT_LOCKED` another recorder has it, `STOPPED` told to stop before the run's end.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from runcast.errors import RuncastError
from runcast.recorder.channel import Inbox, Outbox
from runcast.recorder.loop import STOPPED, Recorder
from runcast.recorder.parent import Parent
from runcast.recorder.recover import JOURNAL, LOCK, complete_unfinished, send_unsent
from runcast.recorder.replica import Note, Replica
from runcast.run.channel import EXIT_LOCKED
from runcast.run.process import is_alive
from runcast.run.state import read_state
from runcast.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

log = logging.getLogger("runcast.recorder")

LOCK_WAIT = 0.5
"""Seconds to wait for the run's lock: someone may just be trying whether it is free."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if options.send:
        away: set[str] = set()
        return max(_send(folder, away) for folder in options.folder)
    if options.complete:
        return max(_complete(folder) for folder in options.folder)
    return _record(options.folder[0], options.parent, options.parent_created)


def _record(folder: Path, pid: int, created: float | None) -> int:
    inbox_fd, outbox_fd = os.dup(0), os.dup(1)
    _redirect(folder)
    faulthandler.enable()  # a library that crashes the process says where, in the log
    try:
        with FileLock(folder / LOCK, timeout=LOCK_WAIT):
            log.info("recorder %d records run %s for process %d", os.getpid(), folder.name, pid)
            wake = threading.Event()
            recorder = Recorder(
                folder,
                partial(LocalStore, folder.parents[1]),
                Outbox(outbox_fd),
                parent=Parent(pid, created, wake.set),
                # Unbuffered: its thread still reads when the interpreter ends, and must hold no lock then.
                inbox=Inbox(os.fdopen(inbox_fd, "rb", buffering=0), wake.set),
                wake=wake,
            )
            threading.Thread(target=_recover, args=(folder.parents[1],), name="recover", daemon=True).start()
            code = _run(recorder)
    except Timeout:
        return EXIT_LOCKED
    recorder.part()
    recorder.close()
    return code


def _complete(folder: Path) -> int:
    _redirect(folder)
    if _is_recorded(folder):
        return 0
    try:
        with FileLock(folder / LOCK, timeout=LOCK_WAIT):
            if _is_recorded(folder):  # resumed, just now
                return 0
            log.info("recorder %d completes run %s", os.getpid(), folder.name)
            nobody = Outbox(os.open(os.devnull, os.O_WRONLY))
            recorder = Recorder(folder, partial(LocalStore, folder.parents[1]), nobody)
            code = _run(recorder)
    except Timeout:
        return EXIT_LOCKED
    recorder.part()
    recorder.close()
    return code


def _send(folder: Path, away: set[str]) -> int:
    """Bring a run that is recorded to where it is to be; `STOPPED` if that cannot be done now.

    A server that cannot be used is put into `away`, and not tried for other runs.
    """
    _redirect(folder)
    there = True
    for url, said in Note.all(folder).items():
        if said.get("complete") or said.get("gone") or url in away:
            continue
        log.info("recorder %d brings run %s to %s", os.getpid(), folder.name, url)
        replica = Replica(folder, partial(LocalStore, folder.parents[1]), url, log.warning)
        replica.start()
        if not replica.settle():
            there = False
            away.add(url)
        replica.stop()
    return 0 if there else STOPPED


def _is_recorded(folder: Path) -> bool:
    state = read_state(folder / JOURNAL)
    if state.finish is None and state.pid is not None and is_alive(state.pid, state.pid_created):
        log.info("run %s is not to be completed: its process %d lives", folder.name, state.pid)
        return True
    return False


def _run(recorder: Recorder) -> int:
    def stop(_number: int, _frame: object) -> None:
        recorder.stopping = True  # and no more: the loop may be holding any lock, and looks within a second

    signal.signal(signal.SIGTERM, stop)
    code = recorder.record()
    log.info("recorder %d ends with status %d", os.getpid(), code)
    return code


def _recover(root: Path) -> None:
    try:
        if found := complete_unfinished(root):
            log.info("completing runs that nobody completed: %s", ", ".join(found))
        if found := send_unsent(root):
            log.info("bringing runs to their servers: %s", ", ".join(found))
    except (RuncastError, OSError):
        log.exception("cannot look for runs that nobody completed")


def _redirect(folder: Path) -> None:
    """Send all that is printed, by us or by a library, to the run's log, and have children read nothing from the channel."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        target = os.open(folder / "recorder.log", flags, 0o644)
    except OSError:
        target = os.open(os.devnull, os.O_WRONLY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, standard in ((nothing, 0), (target, 1), (target, 2)):
        os.dup2(fd, standard)
    os.close(target)
    os.close(nothing)
    logging.raiseExceptions = False
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runcast.recorder", description="Record a run until it ends."
    )
    parser.add_argument("folder", type=Path, nargs="+", help="the run's folder, RUNCAST_DIR/runs/<id>")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--parent", type=int, metavar="PID", help="the process that is recorded")
    how.add_argument("--complete", action="store_true", help="the process is gone: record what it left")
    how.add_argument("--send", action="store_true", help="the run is recorded: bring it to its server")
    parser.add_argument(
        "--parent-created", type=float, metavar="T", help="when it was created: pids are used again"
    )
    return parser
