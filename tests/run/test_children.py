"""Writers of the processes that a run's process starts: recorded in the run, whatever way they were started."""

from __future__ import annotations

import pytest

from runcast.events import Decoder

pytestmark = pytest.mark.usefixtures("training_script")


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
