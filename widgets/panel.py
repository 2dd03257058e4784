"""The panel: an anywidget whose page draws what the recorder sends. Importing this module imports ipywidgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from runcast.widgets import panel_script

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Panel"]


class Panel(anywidget.AnyWidget):
    """One run's panel. Points reach it as messages, not as traits: set traits from the main thread only.

    `uid` ties the page's store to this panel, `run` and `options` are what it shows before the first message arrives and
    `address` says where TensorBoard listens (`{"port": N}`).
    """

    _esm = panel_script()

    uid = traitlets.Unicode().tag(sync=True)
    run = traitlets.Dict().tag(sync=True)
    options = traitlets.Dict().tag(sync=True)
    address = traitlets.Dict().tag(sync=True)

    def __init__(self, *, on_hello: Callable[[], None], **traits: Any) -> None:
        super().__init__(**traits)
        self._on_hello = on_hello
        self.on_msg(self._receive)
        # ipykernel 7.4 answers page messages on the shell that published last, which is the busy one; without the
        # method they are handled on the page's own subshell while a cell runs.
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = None  # noqa: SLF001

    def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Answer a page that was opened or reloaded and has no points yet."""
        if isinstance(content, dict) and content.get("kind") == "hello":
            self._on_hello()

    def bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the display data and metadata that show this widget."""
        data, metadata = self._repr_mimebundle_() or ({}, {})
        return {**data, "text/plain": f"runcast panel {self.uid}"}, metadata
