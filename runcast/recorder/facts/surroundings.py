"""What a process runs in: containers, schedulers, hosted notebooks, and the variables that steer its libraries."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runcast.run.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["surroundings"]

_STEERING = (
    "CUDA_",
    "CUBLAS_",
    "CUDNN_",
    "NCCL_",
    "NVIDIA_VISIBLE_",
    "HIP_",
    "HSA_",
    "ROCR_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "KMP_",
    "PYTORCH_",
    "TORCH_",
    "TORCHINDUCTOR_",
    "TF_CPP_",
    "TF_CUDNN_",
    "TF_DETERMINISTIC_",
    "TF_ENABLE_",
    "TF_FORCE_",
    "TF_GPU_",
    "TF_NUM_",
    "TF_USE_",
    "TF_XLA_",
    "XLA_",
    "JAX_",
    "KERAS_BACKEND",
    "ACCELERATE_",
    "DEEPSPEED_",
    "TOKENIZERS_PARALLELISM",
    "PYTHONHASHSEED",
)
"""Beginnings of the names of variables that change what a training does. Of all others nothing is recorded."""

_RANKS = {
    "rank": ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"),
    "local_rank": ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"),
    "world_size": ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"),
}
_SLURM = {
    "job": "SLURM_JOB_ID",
    "name": "SLURM_JOB_NAME",
    "array_job": "SLURM_ARRAY_JOB_ID",
    "array_task": "SLURM_ARRAY_TASK_ID",
    "partition": "SLURM_JOB_PARTITION",
    "nodes": "SLURM_JOB_NUM_NODES",
    "nodelist": "SLURM_JOB_NODELIST",
    "cluster": "SLURM_CLUSTER_NAME",
}


def surroundings(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> dict[str, Any]:
    """Return container, hosted, slurm, distributed and environment, as far as there is anything to say.

    `root` is where the file system starts. The environment is the training's: the recorder inherits it.
    """
    facts: dict[str, Any] = {
        "container": _container(environment, root),
        "hosted": _hosted(environment),
        "slurm": {name: environment[key] for name, key in _SLURM.items() if environment.get(key)},
        "distributed": _distributed(environment),
    }
    steering = {name: value for name, value in sorted(environment.items()) if name.startswith(_STEERING)}
    facts["environment"] = Redactor(environment).variables(steering)
    return {name: value for name, value in facts.items() if value}


def _container(environment: Mapping[str, str], root: Path) -> str | None:
    if environment.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    for variable in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        if environment.get(variable):
            return variable.partition("_")[0].lower()
    for place, name in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
        with suppress(OSError):
            if (root / place).exists():
                return name
    if sys.platform == "linux":
        with suppress(OSError):
            groups = (root / "proc/1/cgroup").read_text(errors="replace")
            for mark, name in (("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman")):
                if mark in groups:
                    return name
    return environment.get("container") or None


def _hosted(environment: Mapping[str, str]) -> str | None:
    if kind := environment.get("KAGGLE_KERNEL_RUN_TYPE"):
        return f"Kaggle ({kind.lower()})"
    if "COLAB_RELEASE_TAG" in environment or "COLAB_GPU" in environment:
        return "Colab"
    if environment.get("CODESPACES") == "true":
        return "GitHub Codespaces"
    for variable, name in (("SM_TRAINING_ENV", "SageMaker"), ("DATABRICKS_RUNTIME_VERSION", "Databricks")):
        if environment.get(variable):
            return name
    return None


def _distributed(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, variables in _RANKS.items():
        for variable in variables:
            with suppress(KeyError, ValueError):
                found[name] = int(environment[variable])
                break
    if found.get("world_size", 1) <= 1:
        return {}  # one process is not many, whatever started it
    if launcher := environment.get("TORCHELASTIC_RUN_ID"):
        found["launcher"] = "torchrun"
        if launcher != "none":
            found["id"] = launcher
    return found
