"""Figures of GPUs: NVIDIA's through NVML, AMD's through AMD SMI where its package is installed. One that lacks a figure shows the others.

    gpu0/utilization_percent, gpu0/memory_percent, gpu0/temperature_c, gpu0/power_w
    gpu0/process_memory_gb      memory on the device that the training process and its children use (not in every container:
                                the driver may know the processes by other numbers)

Apple's GPUs tell nothing to programs that do not run as root, and are left out.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sensor = Callable[[float], Iterator[tuple[str, float]]]

__all__ = ["gpu_sensors"]


def gpu_sensors(pids: Callable[[], frozenset[int]]) -> Iterator[Sensor]:
    """Yield a sensor for each figure of each GPU; `pids` returns the processes that are measured."""
    found = list(_nvidia(pids))
    yield from found
    yield from _amd(len({gauge.tag.partition("/")[0] for gauge in found}))


class _Gauge:
    """One figure, asked of the driver at each call."""

    def __init__(self, tag: str, figure: Callable[[], float]) -> None:
        self.tag = tag
        self._figure = figure

    def __call__(self, _: float) -> Iterator[tuple[str, float]]:
        yield self.tag, float(self._figure())


def _nvidia(pids: Callable[[], frozenset[int]]) -> Iterator[_Gauge]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an older package of the same name warns about itself
            import pynvml as nvml

            nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    except Exception:  # noqa: BLE001  no package, no driver, no device, no permission: all the same
        return

    def memory_percent(handle: Any) -> float:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return 100 * float(memory.used) / float(memory.total)

    def process_memory(handle: Any) -> float:
        ours = pids()
        running = {
            process.pid: process.usedGpuMemory or 0
            for list_processes in (
                nvml.nvmlDeviceGetGraphicsRunningProcesses,
                nvml.nvmlDeviceGetComputeRunningProcesses,
            )
            for process in list_processes(handle)
        }
        if ours.isdisjoint(running):
            raise LookupError("none of the processes is known to the driver")
        return sum(used for pid, used in running.items() if pid in ours) / 1e9

    figures: dict[str, Callable[[Any], float]] = {
        "utilization_percent": lambda handle: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "memory_percent": memory_percent,
        "temperature_c": lambda handle: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "power_w": lambda handle: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "process_memory_gb": process_memory,
    }
    for index, handle in enumerate(handles):
        for name, figure in figures.items():
            yield _gauge(f"gpu{index}/{name}", figure, handle)


def _amd(first: int) -> Iterator[_Gauge]:
    """Yield what AMD SMI tells; its devices are numbered from `first` on. What it cannot tell it calls `N/A`, no number."""
    try:
        import amdsmi

        amdsmi.amdsmi_init()
        handles = amdsmi.amdsmi_get_processor_handles()
    except Exception:  # noqa: BLE001  see above; the package also needs AMD's own library, and says so in many ways
        return

    def memory_percent(handle: Any) -> float:
        memory = amdsmi.amdsmi_get_gpu_vram_usage(handle)
        return 100 * float(memory["vram_used"]) / float(memory["vram_total"])

    def temperature(handle: Any) -> float:
        kind, now = amdsmi.AmdSmiTemperatureType.HOTSPOT, amdsmi.AmdSmiTemperatureMetric.CURRENT
        return float(amdsmi.amdsmi_get_temp_metric(handle, kind, now))

    def power(handle: Any) -> float:
        info = amdsmi.amdsmi_get_power_info(handle)
        names = (
            "current_socket_power",
            "average_socket_power",
        )  # newer devices have the one, older the other
        return float(next(info[name] for name in names if info.get(name) not in (None, "N/A")))

    figures: dict[str, Callable[[Any], float]] = {
        "utilization_percent": lambda handle: amdsmi.amdsmi_get_gpu_activity(handle)["gfx_activity"],
        "memory_percent": memory_percent,
        "temperature_c": temperature,
        "power_w": power,
    }
    for index, handle in enumerate(handles, first):
        for name, figure in figures.items():
            yield _gauge(f"gpu{index}/{name}", figure, handle)


def _gauge(tag: str, figure: Callable[[Any], float], handle: Any) -> _Gauge:
    return _Gauge(tag, lambda: figure(handle))
