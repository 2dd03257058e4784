"""A notebook whose logs are in a bucket."""

from __future__ import annotations

import time
import uuid

TRAIN = """\
import os
os.environ.update(hidden, S3_ENDPOINT="http://127.0.0.1:{port}")
from tensorboard.summary import Writer
writer = Writer("s3://runcasttests/{prefix}/logs/train")
for step in range(20):
    writer.add_scalar("loss", 1 / (step + 1), step)
"""


def test_a_notebook_with_its_logs_in_a_bucket(kernels, ended, store, s3) -> None:
    """A notebook that says too late who it is is told so; then its writer is recorded to the last point, which nobody flushed."""
    prefix = uuid.uuid4().hex[:12]
    kernel = kernels("program")
    kernel.run(
        "import os\nhidden = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith('AWS_') and 'KEY' in name}\n"
        "os.environ['AWS_SHARED_CREDENTIALS_FILE'] = os.environ['AWS_CONFIG_FILE'] = 'none'"
    )
    address = s3.address(prefix).replace("?", "/logs?")
    done = kernel.run(f"%load_ext runcast\n%sync_tensorboard '{address}' --no-tensorboard")
    assert done.status == "ok", done.outputs
    deadline = time.monotonic() + 30
    said = "nothing says who opens s3://runcasttests: set AWS_ACCESS_KEY_ID"
    while said not in (status := kernel.run("%runcast status").text):
        assert time.monotonic() < deadline, status
        time.sleep(0.3)
    assert kernel.run(TRAIN.format(port=s3.port, prefix=prefix)).status == "ok"
    assert "is finished" in kernel.run("%runcast finish").text
    run = ended(60)
    assert store.points(run.id, "logs", "train", "loss").step.tolist() == list(range(20))
    for name in ("run.jsonl", "recorder.log"):
        assert "SECRET_ACCESS_KEY" not in (store.root / "runs" / run.id / name).read_text().replace(said, "")
    kernel.run("writer.close()")
