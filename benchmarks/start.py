"""How long `runcast.init` and the `finish` of a short run take, each run in a process of its own.

    python benchmarks/start.py [--runs 20]

Prints the median and the 95th percentile, in seconds, of: importing and calling `init` (`start`), `init` alone, and `finish` after
ten logged values.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

SCRIPT = """
import time
began = time.perf_counter()
import runcast
imported = time.perf_counter()
run = runcast.init(project="bench")
ready = time.perf_counter()
for value in range(10):
    run.log({"value": value})
logged = time.perf_counter()
complete = run.finish()
done = time.perf_counter()
import json
print(json.dumps({"start": ready - began, "init": ready - imported, "finish": done - logged, "complete": complete}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "RUNCAST_DIR": f"{folder}/store"}
        took = []
        for _ in range(options.runs + 1):
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            took.append(json.loads(done.stdout))
    took = took[1:]  # the first fills caches
    assert all(each["complete"] for each in took), "a run was not recorded in time"
    for what in ("start", "init", "finish"):
        values = sorted(each[what] for each in took)
        p95 = values[min(len(values) - 1, round(0.95 * (len(values) - 1)))]
        print(f"{what:7} p50 {statistics.median(values):.3f} s   p95 {p95:.3f} s")


if __name__ == "__main__":
    main()
