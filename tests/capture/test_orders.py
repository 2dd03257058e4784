"""The order of `init`, `patch` and the writer does not matter."""

from __future__ import annotations

import itertools
import json

import pytest

WRITERS = {
    "torch": "from torch.utils.tensorboard import SummaryWriter as make",
    "tensorboardX": "from tensorboardX import SummaryWriter as make",
    "tensorboard": "from tensorboard.summary import Writer as make",
}
ORDERS = ["-".join(order) for order in itertools.permutations(["init", "patch", "writer"])]

SCRIPT = """
    {import_writer}
    import json, os, pathlib
    import runcast
    from runcast.store.local import LocalStore

    found = {{}}
    for order in {orders}:
        for word in order.split("-"):
            if word == "init":
                run = runcast.init(name=order)
            elif word == "patch":
                runcast.tensorboard.patch()
            else:
                writer = make(order)
                for step in range(10):
                    writer.add_scalar("loss", step / 2, step)
        for step in range(10, 20):
            writer.add_scalar("loss", step / 2, step)
        writer.close()
        run.finish()
        runcast.tensorboard.unpatch()
        with LocalStore(pathlib.Path(os.environ["RUNCAST_DIR"])) as store:
            found[order] = {{
                f"{{each.root}}/{{each.source}}": store.points(run.id, each.root, each.source, each.tag).value.tolist()
                for each in store.series(run.id)
                if each.root != "own"
            }}
    print(json.dumps(found))
"""


@pytest.mark.parametrize("library", WRITERS)
def test_every_order(script, library):
    """Six runs in one process, each with another order: every point is recorded, once, under the same name."""
    printed = script(SCRIPT.format(import_writer=WRITERS[library], orders=ORDERS), timeout=110)
    found = json.loads(printed.splitlines()[-1])
    assert found == {order: {f"cwd/{order}": [step / 2 for step in range(20)]} for order in ORDERS}
