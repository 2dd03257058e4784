"""System metrics: real processes measured into a real event file, read back with TensorBoard's own reader."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from runcast.recorder.facts import machine_facts
from runcast.recorder.system import SystemMetrics, interval

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = 1_700_000_000.0

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "block = b'x' * 200_000_000\\nwhile True: pass"])
print(child.pid, flush=True)
time.sleep(100)
"""

NVML = """
import os
NVML_TEMPERATURE_GPU = 0
class Memory: used, total = 30, 40
class Rates: gpu = 87
class Mine: pid, usedGpuMemory = int(os.environ["MINE"]), 3_000_000_000
class Other: pid, usedGpuMemory = 1, 5_000_000_000
class Windows: pid, usedGpuMemory = int(os.environ["MINE"]), None
def nvmlInit(): pass
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetMemoryInfo(handle): return Memory
def nvmlDeviceGetUtilizationRates(handle): return Rates
def nvmlDeviceGetTemperature(handle, sensor): raise RuntimeError("no such sensor")
def nvmlDeviceGetPowerUsage(handle): return 71_500
def nvmlDeviceGetGraphicsRunningProcesses(handle): return [Windows]
def nvmlDeviceGetComputeRunningProcesses(handle): return [Mine, Other]
"""

AMD = """
class AmdSmiTemperatureType: HOTSPOT = 1
class AmdSmiTemperatureMetric: CURRENT = 0
def amdsmi_init(): pass
def amdsmi_get_processor_handles(): return [0, 1]
def amdsmi_get_gpu_vram_usage(handle): return {"vram_total": 1000, "vram_used": 250}
def amdsmi_get_temp_metric(handle, kind, metric): return 61
def amdsmi_get_power_info(handle): return {"current_socket_power": "N/A", "average_socket_power": 140}
def amdsmi_get_gpu_activity(handle): return {"gfx_activity": "N/A" if handle else 55}
def amdsmi_get_gpu_asic_info(handle): return {"market_name": "Instinct"}
def amdsmi_get_gpu_driver_info(handle): return {"driver_version": "6.1"}
"""


def read(folder: Path) -> dict[str, dict[int, float]]:
    """Return {tag: {step: value}} as TensorBoard reads them."""
    events = EventAccumulator(str(folder), {"scalars": 0}).Reload()
    return {
        tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]
    }


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    """A process that sleeps, with a child that keeps one core and 200 MB busy."""
    top = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    assert top.stdout is not None
    with top.stdout:
        child = psutil.Process(int(top.stdout.readline()))
        yield top
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
        top.kill()
        top.wait()


def test_shows_the_machine_and_the_training_process(tmp_path: Path, family: subprocess.Popen[str]) -> None:
    """The System tab has CPU, memory, disk and network, and the work of the training's children counts as its own."""
    metrics = SystemMetrics(tmp_path / "own" / "system", family.pid)
    assert metrics.sample_if_due(time.time())
    time.sleep(interval(0) + 0.1)
    assert metrics.sample_if_due(time.time())
    metrics.close()
    series = {tag: list(points.values())[-1] for tag, points in read(tmp_path / "own" / "system").items()}
    assert series["cpu/process_percent"] > 10
    assert series["memory/process_rss_gb"] > 0.2
    assert series["process/threads"] == 2
    assert 0 < series["cpu/percent"] <= 100
    assert 0 < series["memory/used_percent"] < 100
    assert 0 < series["disk/used_percent"] <= 100
    assert series["network/received_mb_s"] >= 0


def test_samples_often_at_first_and_seldom_later(tmp_path: Path) -> None:
    """A fresh run has a point every 2 s, one that has run for an hour every 15 s."""
    metrics = SystemMetrics(tmp_path, os.getpid(), lambda: START)
    sampled = [age for age in range(3700) if metrics.sample_if_due(START + age)]
    metrics.close()
    gaps = [after - before for before, after in itertools.pairwise(sampled)]
    assert sampled[0] == 0
    assert set(gaps[:140]) == {2}
    assert gaps == sorted(gaps)
    assert gaps[-1] == 15
    assert list(read(tmp_path)["memory/used_percent"]) == sampled


def test_steps_are_seconds_since_the_run_began(tmp_path: Path) -> None:
    """A recorder that takes over goes on where the first one ended, and a clock set back hides nothing."""
    first = SystemMetrics(tmp_path, None, lambda: START)
    first.sample_if_due(START)
    first.sample_if_due(START + 10)
    first.close()
    second = SystemMetrics(tmp_path, None, lambda: START + 100, started=START)
    second.sample_if_due(START + 100)
    assert second.sample_if_due(START + 20)
    second.close()
    assert list(read(tmp_path)["memory/used_percent"]) == [0, 10, 100, 101]


def test_a_process_that_is_gone(tmp_path: Path, family: subprocess.Popen[str]) -> None:
    """When the training process has ended the machine's figures go on and its own simply stop."""
    metrics = SystemMetrics(tmp_path, family.pid, lambda: START)
    metrics.sample_if_due(START)
    psutil.Process(family.pid).children()[0].kill()
    family.kill()
    family.wait()
    assert metrics.sample_if_due(START + 5)
    metrics.close()
    series = read(tmp_path)
    assert list(series["memory/process_rss_gb"]) == [0]
    assert list(series["memory/used_percent"]) == [0, 5]


def test_a_process_that_never_was(tmp_path: Path) -> None:
    """A training process that died before the first sample costs nothing but its own figures."""
    metrics = SystemMetrics(tmp_path, 2**22 + 1, lambda: START)
    assert metrics.sample_if_due(START)
    metrics.close()
    assert "process/threads" not in read(tmp_path)


RECORDER = """
import os, subprocess, sys, time
from pathlib import Path
from runcast.recorder.facts import machine_facts
from runcast.recorder.system import SystemMetrics
own = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
metrics = SystemMetrics(Path(sys.argv[1]), os.getppid())
metrics.sample_if_due(time.time())
own.kill()
own.wait()
"""


def test_the_recorder_does_not_count_itself(tmp_path: Path) -> None:
    """The recorder is a child of the training process, yet its memory and threads are not the training's."""
    training = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {RECORDER!r}, {str(tmp_path)!r}], check=True)
"""
    subprocess.run([sys.executable, "-c", training], check=True, timeout=60)
    assert read(tmp_path)["process/threads"][0] == 1


def test_a_card_with_a_broken_sensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU without a thermometer still shows its load, memory and power (NVML's part is played: there is no card here)."""
    (tmp_path / "pynvml.py").write_text(NVML)
    monkeypatch.setenv("MINE", str(os.getpid()))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    metrics = SystemMetrics(tmp_path / "system", os.getpid(), lambda: START)
    assert metrics.sample_if_due(START)
    metrics.close()
    monkeypatch.delitem(sys.modules, "pynvml")
    series = {tag: points[0] for tag, points in read(tmp_path / "system").items() if tag.startswith("gpu")}
    assert series == {
        "gpu0/utilization_percent": 87,
        "gpu0/memory_percent": 75,
        "gpu0/power_w": 71.5,
        "gpu0/process_memory_gb": 3,
    }


def test_amd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AMD's cards are shown where their package is installed; what they do not tell is left out (its part is played)."""
    (tmp_path / "amdsmi.py").write_text(AMD)
    monkeypatch.syspath_prepend(str(tmp_path))
    metrics = SystemMetrics(tmp_path / "system", None, lambda: START)
    assert metrics.sample_if_due(START)
    metrics.close()
    series = {tag: points[0] for tag, points in read(tmp_path / "system").items() if tag.startswith("gpu")}
    gpu = {"memory_percent": 25, "temperature_c": 61, "power_w": 140}
    assert series == {
        "gpu0/utilization_percent": 55,
        **{f"gpu{index}/{name}": value for index in (0, 1) for name, value in gpu.items()},
    }
    facts = machine_facts()
    monkeypatch.delitem(sys.modules, "amdsmi")
    assert facts["gpus"] == 2 * [{"name": "Instinct", "memory": 1000 << 20}]
    assert facts["driver"] == "6.1"


def test_cores(tmp_path: Path) -> None:
    """Each core has a line, and the whole is their mean."""
    metrics = SystemMetrics(tmp_path, None, lambda: START)
    metrics.sample_if_due(START)
    time.sleep(0.2)
    metrics.sample_if_due(START + 2)
    metrics.close()
    series = read(tmp_path)
    cores = [points[2] for tag, points in sorted(series.items()) if tag.startswith("cpu/core")]
    assert len(cores) == psutil.cpu_count()
    assert series["cpu/percent"][2] == pytest.approx(sum(cores) / len(cores), abs=0.01)


def test_each_sample_knows_its_cell(tmp_path: Path) -> None:
    """In a notebook every sample has the number of the cell that ran; in a script there is no such series."""
    metrics = SystemMetrics(tmp_path / "notebook", None, lambda: START)
    for age, cell in ((0, 3), (2, 3), (4, 0), (6, 4)):
        metrics.sample_if_due(START + age, cell)
    metrics.close()
    assert read(tmp_path / "notebook")["notebook/cell"] == {0: 3, 2: 3, 4: 0, 6: 4}
    metrics = SystemMetrics(tmp_path / "script", None, lambda: START)
    metrics.sample_if_due(START)
    metrics.close()
    assert "notebook/cell" not in read(tmp_path / "script")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Where the file cannot be made there are no system metrics, and no error either; later it may work."""
    (tmp_path / "own").write_text("a file where the folder should be")
    metrics = SystemMetrics(tmp_path / "own" / "system", None, lambda: START)
    assert not metrics.sample_if_due(START)
    (tmp_path / "own").unlink()
    assert metrics.sample_if_due(START + 5)
    metrics.close()
    assert list(read(tmp_path / "own" / "system")["memory/used_percent"]) == [5]
