"""The rooms of the house: who may import whom, and what must stay out of the training process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "runcast"
OUTER = ("extension", "magics", "widgets")
MAY_IMPORT = {
    "events": {"errors", "settings"},
    "logdir": {"events", "objects", "errors", "settings"},
    "run": {"capture", "events", "objects", "errors", "settings"},
    "capture": {"errors", "settings"},
    "store": {"run", "events", "objects", "errors", "settings"},
    "recorder": {"store", "run", "events", "objects", "errors", "settings", "credentials"},
    "client": {"store", "logdir", "run", "events", "objects", "errors", "settings", "credentials"},
    "server": {"store", "run", "events", "objects", "errors", "settings"},
    "sync": {"recorder", "store", "run", "events", "objects", "errors", "settings", "credentials"},
    "cli": {
        "sync",
        "client",
        "credentials",
        "server",
        "recorder",
        "store",
        "run",
        "events",
        "errors",
        "settings",
    },
}
HEAVY = (
    "numpy",
    "torch",
    "tensorflow",
    "sqlalchemy",
    "matplotlib",
    "tensorboard",
    "anywidget",
    "ipywidgets",
    "google.protobuf",
    "psutil",
)


def imported_names(path: Path) -> set[str]:
    """Every `runcast.<room>` that a module imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "runcast"
                else [node.module]
            )
        found |= {name.split(".")[1] for name in names if name.startswith("runcast.")}
    return found


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_imports_point_one_way(room: str) -> None:
    """A room imports only rooms below it."""
    for path in (ENGINE / room).rglob("*.py"):
        extra = imported_names(path) - MAY_IMPORT[room] - {room, "__version__"}
        assert not extra, f"{path.relative_to(ENGINE.parent)} imports {sorted(extra)}"


def test_the_engine_knows_no_notebook() -> None:
    """Nothing in the engine imports IPython; only the lazy extension hook names the notebook's rooms."""
    for path in ENGINE.rglob("*.py"):
        if path.relative_to(ENGINE).parts[0] in OUTER:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            for module in modules:
                assert module.split(".")[0] not in {"IPython", "ipykernel", "ipywidgets", "anywidget"}, path
                if path.name != "__init__.py" or path.parent != ENGINE:
                    assert not module.startswith(tuple(f"runcast.{room}" for room in OUTER)), path


@pytest.mark.parametrize("statement", ["import runcast", "import runcast.extension"])
def test_loading_is_light(statement: str) -> None:
    """Importing runcast, or what %load_ext imports, brings in no framework, no database, no widget library."""
    program = f"import sys\n{statement}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
