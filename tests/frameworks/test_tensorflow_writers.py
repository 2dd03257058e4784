"""TensorFlow's writers: any order of calls, charts that move, nothing of ours left behind, and not a word on stderr."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import textwrap

import pytest

ORDERS = ["-".join(order) for order in itertools.permutations(["init", "patch", "writer"])]


@pytest.fixture
def script(tmp_path):
    """Run a script in a process of its own; return what it printed, on stdout and on stderr."""

    def run(source, *arguments):
        path = tmp_path / "script.py"
        path.write_text(
            "import sys, time, pathlib\nimport tensorflow as tf\nimport runcast\n" + textwrap.dedent(source)
        )
        environment = {**os.environ, "RUNCAST_DIR": str(tmp_path / "store"), "TF_CPP_MIN_LOG_LEVEL": "1"}
        done = subprocess.run(
            [sys.executable, path, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return run


@pytest.mark.timeout(240)
def test_every_order(script):
    """Six runs in one process, each with another order of init, patch and writer: every point is recorded, once."""
    printed, _ = script(
        """
        import json, os
        from runcast.store.local import LocalStore

        def write(steps):
            with writer.as_default():
                for step in steps:
                    tf.summary.scalar("loss", step / 2, step)

        found = {}
        for order in sys.argv[1:]:
            for word in order.split("-"):
                if word == "init":
                    run = runcast.init(name=order)
                elif word == "patch":
                    runcast.tensorboard.patch()
                else:
                    writer = tf.summary.create_file_writer(order)
                    write(range(10))
            write(range(10, 20))
            writer.close()
            run.finish()
            runcast.tensorboard.unpatch()
            with LocalStore(pathlib.Path(os.environ["RUNCAST_DIR"])) as store:
                found[order] = {
                    f"{each.root}/{each.source}": store.points(run.id, each.root, each.source, each.tag).value.tolist()
                    for each in store.series(run.id)
                    if each.root != "own"
                }
        print(json.dumps(found))
        """,
        *ORDERS,
    )
    found = json.loads(printed.splitlines()[-1])
    assert found == {order: {f"cwd/{order}": [step / 2 for step in range(20)]} for order in ORDERS}


@pytest.mark.timeout(240)
def test_points_arrive_while_the_writer_is_open(script):
    """Points of eager writers and of both FileWriters are in their files within moments, not after two minutes."""
    script(
        """
        run = runcast.init(sync_tensorboard=True)
        sizes = lambda name: sum(path.stat().st_size for path in pathlib.Path(name).glob("*tfevents*"))

        def grows(name, write):
            before = sizes(name)
            write()
            deadline = time.monotonic() + 20
            while sizes(name) == before:
                assert time.monotonic() < deadline, name
                time.sleep(0.05)

        eager = tf.summary.create_file_writer("eager")
        with eager.as_default():
            for step in range(3):
                grows("eager", lambda: tf.summary.scalar("loss", 1.0, step))
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            summary = tf.compat.v1.Summary(value=[tf.compat.v1.Summary.Value(tag="loss", simple_value=1.0)])
            for name, options in {"one": {}, "session": {"session": session}}.items():
                writer = tf.compat.v1.summary.FileWriter(name, **options)
                for step in range(3):
                    grows(name, lambda: writer.add_summary(summary, step))
                writer.close()
        """
    )


@pytest.mark.timeout(240)
def test_a_writer_that_is_opened_again(script):
    """FileWriter.reopen goes on in a new file, which is recorded as well."""
    printed, _ = script(
        """
        run = runcast.init(sync_tensorboard=True)
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            summary = tf.compat.v1.Summary(value=[tf.compat.v1.Summary.Value(tag="loss", simple_value=1.0)])
            for name, options in {"one": {}, "session": {"session": session}}.items():
                writer = tf.compat.v1.summary.FileWriter(name, **options)
                writer.add_summary(summary, 0)
                writer.close()
                time.sleep(1.1)  # the file's name holds the second
                writer.reopen()
                writer.add_summary(summary, 1)
                writer.flush()
                run.drain(10.0)
                writer.close()
        run.finish()
        for path in sorted(pathlib.Path().rglob("*tfevents*")):
            if path.parts[0] in {"one", "session"}:
                copy = run.folder / "files" / "cwd" / path
                print(copy.exists() and copy.read_bytes() == path.read_bytes())
        """
    )
    assert printed.splitlines() == ["True"] * 4


@pytest.mark.timeout(240)
def test_nothing_is_said_and_nothing_is_left(script):
    """Writers that are closed while they are flushed, one on a bucket, `unpatch`: no complaint, and classes as they were."""
    printed, errors = script(
        """
        from tensorflow.python.ops.summary_ops_v2 import _ResourceSummaryWriter
        before = dict(vars(_ResourceSummaryWriter))
        run = runcast.init(sync_tensorboard=True)
        print(sorted(name for name, was in before.items() if vars(_ResourceSummaryWriter)[name] is not was))
        for number in range(1000):
            writer = tf.summary.create_file_writer(f"many/{number % 10}")
            with writer.as_default():
                tf.summary.scalar("loss", 1.0, number)
            writer.close()
        bucket = tf.summary.create_file_writer("ram://bucket/logs")
        deadline = time.monotonic() + 30
        while not (named := [file for file in run.status(30.0)["files"] if "only local files" in file["why"]]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        print(*[file["source"] for file in named])
        bucket.close()
        run.finish(timeout=60.0)
        runcast.tensorboard.unpatch()
        print(dict(vars(_ResourceSummaryWriter)) == before)
        """
    )
    assert printed.splitlines() == ["['__init__', 'close']", "ram://bucket/logs/*tfevents*", "True"]
    assert "NOT_FOUND" not in errors
    assert "runcast" not in errors


@pytest.mark.timeout(240)
def test_a_graphs_writer_that_is_over_at_once(script):
    """A writer in a graph opens its file when a session runs; though it is gone in the next moment, its file is recorded."""
    printed, _ = script(
        """
        run = runcast.init(sync_tensorboard=True)
        def train():
            with tf.Graph().as_default(), tf.compat.v1.Session() as session:
                session.run(tf.summary.create_file_writer("logs").init())
        train()
        run.finish()
        (path,) = pathlib.Path("logs").iterdir()
        print((run.folder / "files" / "cwd" / path).read_bytes() == path.read_bytes())
        """
    )
    assert printed.splitlines() == ["True"]
