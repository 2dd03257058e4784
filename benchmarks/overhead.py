"""How much slower training is with runcast: `python benchmarks/overhead.py [--rounds N] [--seconds S] [--rate R]`.

Two processes train the same small network in PyTorch and log R scalars a second; one of them records a run. They take turns, a
second each, while the other one stands still, so that both see the same machine. Printed is the ratio of what the same number of steps
took, turn by turn: the median and its middle half, of time on the clock and of processor time of the training process. On a machine that
has other work to do only the latter says much.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TRAINING = """
import json, sys, time
recorded, folder, steps, per_step = sys.argv[1] == "recorded", sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter
torch.set_num_threads(1)
if recorded:
    import runcast
    run = runcast.init(sync_tensorboard=True)
writer = SummaryWriter(folder)
model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
inputs, labels = torch.randn(128, 256), torch.randint(10, (128,))
step = 0
for _ in sys.stdin:
    started, busy = time.perf_counter(), time.process_time()
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for number in range(per_step):
            writer.add_scalar(f"loss/{number}", float(loss.detach()), step)
        step += 1
    print(json.dumps([time.perf_counter() - started, time.process_time() - busy]), flush=True)
writer.close()
"""


class Training:
    """A process that trains a turn when it is told to."""

    def __init__(self, kind: str, base: Path, steps: int, per_step: int) -> None:
        folder = base / kind
        folder.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-c", TRAINING, kind, "logs", str(steps), str(per_step)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={
                **os.environ,
                "RUNCAST_DIR": str(base / "runs"),
                "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            },
        )

    def turn(self) -> tuple[float, float]:
        """Train a turn and return its seconds, by the clock and of processor time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        wall, busy = json.loads(self._process.stdout.readline())
        return wall, busy

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def calibrate(base: Path, rate: float, seconds: float) -> tuple[int, int]:
    """Return steps a turn and scalars a step so that a turn takes about `seconds` at `rate` scalars a second."""
    per_step = 1
    training = Training("probe", base, 100, per_step)
    training.turn()
    step = statistics.median(training.turn()[0] for _ in range(5)) / 100
    training.end()
    return max(1, round(seconds / step)), max(1, round(rate * step))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="turns of each")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of a turn")
    parser.add_argument("--rate", type=float, default=1000, help="add_scalar calls a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        steps, per_step = calibrate(base, options.rate, options.seconds)
        plain, recorded = (Training(kind, base, steps, per_step) for kind in ("plain", "recorded"))
        for _ in range(5):  # both warm, the recorder up
            plain.turn()
            recorded.turn()
        ratios: list[tuple[float, float]] = []
        rates = []
        for number in range(options.rounds):
            first, second = (plain, recorded) if number % 2 else (recorded, plain)
            times = {first: first.turn(), second: second.turn()}
            ratios.append((times[recorded][0] / times[plain][0], times[recorded][1] / times[plain][1]))
            rates.append(steps * per_step / times[plain][0])
        plain.end()
        recorded.end()
    print(
        f"{statistics.median(rates):,.0f} add_scalar a second, {options.rounds} turns of {options.seconds} s each, alternating"
    )
    for name, column in zip(("by the clock", "processor time"), zip(*ratios, strict=True), strict=True):
        low, middle, high = statistics.quantiles(column, n=4)
        print(f"with runcast, {name}: {middle - 1:+.2%} (middle half {low - 1:+.2%} to {high - 1:+.2%})")
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
