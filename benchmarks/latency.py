"""How long a point takes from `add_scalar` to the screen: `python benchmarks/latency.py [--seconds S] [--rate R]`.

A real JupyterLab in Chromium at default settings. A cell logs R points a second in pure Python and never yields; the page is asked,
as often as it draws, which point of the chart was drawn last and when. A point's latency is the first such moment less the point's own
wall time (one clock: page and kernel run on this machine). Points that were drawn together with later ones count as drawn then.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from jupyterlab_driver import Notebook, chromium, jupyterlab, write_notebook  # noqa: E402  found on the path above

CELL = """\
import time
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter("logs")
step, began = 0, time.monotonic()
while time.monotonic() - began < {seconds}:
    writer.add_scalar("loss", 1 / (step + 1), step)
    step += 1
    due = began + step / {rate}
    while time.monotonic() < due:
        sum(range(100))
"""

# Every drawing is noted with the newest step that it shows.
WATCH = """() => {
    const noted = (globalThis.__drawn = []);
    const look = () => {
        for (const feed of globalThis.__runcast?.values() ?? []) {
            const last = feed.lastDrawn("loss");
            if (last && last.step !== noted.at(-1)?.step) noted.push({ step: last.step, at: last.drawnAt });
        }
        requestAnimationFrame(look);
    };
    look();
}"""

WALLS = """() => {
    for (const feed of globalThis.__runcast.values())
        for (const series of feed.seriesById.values())
            if (series.key.tag === "loss")
                return Array.from({ length: series.length }, (_, k) => [series.steps.at(k), series.walls.at(k)]);
}"""


def latencies(drawn: list[dict[str, float]], walls: dict[int, float]) -> list[float]:
    """Return each point's seconds from its wall time to the first drawing that shows its step or a later one."""
    found = []
    drawings = iter(drawn)
    drawing = next(drawings, None)
    for step in sorted(walls):
        while drawing is not None and drawing["step"] < step:
            drawing = next(drawings, None)
        if drawing is None:
            break
        found.append(drawing["at"] / 1000 - walls[step])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="seconds of logging")
    parser.add_argument("--rate", type=float, default=20, help="points a second")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder, jupyterlab(Path(folder)) as server, chromium() as page:
        cells = ["%load_ext runcast\n%sync_tensorboard", "import torch.utils.tensorboard", CELL]
        path = write_notebook(server.root / "latency.ipynb", [cell.format(**vars(options)) for cell in cells])
        notebook = Notebook(page, server, path).open()
        notebook.run(0)
        notebook.run(1, timeout=300)
        page.evaluate(WATCH)
        notebook.run(2, timeout=options.seconds + 120)
        page.wait_for_timeout(3000)
        drawn = page.evaluate("globalThis.__drawn")
        walls = {int(step): wall for step, wall in page.evaluate(WALLS)}
        notebook.close()
    found = latencies(drawn, walls)
    cuts = statistics.quantiles(found, n=100)
    print(f"{len(found)} points in {options.seconds:.0f} s, {len(drawn)} drawings")
    print(
        f"from add_scalar to the screen: p50 {cuts[49]:.2f} s, p95 {cuts[94]:.2f} s, longest {max(found):.2f} s"
    )
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
