"""The ranks of a distributed training: sources of their own, by whatever they were started."""

from __future__ import annotations

import textwrap

import pytest

from runcast.run.ranks import ranked

pytestmark = pytest.mark.usefixtures("training_script")

DDP = """
    import os, sys
    import torch
    import torch.distributed as dist
    from train import write

    def main(rank=None, size=2, rendezvous=None):
        if rank is None:
            dist.init_process_group("gloo")
        else:
            dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=size)
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
        model(torch.ones(1, 2)).sum().backward()
        write("logs/ddp", library="torch")
        write(f"logs/named/rank_{dist.get_rank()}", library="torch")
        dist.barrier()
        dist.destroy_process_group()

    if __name__ == "__main__":
        main()
"""
LAUNCH = {
    "torchrun": """
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1",
                   "--nproc-per-node=2", "ddp.py"]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    """,
    "spawn": """
        import ddp, torch.multiprocessing
        torch.multiprocessing.spawn(ddp.main, (2, "file://" + os.path.abspath("rendezvous")), nprocs=2)
    """,
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("launcher", "logdirs"), [("torchrun", ("logs",)), ("spawn", ())])
def test_ranks_are_sources_of_their_own(place, sources, launcher, logdirs):
    """Two DDP ranks that write into one folder are two lines: rank 0 has the folder's name, rank 1 `rank1` below it."""
    (place.folder / "ddp.py").write_text(textwrap.dedent(DDP))
    script = f"""
import os, subprocess, sys
import runcast

if __name__ == "__main__":
    run = runcast.init(sync_tensorboard=True, logdirs={logdirs!r})
{textwrap.indent(textwrap.dedent(LAUNCH[launcher]), "    ")}
"""
    place.run(script, timeout=240)
    root, above = ("logs", "") if logdirs else ("cwd", "logs/")
    names = ("ddp", "ddp/rank1", "named/rank_0", "named/rank_1")
    assert sources() == {(root, f"{above}{name}"): 50 for name in names}


@pytest.mark.parametrize(
    ("source", "rank", "own", "name"),
    [
        ("train", None, None, "train"),
        ("train", 0, None, "train"),
        ("train", 1, None, "train/rank1"),
        (".", 3, None, "rank3"),
        ("train", 2, 2, "train"),
        ("train", 0, 2, "train"),
        ("rank1/train", 1, None, "rank1/train"),
        ("Rank_01", 1, None, "Rank_01"),
        ("rank12", 1, None, "rank12/rank1"),
        ("exp1", 1, None, "exp1/rank1"),
        ("frank1", 1, None, "frank1/rank1"),
    ],
)
def test_a_ranks_source_depends_on_nothing_but_itself(source, rank, own, name):
    """The name of a rank's series follows from its rank and its folder."""
    assert ranked(source, rank, own) == name
