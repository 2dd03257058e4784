"""Does a process still run? A pid alone does not say so: pids are used again."""

from __future__ import annotations

__all__ = ["is_alive"]

SAME_START = 2.0
"""Seconds by which two readings of one process's creation time may differ: the boot time it rests on is rounded."""


def is_alive(pid: int, created: float | None) -> bool:
    """Whether process `pid`, created at `created` (None: whenever), runs. One that waits to be reaped does not."""
    import psutil  # `import runcast` stays light

    try:
        process = psutil.Process(pid)
        if created is not None and abs(process.create_time() - created) > SAME_START:
            return False
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
