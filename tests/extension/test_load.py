"""Loading costs next to nothing, twice is as once, and unloading takes everything back."""

import json
import subprocess
import sys
import textwrap

import pytest

HEAVY = {
    "torch",
    "tensorflow",
    "tensorboard",
    "numpy",
    "sqlalchemy",
    "matplotlib",
    "ipywidgets",
    "anywidget",
    "psutil",
}


def in_new_shell(body):
    """Run code in a fresh process with an IPython shell `ip`, and return what it prints as JSON."""
    code = "import json, sys, time\nfrom IPython.core.interactiveshell import InteractiveShell\n"
    code += "ip = InteractiveShell.instance()\n" + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_loading_is_light(place):
    """%load_ext runcast adds less than 150 ms to IPython, and brings in no numeric, server or widget library."""
    body = """
        before = set(sys.modules)
        started = time.perf_counter()
        ip.run_line_magic("load_ext", "runcast")
        seconds = time.perf_counter() - started
        print(json.dumps([seconds, sorted({name.partition(".")[0] for name in set(sys.modules) - before})]))
    """
    seconds, modules = min(in_new_shell(body) for _ in range(3))
    assert seconds < 0.15
    assert not HEAVY & set(modules)


def test_twice_is_as_once(place):
    """Loading again, or reloading, registers no hook twice."""
    body = """
        for _ in range(2):
            ip.run_line_magic("load_ext", "runcast")
            ip.run_line_magic("reload_ext", "runcast")
        hooks = [hook for hook in ip.events.callbacks["post_run_cell"] if "runcast" in str(hook)]
        print(json.dumps([len(hooks), len(ip.input_transformers_cleanup)]))
    """
    assert in_new_shell(body) == [1, 1 + in_new_shell("print(len(ip.input_transformers_cleanup))")]


def test_unloading_takes_everything_back(place):
    """After %unload_ext no magic, hook or transformation of ours is left."""
    body = """
        def ours():
            magics = [name for kind in ip.magics_manager.magics.values() for name in kind if "sync_tens" in name or name == "runcast"]
            hooks = [hook for hooks in ip.events.callbacks.values() for hook in hooks if "runcast" in str(hook)]
            return [magics, [str(hook) for hook in hooks], len(ip.input_transformers_cleanup)]
        before = ours()
        ip.run_line_magic("load_ext", "runcast")
        assert ours() != before
        ip.run_line_magic("unload_ext", "runcast")
        print(json.dumps([before, ours()]))
    """
    before, after = in_new_shell(body)
    assert after == before


@pytest.mark.parametrize(
    "unfinished", ["%%sync_tensorboard", "%%sync_tensorboard --name x\nfor i in range(3):\n    pass"]
)
def test_a_terminal_waits_for_the_rest_of_the_cell(place, unfinished):
    """At IPython's prompt a %%sync_tensorboard cell ends with a blank line, as every %% cell does."""
    body = f"""
        ip.run_line_magic("load_ext", "runcast")
        cell = {unfinished!r}
        print(json.dumps([ip.check_complete(cell)[0], ip.check_complete(cell + "\\n\\n")[0]]))
    """
    assert in_new_shell(body) == ["incomplete", "complete"]
