"""The machine and its Python."""

from __future__ import annotations

import getpass
import os
import platform
import socket
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

__all__ = ["machine_facts"]


def machine_facts() -> dict[str, Any]:
    """Return host, user, python, implementation, executable, os, cpu, cpus, cores, memory, gpus, driver and cuda.

    `cpus` counts logical processors, `cores` physical ones; memory is in bytes. `cpus_allowed` and `memory_limit` are there
    where the process may use less than there is.
    """
    facts: dict[str, Any] = {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "os": platform.platform(),
        "cpus": os.cpu_count(),
    }
    with suppress(OSError, psutil.Error):
        facts["memory"] = psutil.virtual_memory().total
        facts["cores"] = psutil.cpu_count(logical=False)
    with suppress(OSError, KeyError, ImportError):
        facts["user"] = getpass.getuser()
    facts["cpu"] = _cpu_model()
    facts["cpus_allowed"] = _cpus_allowed(facts["cpus"])
    limit = _memory_limit()
    if limit is not None and limit < facts.get("memory", 0):
        facts["memory_limit"] = limit
    facts.update(_nvidia() or _amd())
    return {name: value for name, value in facts.items() if value is not None}


def _cpu_model() -> str | None:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Model"} and value.strip():
                return " ".join(value.split())
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            answer = subprocess.run(asked, capture_output=True, text=True, timeout=2, check=True)
            return answer.stdout.strip() or None
    processor = platform.processor()
    return processor if processor not in {"", platform.machine()} else None


def _cpus_allowed(cpus: int | None) -> int | None:
    allowed = None
    if sys.platform == "linux":
        with suppress(OSError):
            allowed = len(os.sched_getaffinity(0))
    return allowed if allowed != cpus else None


def _memory_limit() -> int | None:
    """Return what the control group of a container allows, in bytes."""
    for place in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            return int(Path(place).read_text())
    return None


def _nvidia() -> dict[str, Any]:
    """Return gpus (name and memory of each), driver, and the version of CUDA that the driver knows."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an older package of the same name warns about itself
            import pynvml as nvml  # here, for it looks for the driver's library, which few machines have

            nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    except Exception:  # noqa: BLE001  every driver fails in its own way
        return {}
    facts: dict[str, Any] = {}
    gpus = []
    for handle in handles:
        gpu: dict[str, Any] = {}
        with suppress(Exception):
            gpu["name"] = _text(nvml.nvmlDeviceGetName(handle))
        with suppress(Exception):
            gpu["memory"] = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
        gpus.append(gpu)
    if gpus:
        facts["gpus"] = gpus
    with suppress(Exception):
        facts["driver"] = _text(nvml.nvmlSystemGetDriverVersion())
    with suppress(Exception):
        version = int(nvml.nvmlSystemGetCudaDriverVersion())
        facts["cuda"] = f"{version // 1000}.{version % 1000 // 10}"
    return facts


def _amd() -> dict[str, Any]:
    try:
        import amdsmi  # needs a library that comes with AMD's driver

        amdsmi.amdsmi_init()
        handles = amdsmi.amdsmi_get_processor_handles()
    except Exception:  # noqa: BLE001  see above
        return {}
    gpus = []
    for handle in handles:
        gpu: dict[str, Any] = {}
        with suppress(Exception):
            gpu["name"] = str(amdsmi.amdsmi_get_gpu_asic_info(handle)["market_name"])
        with suppress(Exception):
            gpu["memory"] = int(amdsmi.amdsmi_get_gpu_vram_usage(handle)["vram_total"]) << 20
        gpus.append(gpu)
    facts: dict[str, Any] = {"gpus": gpus} if gpus else {}
    if gpus:
        with suppress(Exception):
            facts["driver"] = str(amdsmi.amdsmi_get_gpu_driver_info(handles[0])["driver_version"])
    return facts


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
