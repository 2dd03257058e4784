"""What is noted of containers, clusters, packages, scripts and notebooks."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from runcast.recorder.facts import requirements, surroundings
from runcast.recorder.facts.code import notebook_place, script
from runcast.recorder.facts.notebook import notebook_path

KERNEL = "0b5f2e5c-9c2b-4d7e-8f3a-1d2c3b4a5e6f"


@pytest.mark.parametrize(
    ("files", "environment", "container"),
    [
        ({".dockerenv": ""}, {}, "docker"),
        ({"run/.containerenv": ""}, {}, "podman"),
        ({"proc/1/cgroup": "0::/kubepods/besteffort/pod1\n"}, {}, "kubernetes"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({}, {"APPTAINER_CONTAINER": "/images/a.sif"}, "apptainer"),
        ({}, {}, None),
    ],
)
def test_containers(tmp_path, files, environment, container):
    """A run in a container says in which kind."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert surroundings(environment, tmp_path).get("container") == container


def test_clusters(tmp_path):
    """A rank of a distributed training knows its rank, and the job that it belongs to; a single process is none."""
    slurm = {"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "big", "SLURM_PROCID": "3", "SLURM_NTASKS": "8"}
    assert surroundings(slurm, tmp_path) == {
        "slurm": {"job": "17", "name": "big"},
        "distributed": {"rank": 3, "world_size": 8},
    }
    torchrun = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"}
    assert surroundings(torchrun, tmp_path)["distributed"] == {
        "rank": 1,
        "local_rank": 1,
        "world_size": 2,
        "launcher": "torchrun",
    }
    assert surroundings({"RANK": "0", "WORLD_SIZE": "1"}, tmp_path) == {}


def test_hosted_notebooks(tmp_path):
    """Colab and Kaggle are told from other machines."""
    assert surroundings({"COLAB_RELEASE_TAG": "r"}, tmp_path)["hosted"] == "Colab"
    assert surroundings({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, tmp_path)["hosted"] == "Kaggle (batch)"


def test_environment(tmp_path):
    """Variables that steer the libraries are kept; all others are nobody's business, and secrets stay out."""
    kept = surroundings(
        {"CUDA_VISIBLE_DEVICES": "0,1", "HOME": "/home/ada", "MY_VAR": "x", "TORCH_HUB_TOKEN": "abcdefgh"},
        tmp_path,
    )
    assert kept == {"environment": {"CUDA_VISIBLE_DEVICES": "0,1", "TORCH_HUB_TOKEN": "REDACTED"}}


def test_requirements_are_what_pip_says():
    """The list of packages is that of `pip freeze`, for this interpreter."""
    asked = [sys.executable, "-m", "pip", "freeze", "--disable-pip-version-check"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    versions = {line for line in told if "==" in line}
    ours = requirements().splitlines()
    assert versions <= set(ours)
    assert ours == sorted(ours, key=str.lower)


def test_packages_from_elsewhere(tmp_path):
    """A package from a repository says which commit, without the password; one from a folder says from which."""

    def install(name, origin):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        if origin:
            (folder / "direct_url.json").write_text(json.dumps(origin))

    install("plain", None)
    install(
        "vcs", {"url": "https://ada:secret@git.example/a", "vcs_info": {"vcs": "git", "commit_id": "8aa2"}}
    )
    install("mine", {"url": "file:///home/ada/mine", "dir_info": {"editable": True}})
    install("wheeled", {"url": "file:///tmp/wheeled.whl", "archive_info": {}})
    (tmp_path / "broken-1.0.dist-info").mkdir()
    assert requirements([str(tmp_path)]).splitlines() == [
        "mine==1.0  # editable, from file:///home/ada/mine",
        "plain==1.0",
        "vcs @ git+https://ada:REDACTED@git.example/a@8aa2",
        "wheeled @ file:///tmp/wheeled.whl",
    ]


def test_script(tmp_path):
    """The script is kept under its path in the working folder, without secrets; what is no text is not kept."""
    path = tmp_path / "pkg" / "train.py"
    path.parent.mkdir()
    path.write_text("token = 'abcdef'\nlr = 1\n")
    facts = {"script": str(path), "module": "pkg.train"}
    kept = b"token = 'REDACTED'\nlr = 1\n"
    assert script(facts, str(tmp_path)) == ("code/pkg/train.py", kept)
    assert script(facts, str(tmp_path / "elsewhere")) == ("code/pkg/train.py", kept)
    assert script({"script": str(path)}, str(tmp_path / "elsewhere")) == ("code/train.py", kept)
    assert script({"script": str(tmp_path / "gone.py")}, str(tmp_path)) is None
    assert script({}, str(tmp_path)) is None
    path.write_bytes(b"PK\x03\x04\0\0")
    assert script(facts, str(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("/home/ada/My work.ipynb", "code/My work.ipynb"),
        ("C:\\work\\a.ipynb", "code/a.ipynb"),
        ("from-colab", "code/from-colab.ipynb"),
        ("../..", "code/notebook.ipynb"),
        (True, "code/notebook.ipynb"),
        (None, "code/notebook.ipynb"),
    ],
)
def test_a_notebooks_place(name, place):
    """A notebook is kept under its own name, wherever it lies."""
    assert notebook_place(name) == place


@contextmanager
def server(tmp_path, sessions, *, token="t0k3n", host="127.0.0.1"):
    """A Jupyter server that knows these sessions, and its file in the runtime folder."""

    class Sessions(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            allowed = self.path == "/base/api/sessions" and self.headers["Authorization"] == f"token {token}"
            self.send_response(200 if allowed else 403)
            self.end_headers()
            if allowed:
                self.wfile.write(json.dumps(sessions).encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sessions) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        url = f"http://{host}:{running.server_port}/base/"
        info = {"url": url, "token": "t0k3n", "pid": os.getpid(), "root_dir": "/home/ada"}
        (tmp_path / "jpserver-1.json").write_text(json.dumps(info))
        yield running
        running.shutdown()
        thread.join()


@contextmanager
def kernel(tmp_path, *, launcher=()):
    """A process with a kernel's command line, and perhaps a program that started it; its process id."""
    connection = tmp_path / f"kernel-{KERNEL}.json"
    connection.write_text("{}")
    code = "import time; print('ready', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, "-f", str(connection)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.kill()


SESSION = {"path": "renamed.ipynb", "name": "renamed.ipynb", "kernel": {"id": KERNEL}}


def test_the_server_knows_a_notebooks_new_name(tmp_path):
    """After a renaming the run has the new name, although the kernel was told the old one."""
    told = "/home/ada/old.ipynb"
    with kernel(tmp_path) as pid, server(tmp_path, [{"path": "x.ipynb", "kernel": {"id": "other"}}, SESSION]):
        assert notebook_path(pid, told, {"JPY_SESSION_NAME": told}) == "/home/ada/renamed.ipynb"


def test_the_kernels_own_word_counts_without_a_server(tmp_path):
    """A server that is gone, refuses, knows nothing, or is on another machine does not matter: what the kernel was told does."""
    told = "/home/ada/old.ipynb"
    environment = {"JPY_SESSION_NAME": told}
    with kernel(tmp_path) as pid:
        assert notebook_path(pid, told, environment) == told
        with server(tmp_path, [SESSION], token="another"):
            assert notebook_path(pid, told, environment) == told
        with server(tmp_path, []):
            assert notebook_path(pid, told, environment) == told
        with server(tmp_path, [SESSION], host="192.0.2.1"):
            started = time.monotonic()
            assert notebook_path(pid, told, environment) == told
            assert time.monotonic() - started < 1
        (tmp_path / "jpserver-1.json").write_text("{torn")
        assert notebook_path(pid, True, {}) is None


def test_vs_code_is_believed(tmp_path):
    """VS Code tells the kernel the notebook's file itself; no server is asked."""
    assert notebook_path(os.getpid(), "/home/ada/vs.ipynb", {}) == "/home/ada/vs.ipynb"


def test_a_notebook_that_a_program_executes(tmp_path):
    """Under papermill and nbconvert the run has the name of the notebook that they were told to execute."""
    runner = tmp_path / "papermill"
    runner.write_text(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "child.kill(); child.wait()\n"
    )
    command = [sys.executable, str(runner), "in.ipynb", "out.ipynb"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        pid = int(process.stdout.readline())
        assert notebook_path(pid, True, {}) == str(tmp_path / "in.ipynb")
        process.stdin.close()
