"""Writers of the processes that a run's process starts: recorded in the run, whatever way they were started."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import sysconfig
import textwrap
import venv
from pathlib import Path

import pytest

from runcast.capture.libraries import LIBRARIES
from runcast.events import Decoder, EventWriter
from runcast.run.children import FOLDER
from runcast.run.ranks import ranked
from runcast.store.local import LocalStore

WRITE = """
    import sys

    opened = []

    def write(logdir, points=50, close=True, library="tensorboard"):
        if library == "torch":
            from torch.utils.tensorboard import SummaryWriter
        elif library == "tensorboardX":
            from tensorboardX import SummaryWriter
        else:
            from tensorboard.summary import Writer as SummaryWriter  # imports no torch
        writer = SummaryWriter(logdir)
        opened.append(writer)
        for step in range(points):
            writer.add_scalar("loss", step / 2, step)
        if close:
            writer.close()

    if __name__ == "__main__":
        write(*sys.argv[1:2])
"""


@pytest.fixture
def place(place):
    """As ever, with a training script `train.py LOGDIR` that writes 50 points and knows nothing of runcast."""
    (place.folder / "train.py").write_text(textwrap.dedent(WRITE))
    between = "import subprocess, sys; subprocess.run([sys.executable, 'train.py', 'logs/child'], check=True)"
    (place.folder / "between.py").write_text(between)
    return place


@pytest.fixture
def sources(place):
    """A function that returns how many points were recorded of each (root, source), and checks that each is there once."""

    def read(run=-1, tag="loss"):
        found = {}
        with LocalStore(place.store) as store:
            run_id = place.runs[run].name
            for series in store.series(run_id):
                if series.tag == tag:
                    points = store.points(run_id, series.root, series.source, tag)
                    assert points.step.tolist() == list(range(len(points.step)))
                    assert points.value.tolist() == [step / 2 for step in points.step.tolist()]
                    assert series.count == len(points.step)
                    found[series.root, series.source] = series.count
            paths = [file.source_path for file in store.files(run_id) if file.source_path]
            assert len(paths) == len(set(paths)), "a file is recorded twice"
        return found

    return read


@pytest.mark.parametrize(
    "start",
    [
        'subprocess.run([sys.executable, "train.py", "logs/child"], check=True)',
        'assert os.system(f"{sys.executable} train.py logs/child") == 0',
        'subprocess.run("cd logs && python ../train.py child", shell=True, check=True)',
        'subprocess.run([sys.executable, "between.py"], check=True)',
    ],
    ids=["subprocess", "os.system", "a shell in another folder", "a grandchild"],
)
def test_a_child_process_is_recorded(place, sources, start):
    """A training script that is started from a run, in whatever way, is part of the run without a line of code."""
    _, err = place.run(f"""
        import os, subprocess, sys
        import runcast
        os.makedirs("logs")
        os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        run = runcast.init(sync_tensorboard=True)
        {start}
    """)
    assert err == ""
    assert place.end().state == "finished"
    assert sources() == {("cwd", "logs/child"): 50}
    (writer,) = place.entries("writer")
    assert writer["by"].startswith("child:")
    assert len(place.entries("finish")) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("method", "library"), [("fork", "tensorboard"), ("spawn", "tensorboardX"), ("forkserver", "tensorboard")]
)
def test_multiprocessing(place, sources, method, library):
    """Processes of multiprocessing are recorded whole, even those that never close their writer."""
    _, err = place.run(
        f"""
        import multiprocessing
        import runcast
        from train import write

        if __name__ == "__main__":
            run = runcast.init(sync_tensorboard=True)
            context = multiprocessing.get_context({method!r})
            arguments = [(f"logs/{{n}}", 50, bool(n), {library!r}) for n in range(2)]
            children = [context.Process(target=write, args=each) for each in arguments]
            for child in children:
                child.start()
            for child in children:
                child.join()
                assert child.exitcode == 0
    """,
        timeout=240,
    )
    assert "runcast" not in err  # tensorboardX has something to say of a writer that is not closed
    assert place.end().state == "finished"
    assert sources() == {("cwd", "logs/0"): 50, ("cwd", "logs/1"): 50}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader(place, sources, method):
    """What the workers of a torch DataLoader log is recorded, however they are started."""
    _, err = place.run(
        f"""
        import runcast
        import torch
        from train import write

        class Numbers(torch.utils.data.Dataset):
            def __len__(self):
                return 4

            def __getitem__(self, index):
                if index < 2:
                    write(f"logs/worker{{torch.utils.data.get_worker_info().id}}", library="torch")
                return index

        if __name__ == "__main__":
            run = runcast.init(sync_tensorboard=True)
            loader = torch.utils.data.DataLoader(Numbers(), num_workers=2, multiprocessing_context={method!r})
            assert sorted(torch.cat(list(loader)).tolist()) == [0, 1, 2, 3]
    """,
        timeout=240,
    )
    assert err == ""
    assert sources() == {("cwd", "logs/worker0"): 50, ("cwd", "logs/worker1"): 50}


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


def test_pools_that_outlive_their_run(place, sources):
    """A pool's processes that are used again write into the run that is active then; between runs, into none."""
    pytest.importorskip("joblib")
    out, err = place.run("""
        import os
        import runcast
        from joblib import Parallel, delayed
        from train import write

        def work(logdir):
            write(logdir)
            return os.getpid()

        def both(name):
            return set(Parallel(n_jobs=2)(delayed(work)(f"{name}/{n}") for n in range(4)))

        if __name__ == "__main__":
            first = runcast.init(sync_tensorboard=True)
            pids = both("first")
            first.finish()
            pids &= both("nowhere")
            second = runcast.init(sync_tensorboard=True)
            print(len(pids & both("second")))
    """)
    assert err == ""
    assert int(out) >= 1, "the pool was not used again: this tests nothing"
    assert [place.end(run).state for run in (0, 1)] == ["finished", "finished"]
    assert sources(0) == {("cwd", f"first/{n}"): 50 for n in range(4)}
    assert sources(1) == {("cwd", f"second/{n}"): 50 for n in range(4)}


def test_a_killed_child(place, sources):
    """A child that is killed in the middle of writing loses nothing that had reached its file, and the run goes on."""
    _, err = place.run("""
        import os, signal, subprocess, sys, time
        import runcast
        run = runcast.init(sync_tensorboard=True)
        child = subprocess.Popen([sys.executable, "-c", "import train; train.write('logs', 10**9)"])
        while not os.path.isdir("logs") or sum(file.stat().st_size for file in os.scandir("logs")) < 20_000:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        run.log({"after": 1.0})
    """)
    assert err == ""
    assert place.end().state == "finished"
    (file,) = (place.folder / "logs").iterdir()
    written = Decoder().decode(file.read_bytes(), 0).scalars
    ((_, count),) = sources().items()
    assert count == len(written.step) > 100
    assert place.values("after") == [(0, 1.0)]


def test_a_child_with_a_run_of_its_own(place, sources):
    """A child that calls init has its own run, which records its writers and those of its children; the rest is its parent's."""
    _, err = place.run("""
        import subprocess, sys
        import runcast
        child = '''
        import subprocess, sys
        import runcast
        from train import write
        write("before")
        with runcast.init(name="child", sync_tensorboard=True):
            write("child")
            subprocess.run([sys.executable, "train.py", "grandchild"], check=True)
        write("after")
        subprocess.run([sys.executable, "train.py", "after/grandchild"], check=True)
        '''
        run = runcast.init(name="parent", sync_tensorboard=True)
        subprocess.run([sys.executable, "-c", __import__("textwrap").dedent(child)], check=True)
    """)
    assert err == ""
    assert [place.entries("start", run)[0]["name"] for run in (0, 1)] == ["parent", "child"]
    assert [place.end(run).state for run in (0, 1)] == ["finished", "finished"]
    assert sources(0) == {("cwd", name): 50 for name in ("before", "after", "after/grandchild")}
    assert sources(1) == {("cwd", name): 50 for name in ("child", "grandchild")}


def test_a_child_that_outlives_the_run(place, sources):
    """What it has written by the end is recorded; it goes on undisturbed, and nothing is added to a run that has ended."""
    place.run("""
        import os, subprocess, sys, time
        import runcast
        child = '''
        import os, time
        from train import write
        write("logs")
        open("written", "w").close()
        while not os.path.exists("over"):
            time.sleep(0.01)
        write("late")
        open("late/done", "w").close()
        '''
        run = runcast.init(sync_tensorboard=True)
        child = subprocess.Popen([sys.executable, "-c", __import__("textwrap").dedent(child)])
        while not os.path.exists("written"):
            time.sleep(0.01)
        run.finish()
        open("over", "w").close()
        assert child.wait(60) == 0
    """)
    assert (place.folder / "late/done").exists()
    assert [entry["source"] for entry in place.entries("writer")] == ["logs"]
    assert len(place.entries("finish")) == 1
    assert sources() == {("cwd", "logs"): 50}


def test_a_run_that_is_gone(place):
    """A child whose run was deleted trains on, without a word and without a journal made anew."""
    out, err = place.run("""
        import os, shutil, subprocess, sys
        import runcast
        run = runcast.init(sync_tensorboard=True)
        environment = dict(os.environ)
        run.finish()
        shutil.rmtree(run.folder)
        done = subprocess.run([sys.executable, "train.py", "logs"], env=environment, capture_output=True, check=True)
        print(done.stdout + done.stderr, (run.folder / "run.jsonl").exists())
    """)
    assert (out.strip(), err) == ("b'' False", "")


def test_what_is_patched_holds_for_children(place, sources):
    """`patch(save=False, pytorch=False)` holds for children, too: scalars of tensorboardX, and nothing else; until it is said anew."""
    place.run("""
        import subprocess, sys
        import runcast

        def both(name):
            write = f"import train; [train.write('{name}/' + library, library=library) for library in ('torch', 'tensorboardX')]"
            subprocess.run([sys.executable, "-c", write], check=True)

        run = runcast.init()
        runcast.tensorboard.patch(save=False, pytorch=False)
        both("one")
        runcast.tensorboard.patch(save=False, tensorboard_x=False)
        both("two")
        runcast.tensorboard.unpatch()
        both("none")
    """)
    assert [entry["save"] for entry in place.entries("writer")] == [False] * 3
    assert sources() == {
        ("cwd", f"{name}"): 50 for name in ("one/tensorboardX", "two/torch", "two/tensorboardX")
    }


def test_the_environment_is_put_back(place):
    """While a run records writers the environment names it; afterwards it is as it was, with what the user changed in it."""
    out, _ = place.run("""
        import os
        import runcast
        was = dict(os.environ)
        run = runcast.init(sync_tensorboard=True)
        assert os.environ["RUNCAST_RUN"] == str(run.folder)
        assert os.environ["PYTHONPATH"].endswith(os.pathsep + was["PYTHONPATH"])
        with runcast.init(sync_tensorboard=True) as second:
            assert os.environ["RUNCAST_RUN"] == str(second.folder)
        assert dict(os.environ) == was
        del os.environ["PYTHONPATH"]
        was = dict(os.environ)
        runcast.init(sync_tensorboard=True).finish()
        assert dict(os.environ) == was
        run = runcast.init(sync_tensorboard=True)
        os.environ["PYTHONPATH"] = "mine" + os.pathsep + os.environ["PYTHONPATH"]
        run.finish()
        assert dict(os.environ) == {**was, "PYTHONPATH": "mine"}
        runcast.init()
        assert dict(os.environ) == {**was, "PYTHONPATH": "mine"}
        print("done")
    """)
    assert out == "done\n"


def test_the_recorder_is_no_child(place):
    """The recorder, a second one included, is not told of the run as a training's process is."""
    place.run("""
        import os, signal, time
        import psutil
        import runcast
        run = runcast.init(sync_tensorboard=True)
        for _ in range(2):
            while not run.recorder_pid or not run.drain():
                time.sleep(0.05)
            environment = psutil.Process(run.recorder_pid).environ()
            assert "RUNCAST_RUN" not in environment
            assert "sitecustomize" not in environment.get("PYTHONPATH", "")
            assert os.environ["PYTHONPATH"].split(os.pathsep)[0] not in environment.get("PYTHONPATH", "").split(os.pathsep)
            os.kill(run.recorder_pid, signal.SIGKILL)
            time.sleep(0.3)
    """)


def child_of_a_run(folder, *arguments, python=sys.executable, **environment):
    """Run a Python as a child of a run; without its being there."""
    return subprocess.run(
        [python, *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": FOLDER,
            "RUNCAST_RUN": str(folder / "run"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_process_that_writes_nothing_is_left_as_it_is(tmp_path):
    """Until a library for event files is imported, neither runcast is imported nor the module path another."""
    program = "import sys; print([sys.path, sorted(name for name in sys.modules if 'runcast' in name)])"
    plain = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    child = child_of_a_run(tmp_path, "-c", program)
    assert (child.stdout, child.stderr) == (plain.stdout, "")
    names = ast.literal_eval(child.stdout)[1]
    assert [name for name in names if not name.startswith("__editable__")] == []


def test_every_library_is_watched_for():
    """A library that capture knows is one whose import makes a child join the run."""
    source = ast.parse((Path(FOLDER) / "sitecustomize.py").read_text())
    (watched,) = [
        ast.literal_eval(node.value)
        for node in source.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "LIBRARIES"
    ]
    assert {library.module.split(".")[0] for library in LIBRARIES} <= set(watched)


def test_the_users_sitecustomize(tmp_path):
    """The user's own sitecustomize is executed as ever, and what goes wrong in it is told as Python tells it."""
    mine = tmp_path / "mine"
    mine.mkdir()
    path = os.pathsep.join([FOLDER, str(mine)])
    (mine / "sitecustomize.py").write_text("import builtins; builtins.mine = __file__")
    child = child_of_a_run(
        tmp_path, "-c", "import sitecustomize; print(sitecustomize.__file__ == mine)", PYTHONPATH=path
    )
    assert (child.stdout, child.stderr) == ("True\n", "")
    for source in ("1 / 0", "import not_there"):
        (mine / "sitecustomize.py").write_text(source)
        child = child_of_a_run(tmp_path, "-c", "print('goes on')", PYTHONPATH=path)
        expected = child_of_a_run(tmp_path, "-c", "print('goes on')", PYTHONPATH=str(mine))
        assert "Error in sitecustomize" in expected.stderr
        assert (child.stdout, child.stderr) == (expected.stdout, expected.stderr)


def test_a_library_that_cannot_be_imported(tmp_path):
    """An import that fails in a child fails there as it would without us."""
    (tmp_path / "tensorboardX.py").write_text("raise ImportError('broken')")
    program = "try:\n    import tensorboardX\nexcept ImportError as error:\n    print(error)"
    child = child_of_a_run(tmp_path, "-c", program)
    assert (child.stdout, child.stderr) == ("broken\n", "")


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    """A Python for which nothing is installed."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def test_a_python_without_runcast(place, other_python, sources):
    """It trains on, its files are recorded where they are watched, and what is the matter is said rather than hidden."""
    (place.folder / "tensorboardX.py").write_text("")
    (place.folder / "native.py").write_text(
        "import tensorboardX, shutil, os; os.makedirs('logs'); shutil.copy('made/events.out.tfevents.1', 'logs')"
    )
    writer = EventWriter(place.folder / "made" / "events.out.tfevents.1")
    for step in range(50):
        writer.scalars({"loss": step / 2}, step)
    writer.close()
    out, err = place.run(f"""
        import os, subprocess, sys
        import runcast
        os.environ.pop("PYTHONPATH")
        run = runcast.init(sync_tensorboard=True, logdirs=["logs"])
        subprocess.run([{str(other_python)!r}, "native.py"], check=True)
        assert run.drain(10)
        for file in run.status(10)["files"]:
            print(file["state"], file["path"], file["why"], sep="|")
    """)
    (row,) = [line for line in out.splitlines() if line.startswith("ignored|")]
    assert str(other_python) in row
    assert "runcast is not installed" in row
    assert "install runcast for that Python, or name the folder" in err
    assert sources() == {("logs", "."): 50}


def test_a_python_that_does_not_find_runcast(place, other_python, sources):
    """Where only the module path differs, a child takes runcast from where the run's own process has it."""
    site = other_python.parents[1] / sysconfig.get_path("purelib").removeprefix(sys.prefix).lstrip("/\\")
    pth = site / "others.pth"
    pth.write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    try:
        _, err = place.run(f"""
            import os, subprocess
            import runcast
            os.environ.pop("PYTHONPATH")
            os.makedirs("runcast")  # no package, only a folder of that name
            run = runcast.init(sync_tensorboard=True)
            subprocess.run([{str(other_python)!r}, "train.py", "logs"], check=True)
        """)
    finally:
        pth.unlink()
    assert err == ""
    assert sources() == {("cwd", "logs"): 50}


@pytest.mark.parametrize("option", ["-I", "-S", "-E"])
def test_a_python_that_cannot_be_reached(place, sources, option):
    """A Python that is told to ignore its environment is recorded where its folder is watched, and only there."""
    path = os.pathsep.join(path for path in sys.path if path)
    place.run(f"""
        import os, subprocess, sys
        import runcast
        run = runcast.init(sync_tensorboard=True, logdirs=["logs"])
        program = "import sys; sys.path[:0] = ['.', *{path!r}.split({os.pathsep!r})]; import train; train.write(sys.argv[1])"
        for logdir in ("logs/seen", "elsewhere"):
            subprocess.run([sys.executable, {option!r}, "-c", program, logdir], check=True)
    """)
    assert place.entries("writer") == []
    assert sources() == {("logs", "seen"): 50}
