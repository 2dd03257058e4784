"""What the Pythons that a run starts are changed by: nothing, until a library for event files is imported."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from runcast.capture.libraries import LIBRARIES
from runcast.events import EventWriter
from runcast.run.children import FOLDER

pytestmark = pytest.mark.usefixtures("training_script")


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
