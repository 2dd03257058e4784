"""Patching the classes that open event files: in place, so that names imported earlier and subclasses count too."""

from __future__ import annotations

import functools
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType

    from runcast.capture.libraries import Library

__all__ = ["Patches"]

log = logging.getLogger("runcast")


class Patches:
    """The patches of this process. `opened(library, writer)` is called after a patched class has made a writer, and
    `adopt(library, cls)` when a class was patched, for the writers that it made before.

    A library is never imported: one that the user imports later is patched then.
    """

    def __init__(
        self, opened: Callable[[Library, Any], None], adopt: Callable[[Library, type], None]
    ) -> None:
        self._opened = opened
        self._adopt = adopt
        self._lock = threading.RLock()
        self._enabled: set[str] = set()
        self._hooked: set[str] = set()
        self._originals: dict[str, tuple[Any, Any, Any]] = {}

    def enable(self, libraries: Collection[Library]) -> None:
        """Patch these libraries; harmless for those that are patched."""
        for library in libraries:
            with self._lock:
                fresh = library.name not in self._enabled
                self._enabled.add(library.name)
            module = sys.modules.get(library.module)
            if module is not None:
                self._patch(library, module, adopt=fresh)
            elif library.name not in self._hooked:
                self._hooked.add(library.name)
                # Not at the top: it takes longer to import than all of runcast that a notebook loads.
                from wrapt import register_post_import_hook

                register_post_import_hook(functools.partial(self._patch, library), library.module)

    def disable(self) -> None:
        """Put the original classes back. Where someone else patched on top of us, our part only falls silent."""
        with self._lock:
            self._enabled.clear()
            for name, (cls, original, ours) in list(self._originals.items()):
                if cls.__dict__.get("__init__") is ours:
                    cls.__init__ = original
                    del self._originals[name]

    def forget_locks(self) -> None:
        """In a forked child: the parent's threads, which may have held the lock, are not there."""
        self._lock = threading.RLock()

    def _patch(self, library: Library, module: ModuleType, *, adopt: bool = False) -> None:
        """Patch one library's class. Never raises: this may be called in the middle of the user's import."""
        try:
            with self._lock:
                if library.name not in self._enabled:
                    return
                cls = getattr(module, library.class_name)
                if library.name not in self._originals:
                    self._wrap(library, cls)
            if adopt:
                self._adopt(library, cls)
        except Exception:
            log.debug("%s cannot be patched", library.module, exc_info=True)

    def _wrap(self, library: Library, cls: Any) -> None:
        original = cls.__init__

        @functools.wraps(original)
        def __init__(writer: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            original(writer, *args, **kwargs)
            if library.name in self._enabled:
                self._opened(library, writer)

        cls.__init__ = __init__
        self._originals[library.name] = (cls, original, __init__)
