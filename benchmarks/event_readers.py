"""The programs that `read_events.py` times: our reader, its peers, and what no reader can be faster than.

Each is run in a fresh process, given the log's folder, its files, and the tag and step with which each run ends. It starts the clock after
its imports, and answers with the seconds, the number of scalars that it found (-1: it does not say), and the megabytes by which its
memory grew (-1: another process does the reading).
"""

from __future__ import annotations

__all__ = ["READERS", "SLOW", "program"]

RUNCAST = """
import numpy
from runcast.events import Decoder, Tail, find_files
began = start()
decoder = Decoder()
batches = [batch for file in find_files(folder) for batch in Tail(file.path, decoder).read()]
finish(sum(len(batch.scalars.step) for batch in batches))
"""

RUNCAST_WARM = """
import numpy
from runcast.events import Decoder, Tail, find_files
decoder = Decoder()
for turn in range(2):
    batches = []
    began = start()
    batches = [batch for file in find_files(folder) for batch in Tail(file.path, decoder).read()]
finish(sum(len(batch.scalars.step) for batch in batches))
"""

RUNCAST_PASSING = """
import numpy
from runcast.events import Tail
began = start()
finish(sum(len(batch.scalars.step) for file in files for batch in Tail(file).read()))
"""

LIMIT = """
import google_crc32c
assert google_crc32c.implementation == "c"
began = start()
for file in files:
    crc = 0
    with open(file, "rb", buffering=0) as opened:
        while block := opened.read(1 << 20):
            crc = google_crc32c.extend(crc, block)
finish(-1)
"""

PROTOBUF = """
import struct
import google_crc32c
from tensorboard.compat.proto.event_pb2 import Event
began = start()
def masked(data):
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
points = []
for file in files:
    with open(file, "rb") as opened:
        data = opened.read()
    position = 0
    while position < len(data):
        length, length_crc = struct.unpack_from("<QI", data, position)
        payload = data[position + 12 : position + 12 + length]
        (crc,) = struct.unpack_from("<I", data, position + 12 + length)
        assert masked(data[position : position + 8]) == length_crc and masked(payload) == crc
        event = Event.FromString(payload)
        for value in event.summary.value:
            kind = value.WhichOneof("value")
            if kind == "simple_value":
                points.append((value.tag, event.step, event.wall_time, value.simple_value))
            elif kind == "tensor" and value.tensor.dtype == 1:
                if value.tensor.tensor_content:
                    (number,) = struct.unpack("<f", value.tensor.tensor_content)
                else:
                    (number,) = value.tensor.float_val
                points.append((value.tag, event.step, event.wall_time, number))
        position += length + 16
finish(len(points))
"""

ACCUMULATOR = """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
began = start()
count = 0
accumulators = []
for file in files:
    accumulator = EventAccumulator(file, size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    accumulators.append(accumulator)
    tags = accumulator.Tags()
    count += sum(len(accumulator.Scalars(tag)) for tag in tags["scalars"])
    for tag in tags["tensors"]:
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            count += len(accumulator.Tensors(tag))
finish(count)
"""

TBPARSE = """
from tbparse import SummaryReader
began = start()
reader = SummaryReader(folder, event_types={"scalars", "tensors"})
scalars, tensors = reader.scalars, reader.tensors
finish(len(scalars) + (len(tensors) if len(tensors) and not len(scalars) else 0))
"""

RUST = """
import os, subprocess, tempfile
import grpc, tensorboard_data_server
from tensorboard import context
from tensorboard.data import grpc_provider
from tensorboard.data.provider import RunTagFilter
port = tempfile.mktemp()
command = [tensorboard_data_server.server_binary(), "--logdir=" + folder, "--port=0", "--port-file=" + port, "--reload=once",
           "--samples-per-plugin=scalars=all", "--die-after-stdin", CHECKSUM]
began = start()
server = subprocess.Popen(command, stdin=subprocess.PIPE)
while not os.path.exists(port) or not open(port).read().strip():
    time.sleep(0.001)
address = "localhost:" + open(port).read().strip()
channel = grpc.secure_channel(address, grpc.local_channel_credentials(), [("grpc.max_receive_message_length", 1 << 30)])
provider = grpc_provider.GrpcDataProvider(address, grpc_provider.make_stub(channel))
wanted = RunTagFilter(runs=list(last), tags=sorted({tag for tag, _ in last.values()}))
def done():
    found = provider.list_scalars(context.RequestContext(), experiment_id="", plugin_name="scalars", run_tag_filter=wanted)
    return all(tag in found.get(run, ()) and found[run][tag].max_step == step for run, (tag, step) in last.items())
while not done():
    time.sleep(0.001)
finish(-1)
server.stdin.close()
"""

PRELUDE = """
import json, os, sys, time
folder, files, last = json.loads(sys.argv[1])
def memory():
    try:
        with open("/proc/self/status") as status:  # not ru_maxrss, which counts the parent's memory before exec
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return float("nan")
def start():
    global grown_from
    grown_from = memory()
    return time.perf_counter()
def finish(count):
    print(time.perf_counter() - began, count, memory() - grown_from)
"""

READERS = {
    "runcast": RUNCAST,
    "runcast, warm": RUNCAST_WARM,
    "limit: read and CRC32C": LIMIT,
    "data server": RUST.replace("CHECKSUM", '"--no-checksum"'),
    "data server, checksums": RUST.replace("CHECKSUM", '"--checksum"'),
    "protobuf loop, checksums": PROTOBUF,
    "EventAccumulator": ACCUMULATOR,
    "tbparse": TBPARSE,
    "runcast, passing": RUNCAST_PASSING,
}

SLOW = {"EventAccumulator", "tbparse"}
"""Readers that take tens of seconds for a million events."""


def program(name: str) -> str:
    """Return the program's text."""
    return PRELUDE + READERS[name]
