"""How fast event files are read: our reader and its peers on the same file, in turns, medians.

    python benchmarks/read_events.py                 # 200,000 events, 3 rounds: about a minute
    python benchmarks/read_events.py --full          # 1,000,000 events, 5 rounds: about five minutes
    python benchmarks/read_events.py --json FILE     # the figures as JSON as well

The file is what PyTorch's SummaryWriter writes: 20 tags of scalars. Each reading is a fresh process; imports are not counted.
All read from the page cache. The Rust data server is timed from its start until it answers with the last step.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

TAGS = 20

RUNCAST = """
from runcast.events import Decoder
import numpy, runcast.events.decode
began = clock()
with open(path, "rb") as file:
    count = len(Decoder().decode(file.read()).scalars.step)
"""

WARM = """
from runcast.events import Decoder
decoder = Decoder()
with open(path, "rb") as file:
    decoder.decode(file.read())
began = clock()
with open(path, "rb") as file:
    count = len(decoder.decode(file.read()).scalars.step)
"""

PROTOBUF = """
import struct
import google_crc32c
from tensorboard.compat.proto.event_pb2 import Event
began = clock()
def masked(data):
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
points = []
with open(path, "rb") as file:
    data = file.read()
position = 0
while position < len(data):
    length, length_crc = struct.unpack_from("<QI", data, position)
    payload = data[position + 12 : position + 12 + length]
    (crc,) = struct.unpack_from("<I", data, position + 12 + length)
    assert masked(data[position : position + 8]) == length_crc and masked(payload) == crc
    event = Event.FromString(payload)
    for value in event.summary.value:
        points.append((value.tag, event.step, event.wall_time, value.simple_value))
    position += length + 16
count = len(points)
"""

ACCUMULATOR = """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
began = clock()
accumulator = EventAccumulator(path, size_guidance={"scalars": 0})
accumulator.Reload()
count = sum(len(accumulator.Scalars(tag)) for tag in accumulator.Tags()["scalars"])
"""

RUST = """
import os, subprocess, tempfile
import grpc, tensorboard_data_server
from tensorboard import context
from tensorboard.data import grpc_provider
from tensorboard.data.provider import RunTagFilter
port = tempfile.mktemp()
command = [tensorboard_data_server.server_binary(), "--logdir=" + os.path.dirname(path), "--port=0", "--port-file=" + port,
           "--reload=once", "--samples-per-plugin=scalars=all", "--die-after-stdin", CHECKSUM]
began = clock()
server = subprocess.Popen(command, stdin=subprocess.PIPE)
while not os.path.exists(port) or not open(port).read().strip():
    time.sleep(0.001)
address = "localhost:" + open(port).read().strip()
options = [("grpc.max_receive_message_length", 1 << 30)]
channel = grpc.secure_channel(address, grpc.local_channel_credentials(), options)
provider = grpc_provider.GrpcDataProvider(address, grpc_provider.make_stub(channel))
while True:
    runs = provider.list_scalars(context.RequestContext(), experiment_id="", plugin_name="scalars", run_tag_filter=RunTagFilter())
    tags = [tag for tags in runs.values() for tag in tags.values()]
    if len(tags) == TAGS and all(tag.max_step == last_step for tag in tags):
        break
    time.sleep(0.001)
count = TAGS * (last_step + 1)
server.stdin.close()
"""

PRELUDE = """
import sys, time
clock = time.perf_counter
path, last_step, TAGS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
"""
RESULT = """
print(clock() - began, count)
"""

READERS = {
    "runcast": RUNCAST,
    "runcast, warm": WARM,
    "protobuf loop with checksums": PROTOBUF,
    "TensorBoard EventAccumulator": ACCUMULATOR,
    "TensorBoard Rust server": RUST.replace("CHECKSUM", '"--no-checksum"'),
    "TensorBoard Rust server, checksums": RUST.replace("CHECKSUM", '"--checksum"'),
}


def write_scalars(folder: Path, steps: int) -> Path:
    """Write the file with PyTorch's writer."""
    from torch.utils.tensorboard import SummaryWriter  # slow, and needed once

    with SummaryWriter(str(folder), max_queue=1000) as writer:
        for step in range(steps):
            for tag in range(TAGS):
                writer.add_scalar(f"train/metric_{tag:02d}", (step * 31 + tag) % 997 / 7, step)
    (file,) = folder.iterdir()
    return file


def seconds(name: str, file: Path, steps: int) -> list[float]:
    """Time one reading in a fresh process; nothing if this reader is not installed here."""
    command = [sys.executable, "-c", PRELUDE + READERS[name] + RESULT, str(file), str(steps - 1), str(TAGS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        print(f"{name}: left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return []
    taken, count = done.stdout.split()
    assert int(count) == steps * TAGS, count
    return [float(taken)]


def main() -> None:
    """Run every reader in turns and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--full", action="store_true", help="1,000,000 events and 5 rounds")
    arguments.add_argument("--json", type=Path, help="write the figures to this file")
    options = arguments.parse_args()
    events, rounds = (1_000_000, 5) if options.full else (200_000, 3)

    taken: dict[str, list[float]] = {name: [] for name in READERS}
    with tempfile.TemporaryDirectory() as folder:
        file = write_scalars(Path(folder), events // TAGS)
        size = file.stat().st_size
        for _ in range(rounds):
            for name in READERS:
                taken[name] += seconds(name, file, events // TAGS)
    medians = {name: statistics.median(values) for name, values in taken.items() if values}

    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "protobuf", "tensorboard"))
    print(f"{events:,} scalar events, {size / 1e6:.1f} MB, median of {rounds}; {time.strftime('%Y-%m-%d')}")
    print(f"Python {platform.python_version()}, {versions}, {platform.system()} {platform.machine()}\n")
    print(f"{'reader':36}{'s':>8}{'events/s':>13}{'MB/s':>8}{'runcast is':>12}")
    for name, median in medians.items():
        ratio = f"{median / medians['runcast']:.1f}x"
        print(f"{name:36}{median:8.3f}{events / median:13,.0f}{size / median / 1e6:8.1f}{ratio:>12}")
    if options.json:
        options.json.write_text(
            json.dumps({"events": events, "bytes": size, "seconds": taken, "medians": medians}, indent=1)
        )


if __name__ == "__main__":
    main()
