"""Whole files of a run: what `run.save` names, and the companions of event files. They are copied, and copied again when they change.

A thread of its own does it, because a checkpoint of many gigabytes must not hold up the recording of what is measured meanwhile.
"""

# Files are named by text, as the user and the journal name them.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import logging
import os
import re
import stat
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from runcast.errors import StoreError
from runcast.run.logged import STAGING
from runcast.run.record import FILES_DIR
from runcast.run.saved import files_of
from runcast.store.protocol import FileRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from runcast.recorder.distant import RemoteFile
    from runcast.run.state import Policy, Save
    from runcast.store.protocol import Store

__all__ = ["KEPT", "Kept"]

log = logging.getLogger(__name__)

KEPT = "kept"
"""The state of a file of which one copy is kept, whatever becomes of it later."""

POLL, SLOWEST_POLL = 1.0, 30.0
"""Seconds between looks at the files, and at most, however long a look takes."""

REST = 20.0
"""How many times as long as a look took the next one waits, at least."""

COPY_REST = 4.0
"""How many times as long as a copy took the next copy of the same file waits, at least."""

RESTLESS = 10.0
"""Seconds after which a file is copied although it is being written all the time."""

RETRY = 2.0
"""Seconds after which a file that could not be copied is tried again."""

_UNPLACEABLE = re.compile(r'[\x00-\x1f\\:*?"<>|]' if os.name == "nt" else r"[\x00-\x1f\\]")

_Mark = tuple[int, int, int | str]


@dataclass
class _File:
    """One file that is kept: `copied` is what it was when it was copied last, `seen` when it was last looked at."""

    record: FileRecord
    policy: Policy
    seen: _Mark | None = None
    copied: _Mark | None = None
    restless_since: float = 0.0
    not_before: float = 0.0
    again: bool = field(default=False)

    def say(
        self, state: str, why: str = "", *, size: int | None = None, source_size: int | None = None
    ) -> None:
        """Note what has become of it; a size that is not given stays."""
        self.record = replace(
            self.record,
            state=state,
            why=why,
            size=self.record.size if size is None else size,
            source_size=self.record.source_size if source_size is None else source_size,
        )


class Kept:
    """Keeps whole files of the run in `folder`. `follow` and the rest are for one thread; the work is done on another.

    `known` are the files that the store has of earlier recorders, `warn` tells the user something once. `remote` gives those files that
    are in buckets.
    """

    def __init__(
        self,
        folder: Path,
        known: Iterable[FileRecord],
        warn: Callable[[str], None],
        remote: Callable[[str], RemoteFile | None] = lambda _: None,
    ) -> None:
        self._remote = remote
        self._folder = folder
        self._runs = os.path.realpath(folder.parent)
        self._staging = os.path.join(os.path.realpath(folder), STAGING) + os.sep
        self._known = {row.path: row for row in known}
        self._warn = warn
        self._store: Store | None = None
        self._saves: list[Save] = []
        self._companions: dict[str, str] = {}
        self._files: dict[str, _File] = {}
        self._waiting: dict[Save, FileRecord] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._final = False
        self._complete = False
        self._held_back = False

    @property
    def behind(self) -> bool:
        """Whether the store could not take a file at the last attempt."""
        return self._held_back

    def follow(self, store: Store, saves: Iterable[Save], companions: Mapping[str, str]) -> None:
        """Keep these from now on, in this store: what was saved, and files by path and their place in the run."""
        saves = list(saves)
        if self._thread is None and not saves and not companions:
            return
        if saves == self._saves and len(companions) == len(self._companions) and store is self._store:
            return
        with self._changed:
            self._store, self._saves, self._companions = store, saves, dict(companions)
            self._complete = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="kept-files", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def finish(self) -> bool:
        """Take what there is now as the last; whether all of it is kept, so that nothing is left to wait for."""
        with self._changed:
            if self._thread is None:
                return True
            if not self._final:
                self._final = True
                self._complete = False
                self._changed.notify_all()
            return self._complete

    def records(self) -> Iterator[FileRecord]:
        """Yield what there is to say of each file, and of each pattern that nothing matches yet."""
        with self._changed:
            found = [file.record for file in self._files.values()]
            yield from [*found, *self._waiting.values()]

    # The thread

    def _work(self) -> None:
        pause = 0.0
        while True:
            with self._changed:
                before = self._saves, self._companions, self._final
                self._changed.wait_for(
                    lambda: self._saves is not before[0] or self._companions is not before[1] or self._final,  # noqa: B023
                    pause,
                )
                store, saves, companions, final = self._store, self._saves, self._companions, self._final
            assert store is not None
            began = time.monotonic()
            failed = self._round(store, saves, companions, final=final)
            with self._changed:
                self._held_back = failed
                if final and self._final and not failed and saves is self._saves:
                    self._complete = True
                    return
            took = time.monotonic() - began
            pause = RETRY if failed else min(max(POLL, REST * took), SLOWEST_POLL)
            if final:
                time.sleep(pause)

    def _round(self, store: Store, saves: list[Save], companions: Mapping[str, str], *, final: bool) -> bool:
        """Look at all files once, and copy what is to be; whether the store refused any."""
        for path, place in companions.items():
            self._find(path, place, "live")
        for save in saves:
            self._expand(save, final=final)
        failed = False
        for file in list(self._files.values()):
            told = file.record
            failed |= not self._keep(store, file, final=final)
            if file.record != told and (file.record.size or file.record.why):
                failed |= not self._describe(store, file)
        return failed

    def _expand(self, save: Save, *, final: bool) -> None:
        found = False
        try:
            for path in files_of(save.pattern):
                if not self._is_a_runs(path):
                    found = True
                    self._find(
                        path, f"saved/{Path(os.path.relpath(path, save.base)).as_posix()}", save.policy
                    )
        except (OSError, ValueError) as error:
            self._warn(f"run.save: cannot look for {save.pattern}: {error}")
        if found:
            self._waiting.pop(save, None)
            return
        earlier = (*self._known.values(), *(file.record for file in self._files.values()))
        if any(
            fnmatch(each.source_path, save.pattern) or each.source_path == save.pattern for each in earlier
        ):
            return  # it was there
        if save.pattern == str(self._folder / FILES_DIR):
            return  # nobody has put anything there
        why = f"nothing matches {save.pattern}"
        if final or save.policy == "now":
            self._warn(f"run.save: {why}; nothing was kept of it")
        else:
            why += (
                " yet; it is kept once it appears"
                if save.policy == "live"
                else " yet; looked for again at the end"
            )
        place = f"saved/{Path(os.path.relpath(save.pattern, save.base)).as_posix()}"
        record = FileRecord(place, 0, source_path=save.pattern, state="waiting", why=why)
        with self._changed:
            self._waiting[save] = record

    def _find(self, path: str, place: str, policy: Policy) -> None:
        """Take in a file by its place, which is its own for good: another of the same place gets the next name."""
        place = "/".join(_UNPLACEABLE.sub("_", part) for part in place.split("/"))
        candidate, number = place, 1
        while True:
            file = self._files.get(candidate)
            known = self._known.get(candidate)
            owner = file.record.source_path if file is not None else known.source_path if known else path
            if owner == path:
                break
            number += 1
            candidate = f"{place}~{number}"
        if file is None:
            record = known or FileRecord(candidate, 0, source_path=path, state="waiting")
            file = _File(record, policy, copied=self._copied_before(record))
            with self._changed:
                self._files[candidate] = file
        if policy == "live" or (file.policy == "now" and policy == "end"):
            file.policy = policy

    def _copied_before(self, record: FileRecord) -> _Mark | None:
        """Return what a file is like now if an earlier recorder has copied it as it is: a copy has its time of change."""
        if record.state not in {"recorded", KEPT}:
            return None
        try:
            source, copy = os.stat(record.source_path), os.stat(self._folder / record.path)
        except OSError:
            return None
        same = (source.st_size, source.st_mtime_ns) == (copy.st_size, copy.st_mtime_ns)
        return (source.st_size, source.st_mtime_ns, source.st_ino) if same else None

    def _keep(self, store: Store, file: _File, *, final: bool) -> bool:
        """Copy a file if that is due; False if the store refuses it."""
        now = time.monotonic()
        path = file.record.source_path
        if file.record.state == KEPT and file.policy == "now":
            return True
        if file.policy == "end" and not final:
            file.say("waiting", "kept when the run ends", source_size=0)
            return True
        mark = self._look(file)
        if mark is None or mark == file.copied or (now < file.not_before and not final):
            return True
        if file.policy == "live" and not final and not self._is_calm(file, mark, now):
            return True
        try:
            remote = self._remote(path)
            with nullcontext(Path(path)) if remote is None else remote.at_hand() as copy:
                size = store.put(self._folder.name, file.record.path, copy)
        except StoreError as error:
            self._warn(f"{path} cannot be kept: {error}")
            file.say("retrying", str(error), source_size=mark[0])
            return False
        except OSError as error:
            file.say("unreadable", f"cannot be read: {error.strerror or error}", source_size=mark[0])
            return True
        file.not_before = time.monotonic() + COPY_REST * (time.monotonic() - now)
        file.copied = mark if self._look(file) == mark else None  # it changed meanwhile: copied again
        moved = path.startswith(self._staging)
        file.say(
            KEPT if file.policy == "now" else "recorded",
            size=size,
            source_size=size if file.policy == "now" else mark[0],
        )
        if moved:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108
        return True

    def _look(self, file: _File) -> _Mark | None:
        """Return what a file is like now; None if it cannot be copied, which its record then says."""
        if (remote := self._remote(file.record.source_path)) is not None:
            listed = remote.listed
            return None if listed is None else (listed.size, int(listed.changed * 1e9), listed.version)
        try:
            status = os.stat(file.record.source_path)
        except FileNotFoundError:
            kept = file.copied is not None or file.record.size > 0
            file.say(
                "gone", "the file is gone; the copy is kept" if kept else "the file is gone; it was not kept"
            )
            return None
        except OSError as error:
            file.say("unreadable", f"cannot be read: {error.strerror}; trying again")
            return None
        if not stat.S_ISREG(status.st_mode):
            file.say("ignored", "no regular file")
            return None
        return status.st_size, status.st_mtime_ns, status.st_ino

    def _is_calm(self, file: _File, mark: _Mark, now: float) -> bool:
        """Whether a file is the same as when it was last looked at, or has been restless for too long to wait."""
        same = mark == file.seen or time.time() - mark[1] / 1e9 > POLL
        file.seen = mark
        if same or not file.restless_since:
            file.restless_since = 0.0 if same else now
            if not same:
                file.say(
                    file.record.state, "it has just been written; kept once it is still", source_size=mark[0]
                )
            return same
        if now - file.restless_since < RESTLESS:
            return False
        file.restless_since = 0.0
        return True

    def _describe(self, store: Store, file: _File) -> bool:
        try:
            store.describe(self._folder.name, file.record)
        except StoreError as error:
            log.warning("%s", error)
            file.record = replace(file.record, state="retrying", why=str(error))
            return False
        return True

    def _is_a_runs(self, path: str) -> bool:
        """Whether a file lies in a run's folder, where a pattern such as `**` may lead: runs are not kept in runs."""
        real = os.path.realpath(path)
        if not real.startswith(self._runs + os.sep) or real.startswith(self._staging):
            return False
        run, *below = Path(real).relative_to(self._runs).parts
        if run == self._folder.name and below[0] == FILES_DIR:
            return False
        return Path(self._runs, run, "run.jsonl").exists()
