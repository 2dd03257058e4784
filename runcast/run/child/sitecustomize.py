"""What a Python executes at its start when a run's process started it; see `runcast.run.children`.

It costs such a process next to nothing until it imports a library that writes event files; only then is runcast imported.
Whatever Python finds this file, however old, must be able to read it.
"""

import os
import sys

LIBRARIES = ("tensorboard", "tensorboardX", "tensorflow")
"""The packages whose import says that there may be writers soon."""

FOLDER = os.path.dirname(os.path.abspath(__file__))


class LibraryWatch:
    """Stands first among the finders of modules and finds none; sees when a library is about to be imported."""

    def __init__(self, run: str) -> None:
        self.run = run

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Join the run, once, when the module is a library."""
        if name in LIBRARIES:
            self.join()

    def join(self) -> None:
        """Have this process's writers recorded in the run. Never raises: a training must not fail for our sake."""
        try:
            sys.meta_path.remove(self)
        except ValueError:  # another thread was first
            return
        try:
            find_runcast()
            from runcast.run.joined import join

            join(self.run)
        except Exception as error:
            try:
                report(self.run, error)
            except Exception:
                pass


def find_runcast() -> None:
    """Make sure that `import runcast` is what the run's own process imported, wherever that found it.

    A process with another working folder or module path may not find it. It is taken from beside this file then, but not
    where the packages that it needs are missing: whoever imports it only if it is there must not get half of it.
    """
    from importlib import util

    if "runcast" in sys.modules:
        return
    found = util.find_spec("runcast")
    if found is not None and found.origin is not None:  # a folder that is only named so has none
        return
    needed = [name for name in ("platformdirs", "psutil", "wrapt") if util.find_spec(name) is None]
    if needed or sys.version_info < (3, 10):
        raise ImportError("runcast is not installed for this Python")
    package = os.path.dirname(os.path.dirname(FOLDER))
    spec = util.spec_from_file_location(
        "runcast", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["runcast"] = util.module_from_spec(spec)
    spec.loader.exec_module(module)


def report(run: str, error: Exception) -> None:
    """Say in the run's journal why this process is not recorded."""
    import json
    import time

    why = str(error) or type(error).__name__
    entry = {"v": 1, "seq": 1, "time": time.time(), "by": f"child:{os.getpid()}", "op": "child"}
    entry.update({"pid": os.getpid(), "executable": sys.executable, "why": why})
    descriptor = os.open(os.path.join(run, "run.jsonl"), os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, json.dumps(entry).encode("ascii") + b"\n")
    finally:
        os.close(descriptor)


def begin() -> None:
    """Watch for libraries, and leave the module path as it would be without us."""
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != FOLDER]
    run = os.environ.get("RUNCAST_RUN")
    if not run:
        return
    watch = LibraryWatch(run)
    sys.meta_path.insert(0, watch)
    if any(name in sys.modules for name in LIBRARIES):
        watch.join()


def run_the_next() -> None:
    """Execute the user's own `sitecustomize`, as Python would have without us; what it raises is Python's to tell."""
    ours = sys.modules.pop(__name__)
    try:
        __import__(__name__)
    except ImportError as error:
        if getattr(error, "name", None) != __name__:
            raise
    sys.modules.setdefault(__name__, ours)


if __name__ == "sitecustomize":
    begin()
    run_the_next()
