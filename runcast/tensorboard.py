"""`runcast.tensorboard`: capture TensorBoard's writers at the user's own word.

`runcast.init(sync_tensorboard=True)` and `%sync_tensorboard` do so by themselves; this is for code that wants to say more,
or to say it earlier:

    runcast.tensorboard.patch(root_logdir="logs")
    run = runcast.init(project="digits")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runcast import capture
from runcast.run import active

if TYPE_CHECKING:
    import os

__all__ = ["patch", "unpatch"]


def patch(
    root_logdir: str | os.PathLike[str] | None = None,
    save: bool = True,
    tensorboard_x: bool | None = None,
    pytorch: bool | None = None,
) -> None:
    """Record TensorBoard's writers, those that are open already included; harmless when called again.

    Writers that open before a run starts go to the next run. `root_logdir` names the folder that sources are named
    relative to, in the active run or else the next; it is watched as well. `save=False` keeps the scalars only. False for
    `tensorboard_x` or `pytorch` leaves that library alone (`pytorch` stands for torch.utils.tensorboard and
    tensorboard.summary, which write through one class); None and True capture it. All of it holds for child processes, too.

    Raises `LogdirError` when `root_logdir` is a regular file.
    """
    # W&B's default for `root_logdir` is the empty text.
    active.declare(root_logdir or None, save=save)
    capture.patch(tensorboard=pytorch is not False, tensorboard_x=tensorboard_x is not False, remember=True)
    active.record_writers()


def unpatch() -> None:
    """Put the patched classes back as they were; harmless when nothing is patched."""
    capture.unpatch()
    run = active.active_run()
    if run is not None and run.captures:
        run.watch_writers()  # children are told
