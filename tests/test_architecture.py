"""Data flows one way: a module imports only from those above it in the design's list."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import medidiff

ORDER = [
    "errors", "signals", "scratch", "volume", "io", "intensity", "noise", "diffusion", "models", "engines",
    "training", "denoise", "evaluation", "phantom", "report", "batch", "cli",
]  # fmt: skip
ROOT = Path(medidiff.__file__).parent
MODULES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT or p.stem not in ("__init__", "__main__"))
KERAS_ROOMS = {"models/blocks.py", "models/unet.py", "engines/tensorflow.py"}
HEAVY = {"tensorflow", "keras", "openvino", "onnx", "onnxruntime", "tract", "jax", "torch", "astra"}


def rooms_imported(tree: ast.AST, package: tuple[str, ...]) -> set[str]:
    """The top-level rooms of medidiff that a module imports, in any scope."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(x for x in (base, node.module or "") if x)
            names = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {n.split(".")[1] for n in names if n.startswith("medidiff.") and n.split(".")[1] in ORDER}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_from_above(path: Path) -> None:
    relative = path.relative_to(ROOT)
    room = relative.parts[0].removesuffix(".py")
    assert room in ORDER, f"{relative} is in no room of the design: add it to ORDER where it belongs"
    package = ("medidiff", *relative.parts[:-1])
    allowed = set(ORDER[: ORDER.index(room) + 1])
    assert rooms_imported(ast.parse(path.read_text()), package) <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    relative = str(path.relative_to(ROOT))
    if relative in KERAS_ROOMS or relative.startswith("training/"):
        return
    top = ast.parse(path.read_text()).body
    names = {a.name.split(".")[0] for n in top if isinstance(n, ast.Import) for a in n.names}
    names |= {(n.module or "").split(".")[0] for n in top if isinstance(n, ast.ImportFrom) and not n.level}
    assert not names & HEAVY


def test_test_files_have_names_of_their_own() -> None:
    """Folders of tests are no packages, so that two files of one name could not be collected together."""
    names = sorted(p.name for p in Path(__file__).parent.rglob("test_*.py"))
    assert names == sorted(set(names))
