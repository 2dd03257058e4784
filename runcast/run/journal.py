"""The journal of a run, `run.jsonl`: what the run is, one JSON object a line, never rewritten.

The training process writes it before it starts the recorder, so a recorder that dies loses no request, and a new one
picks up by reading the file from the start. Each entry is one `O_APPEND` write of one line, so several processes (the
kernel, its children, the recorder) append to one journal without a lock. Entries are ordered by (`by`, `seq`).

Operations and their fields (all carry `v`, `seq`, `time`, `by`):

    start      run, project, name, config, created, pid, pid_created, cwd, notebook, tensorboard,
               facts, left_out (some of "code", "git", "packages", "system")
    watch      root, path, save                          a declared logdir (need not exist yet)
    writer     root, source, path, library, adopted, save    an event file that a writer of ours opened; path is absolute
    capture    save, rank                                children may join from now on, on these terms; rank is the process's own
    child      pid, executable, why                      a process that may announce writers, or says why it cannot (pid null: forks)
    next       folder                                    after the end: the run that follows in the same process
    cell       event ("begin" | "end"), n, cell, error       a notebook cell
    set        values: {"name"|"project"|"config"|"facts"|"summary"|"tags"|"notes": value}; config, facts and summary are
               merged, key by key
    log_file   path (absolute; may be a glob pattern), base, policy ("live" | "now" | "end")
                                                         files to keep under `saved/`, by their path below `base`
    resume     as `start`, but for run and created: another process goes on with the run, which is running again
    finish     state ("finished" | "failed" | "crashed"), interrupted, error, ended
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from runcast.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Journal", "read_journal"]

Entry = dict[str, Any]


class Journal:
    """Append-only writer of one run's journal; thread-safe.

    `by` names the author: `kernel:<pid>`, `child:<pid>` or `recorder:<pid>`.
    """

    def __init__(self, path: Path, by: str) -> None:
        self.path = path
        self.by = by
        self._seq = 0
        self._torn = False
        self._lock = threading.Lock()

    def append(self, op: str, **fields: Any) -> Entry:
        """Write one entry and return it.

        Raises `JournalError` when the file cannot be written (disk full, no permission).
        """
        with self._lock:
            self._seq += 1
            entry: Entry = {"v": 1, "seq": self._seq, "time": time.time(), "by": self.by, "op": op, **fields}
            line = json.dumps(entry, separators=(",", ":"), default=str).encode() + b"\n"
            try:
                fd = os.open(
                    self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644
                )
                try:
                    # A line that a full disk cut short is closed first, so that it spoils no other.
                    data = b"\n" + line if self._torn else line
                    written = os.write(fd, data)
                    self._torn = written < len(data) and (written > 0 or self._torn)
                finally:
                    os.close(fd)
                if written < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301  told as any other failure
            except OSError as error:
                msg = f"cannot write the run's journal {self.path}: {error.strerror}; free space or check permissions"
                raise JournalError(msg) from error
            return entry


def read_journal(path: Path, offset: int = 0) -> tuple[list[Entry], int]:
    """Return the entries from byte `offset` on, and the offset after the last whole line.

    A last line without its newline is left for the next call; a line that is no JSON object is passed over (a full disk
    can cut one). A journal that does not exist yet has no entries.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    entries = []
    for line in data[:end].splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "op" in entry:
            entries.append(entry)
    return entries, offset + end
