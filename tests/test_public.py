"""The public names: at most twenty, all there, and importing the package costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import medidiff


@pytest.mark.parametrize("name", medidiff.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(medidiff, name) is not None


def test_the_lazy_names_are_the_listed_ones() -> None:
    assert sorted([*medidiff._HOMES, "__version__"]) == sorted(medidiff.__all__)
    assert len(medidiff.__all__) <= 20
    with pytest.raises(AttributeError, match="no attribute 'Denoisr'"):
        _ = medidiff.Denoisr


def test_importing_the_package_imports_no_library() -> None:
    code = "import medidiff, sys; print(sorted({'numpy', 'pydicom', 'openvino', 'keras'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
