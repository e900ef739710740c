"""The extension as its build and the Extensions Index see it: CMake, metadata, icons, imports."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugins" / "slicer"
MODULE = PLUGIN / "MediDiffDenoise"
LIST = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
ENTRY = json.loads((PLUGIN / "MediDiff.json").read_text(encoding="utf-8"))
SOURCES = sorted(MODULE.rglob("*.py"))

CONFIG = """
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/use.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/generate.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/pack.cmake")
set(BUILD_TESTING ON)
"""
USE = """
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(ARG "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(file IN LISTS ARG_SCRIPTS ARG_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "listed but missing: ${file}")
    endif()
  endforeach()
  file(APPEND "${CMAKE_BINARY_DIR}/packed.txt" "name ${ARG_NAME}\\n")
  foreach(file IN LISTS ARG_SCRIPTS ARG_RESOURCES)
    file(APPEND "${CMAKE_BINARY_DIR}/packed.txt" "file ${file}\\n")
  endforeach()
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
endfunction()
function(slicer_add_python_unittest)
  cmake_parse_arguments(ARG "" "SCRIPT" "" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SCRIPT}")
    message(FATAL_ERROR "test script missing: ${ARG_SCRIPT}")
  endif()
  file(APPEND "${CMAKE_BINARY_DIR}/packed.txt" "test ${ARG_SCRIPT}\\n")
endfunction()
"""
DONE = 'file(APPEND "${CMAKE_BINARY_DIR}/packed.txt" "%s ${EXTENSION_HOMEPAGE}\\n")\n'


def configure(source: Path, build: Path) -> tuple[int, str, list[str]]:
    """Runs CMake's configure step against a Slicer that only notes what it is told."""
    beside = str(Path(sys.executable).parent)
    cmake = shutil.which("cmake", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if cmake is None:
        assert not os.environ.get("MEDIDIFF_REQUIRE_SLICER"), "cmake is missing"
        pytest.skip("needs cmake")
    stub = build / "stub"
    stub.mkdir(parents=True)
    for name, text in {
        "SlicerConfig.cmake": CONFIG, "use.cmake": USE, "generate.cmake": DONE % "config",
        "pack.cmake": DONE % "pack",
    }.items():  # fmt: skip
        (stub / name).write_text(text)
    # The project enables C and C++ by default, as Slicer's template does; lists need no compiler.
    words = [cmake, "-S", str(source), "-B", str(build / "b"), f"-DSlicer_DIR={stub}"]
    words += ["-G", "Unix Makefiles", f"-DCMAKE_MAKE_PROGRAM={shutil.which('true')}"]
    for language in ("C", "CXX"):
        words += [
            f"-DCMAKE_{language}_COMPILER_WORKS=ON",
            f"-DCMAKE_{language}_COMPILER={shutil.which('true')}",
        ]
        words += [f"-DCMAKE_{language}_COMPILER_FORCED=ON"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    packed = build / "b" / "packed.txt"
    return done.returncode, done.stderr, packed.read_text().splitlines() if packed.is_file() else []


def shipped(module: Path) -> set[str]:
    """Every file of the module folder that belongs into the package."""
    files = {
        str(p.relative_to(module)) for p in module.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    }
    return {f for f in files if not f.startswith("Testing/") and not f.endswith("CMakeLists.txt")}


def test_everything_is_packed(tmp_path: Path) -> None:
    status, errors, packed = configure(ROOT, tmp_path)
    assert status == 0, errors
    files = [line.split(" ", 1)[1] for line in packed if line.startswith("file ")]
    assert len(files) == len(set(files))
    assert set(files) == shipped(MODULE)
    assert "name MediDiffDenoise" in packed
    assert "test MediDiffDenoise.py" in packed
    assert [line.split()[0] for line in packed[-2:]] == ["config", "pack"]


def test_a_listed_file_that_is_missing_fails(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(PLUGIN, copy / "plugins" / "slicer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "CMakeLists.txt", copy)
    folder = copy / "plugins" / "slicer" / "MediDiffDenoise"
    (folder / "Resources" / "requirements.txt").unlink()
    status, errors, _ = configure(copy, tmp_path / "build")
    assert status != 0
    assert "listed but missing: Resources/requirements.txt" in errors


def setting(name: str) -> str:
    found = re.search(rf'^set\(EXTENSION_{name} "([^"\n]*)"\)$', LIST, re.MULTILINE)
    assert found, f"EXTENSION_{name} must be one quoted line of the root file"
    return found[1]


def test_root_metadata() -> None:
    assert re.search(r"^project\(MediDiff\)$", LIST, re.MULTILINE)
    assert not "MediDiff".startswith("Slicer")
    assert setting("DEPENDS") == "NA"
    assert "Research use only" in setting("DESCRIPTION")
    assert setting("CONTRIBUTORS")
    home = setting("HOMEPAGE")
    assert ENTRY["scm_url"] == f"{home}.git"
    for name in ("ICONURL", "SCREENSHOTURLS"):
        prefix = home.replace("github.com", "raw.githubusercontent.com") + f"/{ENTRY['scm_revision']}/"
        assert setting(name).startswith(prefix)
        assert (ROOT / setting(name).removeprefix(prefix)).is_file()
    assert (ROOT / "LICENSE").is_file()


def test_index_entry() -> None:
    allowed = {
        "$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies", "enabled", "tier",
        "build_subdirectory", "dicom_support_rule",
    }  # fmt: skip
    assert {"$schema", "category", "scm_url"} <= set(ENTRY) <= allowed
    assert ENTRY["category"] == "Filtering"
    assert ENTRY["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert ENTRY["tier"] == 1
    assert ENTRY["dicom_support_rule"] == "Modality == 'CT' or Modality == 'MR'"
    assert b"\r" not in (PLUGIN / "MediDiff.json").read_bytes()


@pytest.mark.parametrize("path", [PLUGIN / "MediDiff.png", MODULE / "Resources/Icons/MediDiffDenoise.png"])
def test_icons_are_png_of_128(path: Path) -> None:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:24]) == (128, 128)


def test_the_screenshot_is_small() -> None:
    path = PLUGIN / "Screenshots" / "1.png"
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert path.stat().st_size < 500_000


BUNDLED = {"slicer", "vtk", "qt", "ctk", "numpy", "MediDiffDenoiseLib"}
PURE = {
    "protocol", "runner", "environment", "command", "report", "readiness", "stubworker", "job",
    "joberror", "check",
}  # fmt: skip


def imports(nodes: list[ast.stmt]) -> set[str]:
    """Top-level packages that statements import, absolute ones alone."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


def statements(path: Path) -> list[ast.stmt]:
    """All statements of a file."""
    return [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.stmt)]


def file_scope(tree: ast.Module) -> list[ast.stmt]:
    """Statements that run on import."""
    found: list[ast.stmt] = []
    rooms: list[ast.AST] = [tree]
    while rooms:
        for node in ast.iter_child_nodes(rooms.pop()):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if isinstance(node, ast.stmt):
                found.append(node)
            rooms.append(node)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_imports_at_file_scope(path: Path) -> None:
    known = sys.stdlib_module_names | (set() if path.stem in PURE else BUNDLED)
    assert imports(file_scope(ast.parse(path.read_text(encoding="utf-8")))) <= known


def test_the_map_of_the_library_is_true() -> None:
    """Every module stands in a layer of the package's docstring; `PURE` is the last; none imports upwards."""
    library = MODULE / "MediDiffDenoiseLib"
    text = ast.get_docstring(ast.parse((library / "__init__.py").read_text(encoding="utf-8"))) or ""
    found = [re.findall(r"`(\w+)`", part) for part in re.split(r"\n\n(?=[A-Z]\w+[ :])", text)]
    panel, scene, worker, test = [names for names in found if names]
    assert sorted(panel + scene + worker + test) == sorted(p.stem for p in library.glob("[!_]*.py"))
    assert {*worker, "stubworker"} == PURE
    for names, allowed in ((scene, scene + worker), (worker, worker)):
        for name in names:
            nodes = statements(library / f"{name}.py")
            froms = [n for n in nodes if isinstance(n, ast.ImportFrom) and n.level]
            assert {n.module or a.name for n in froms for a in n.names} <= set(allowed), name


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_nothing_is_imported_later_but_what_slicer_has(path: Path) -> None:
    assert imports(statements(path)) <= sys.stdlib_module_names | BUNDLED


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_importing_does_nothing(path: Path) -> None:
    """At file scope are definitions, constants and imports; no call stands alone, nothing is installed."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), f"{path.name}:{node.lineno}"
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            guard = ast.unparse(node).startswith("if __name__ == '__main__'")
            assert guard or "TYPE_CHECKING" in ast.unparse(node), f"{path.name}:{node.lineno}"
    for word in ("pip_install", "pip_ensure", "urllib", "requests", "eval(", "processEvents", "qt.Signal"):
        assert word not in text or (word, path.name) == ("processEvents", "selftest.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_house_rules(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    assert "Resources\\" not in text
    assert path.name.lower() != "medidiff.py"


def test_the_checks_can_fail() -> None:
    bad = ast.parse("import tensorflow\nclass A:\n    import torch\ndef f():\n    import jax\n")
    assert imports(file_scope(bad)) == {"tensorflow", "torch"}


def test_the_plugin_never_imports_the_package() -> None:
    for path in SOURCES:
        everything = [
            n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.stmt)
        ]
        assert "medidiff" not in imports(everything)


def test_the_readme_says_what_was_executed() -> None:
    text = " ".join((PLUGIN / "README.md").read_text(encoding="utf-8").split())
    guide = " ".join((ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split())
    words = (
        "Tested against the real MRML core (slicer-core 5.12.4) with a Qt stand-in on Linux. Not executed "
        "inside the 3D Slicer application; Windows and macOS not executed. The module contains a self-test "
        "to run in Slicer."
    )
    assert words in text
    assert words in guide
    assert "Offscreen render, not a screenshot of Slicer" in text
    assert "tested in slicer" not in text.lower()
    for heading in ("## Modules", "## Tutorial", "## Citing, licence", "## Limits", "sample_data/ct/dose25"):
        assert heading in text
    assert "Research use only." in text
