"""Which rank of a distributed training this process is, and how a source says so."""

from __future__ import annotations

import os
import re
import sys

__all__ = ["rank", "ranked"]

VARIABLES = (
    "RANK",  # torchrun, accelerate, DeepSpeed
    "SLURM_PROCID",
    "OMPI_COMM_WORLD_RANK",  # Open MPI, Horovod
    "PMI_RANK",  # MPICH, Intel MPI
    "PMIX_RANK",
    "MV2_COMM_WORLD_RANK",  # MVAPICH
)


def rank() -> int | None:
    """Return this process's rank among all nodes' processes; None where nothing says that there are several.

    What torch.distributed was told counts most; it is asked only where it is imported and set up.
    """
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            return int(distributed.get_rank())
    except Exception:  # noqa: BLE001, S110  another version, or half imported
        pass
    for name in VARIABLES:
        if (value := os.environ.get(name, "")).isdecimal():
            return int(value)
    return None


def ranked(source: str, number: int | None, first: int | None = None) -> str:
    """Return the source of what rank `number` writes in the folder that `source` names; `first` is the run's own rank.

    Rank 0, and the rank that the run itself is, keep the folder's name; the others have `rank<n>` below it. That depends on
    nothing but the rank and the folder, so a series is named the same whichever rank opens its file first, and whether
    others write there or not. A folder that says the rank itself (`logs/rank1`) is left as it is.
    """
    if not number or number == first:
        return source
    if re.search(rf"(?:^|[^a-z])rank[-_=]?0*{number}(?![0-9])", source, re.IGNORECASE):
        return source
    return f"rank{number}" if source == "." else f"{source}/rank{number}"
