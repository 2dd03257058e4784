"""What TensorBoard's own protobuf classes say about event files, to hold our reader against."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from tensorboard import context
from tensorboard.data.provider import RunTagFilter

from runcast.events import Batch, Decoder

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))  # the fuzzer's scripts import each other by name
import decode as fuzz
import reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

settings.register_profile("events", deadline=None)  # how fast a test machine is says nothing here
settings.load_profile("events")

REPOSITORY = Path(__file__).parents[2]


def real_data_folders() -> list[Path]:
    """The few files in the repository, and where there are more of them, those."""
    more = Path(os.environ.get("RUNCAST_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    return [REPOSITORY / "tests" / "data", *([more] if more.is_dir() else [])]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `real_file` once for each event file of real jobs."""
    if "real_file" in metafunc.fixturenames:
        found = [
            (folder, file) for folder in real_data_folders() for file in sorted(folder.rglob("*tfevents*"))
        ]
        ids = [f"{folder.parent.name}/{file.relative_to(folder)}" for folder, file in found]
        metafunc.parametrize("real_file", [file for _, file in found], ids=ids)


def payloads(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        yield position, data[position + 12 : position + 12 + length]
        position += 16 + length


def check_against_tensorboard(data: bytes, decoder: Decoder | None = None) -> Batch:
    """Decode a whole file, compare all that is said of it with what TensorBoard's classes say, and return the batch."""
    batch = (decoder or Decoder()).decode(data)
    expected = reference.read(data, skip=False)
    assert (batch.start, batch.stop, batch.pending, batch.skipped) == (0, len(data), "", ())
    answer = fuzz.answered(batch)
    assert answer == expected, fuzz.differences(answer, expected)
    return batch


@pytest.fixture(scope="session")
def check() -> Callable[..., Batch]:
    return check_against_tensorboard


@pytest.fixture(scope="session")
def points() -> Callable[[Batch], list[tuple[str, int, bytes, bytes]]]:
    return lambda batch: fuzz.answered(batch).points


@pytest.fixture(scope="session")
def record() -> Callable[[bytes], bytes]:
    """Frame a payload as a record."""
    return reference.frame


@pytest.fixture(scope="session")
def boundaries() -> Callable[[bytes], list[int]]:
    """Return the record boundaries of a file, its beginning and end included."""
    return lambda data: [*(position for position, _ in payloads(data)), len(data)]


def wait_for(question):
    """Ask until there is an answer."""
    for _ in range(400):
        if answer := question():
            return answer
        time.sleep(0.05)
    raise TimeoutError


@pytest.fixture
def rust_scalars(tmp_path_factory):
    """Read a logdir's scalars as TensorBoard's Rust server gives them: {run: {tag: [(step, wall time, value)]}}."""
    binary = pytest.importorskip("tensorboard_data_server").server_binary()
    if binary is None:
        pytest.skip("no data server for this platform")
    import grpc
    from tensorboard.data import grpc_provider

    def read(logdir):
        folder = tmp_path_factory.mktemp("rust")
        port_file, log = folder / "port", folder / "log"
        options = ["--port=0", "--reload=once", "--samples-per-plugin=scalars=all", "--die-after-stdin", "-v"]
        command = [binary, f"--logdir={logdir}", f"--port-file={port_file}", *options]
        with log.open("wb") as stderr, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr):
            wait_for(lambda: b"Finished load cycle" in log.read_bytes())
            address = f"localhost:{port_file.read_text().strip()}"
            with grpc.secure_channel(address, grpc.local_channel_credentials()) as channel:
                provider = grpc_provider.GrpcDataProvider(address, grpc_provider.make_stub(channel))
                shown = provider.read_scalars(
                    context.RequestContext(),
                    experiment_id="",
                    plugin_name="scalars",
                    downsample=100_000,
                    run_tag_filter=RunTagFilter(),
                )
        return {
            run: {
                tag: [(datum.step, datum.wall_time, datum.value) for datum in data]
                for tag, data in tags.items()
            }
            for run, tags in shown.items()
        }

    return read
