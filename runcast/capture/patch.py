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

    from runcast.capture.library import Library

__all__ = ["Patches"]

log = logging.getLogger("runcast")


class Patches:
    """The patches of this process. `opened(library, writer, arguments)` is called after a patched class has made a writer,
    and `adopt(libraries)` when classes were patched that may have made writers before.

    A library is never imported: one that the user imports later is patched then.
    """

    def __init__(
        self,
        opened: Callable[[Library, Any, Collection[Any]], None],
        adopt: Callable[[dict[type, Library]], None],
    ) -> None:
        self._opened = opened
        self._adopt = adopt
        self._lock = threading.RLock()
        self._enabled: set[str] = set()
        self._hooked: set[str] = set()
        self._originals: dict[tuple[str, str], tuple[Any, Any, Any]] = {}

    def enable(self, libraries: Collection[Library]) -> None:
        """Patch these libraries; harmless for those that are patched."""
        unknown: dict[type, Library] = {}
        for library in libraries:
            with self._lock:
                fresh = library.module not in self._enabled
                self._enabled.add(library.module)
            module = sys.modules.get(library.module)
            if module is not None:
                cls = self._patch(library, module)
                if fresh and cls is not None:
                    unknown[cls] = library
            elif library.module not in self._hooked:
                self._hooked.add(library.module)
                # Not at the top: it takes longer to import than all of runcast that a notebook loads.
                from wrapt import register_post_import_hook

                register_post_import_hook(functools.partial(self._patch, library), library.module)
        if unknown:
            self._adopt(unknown)

    def is_enabled(self, library: Library) -> bool:
        """Whether a library is patched, or will be once it is imported."""
        return library.module in self._enabled

    def disable(self) -> None:
        """Put the original classes back. Where someone else patched on top of us, our part only falls silent."""
        with self._lock:
            self._enabled.clear()
            for (module, method), (cls, original, ours) in list(self._originals.items()):
                if cls.__dict__.get(method) is ours:
                    setattr(cls, method, original)
                    del self._originals[module, method]

    def forget_locks(self) -> None:
        """In a forked child: the parent's threads, which may have held the lock, are not there."""
        self._lock = threading.RLock()

    def _patch(self, library: Library, module: ModuleType) -> type | None:
        """Patch one library's class and return it; None where that cannot be done.

        Never raises: this may be called in the middle of the user's import.
        """
        try:
            with self._lock:
                if library.module not in self._enabled:
                    return None
                cls: type = getattr(module, library.class_name)
                self._wrap(library, cls, "__init__", self._noticing(library, cls))
                if library.closing is not None:
                    self._wrap(library, cls, "close", _undisturbed(library, cls))
                return cls
        except Exception:
            log.debug("%s cannot be patched", library.module, exc_info=True)
            return None

    def _wrap(self, library: Library, cls: type, method: str, ours: Any) -> None:
        if (library.module, method) not in self._originals:
            self._originals[library.module, method] = (cls, cls.__dict__[method], ours)
            setattr(cls, method, ours)

    def _noticing(self, library: Library, cls: Any) -> Any:
        original = cls.__init__

        @functools.wraps(original)
        def __init__(writer: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            original(writer, *args, **kwargs)
            if library.module in self._enabled:
                self._opened(library, writer, (*args, *kwargs.values()))

        return __init__


def _undisturbed(library: Library, cls: Any) -> Any:
    """Return a `close` during which nobody flushes the writer."""
    original = cls.close

    @functools.wraps(original)
    def close(writer: Any) -> Any:
        with library.closing:  # type: ignore[union-attr]  # only libraries that have it are asked for this
            return original(writer)

    return close
