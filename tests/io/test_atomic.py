"""Nothing is half-written: full disk, read-only folder, Ctrl-C."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dicom_series import make_series

from medidiff.errors import OutputError
from medidiff.io import Derivation, discover, read, write
from medidiff.io.atomic import check_target, staged


def test_success_leaves_only_the_result(tmp_path: Path) -> None:
    final = tmp_path / "a" / "b" / "x.txt"
    with staged(final, folder=False, overwrite=False, inputs=()) as path:
        path.write_text("1")
        assert not final.exists()
    assert [p.name for p in final.parent.iterdir()] == ["x.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("folder", [True, False])
def test_failure_leaves_nothing(tmp_path: Path, error: type[BaseException], folder: bool) -> None:
    def fail() -> None:
        with staged(tmp_path / "a" / "x", folder=folder, overwrite=False, inputs=()) as path:
            (path / "y" if folder else path).write_text("1")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_earlier_output(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "0001.dcm").write_text("old")

    def fail() -> None:
        with staged(tmp_path / "x", folder=True, overwrite=True, inputs=()) as path:
            (path / "0001.dcm").write_text("new")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match="the disk is full"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x" / "0001.dcm").read_text() == "old"


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EIO, "cannot be")]
)
def test_one_sentence_for_each_cause(tmp_path: Path, code: int, words: str) -> None:
    def fail() -> None:
        with staged(tmp_path / "x", folder=False, overwrite=False, inputs=()):
            raise OSError(code, os.strerror(code))

    with pytest.raises(OutputError, match=words) as caught:
        fail()
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")

    def fail() -> None:
        with staged(tmp_path / "out" / "x", folder=False, overwrite=False, inputs=()):
            pytest.fail("must not get here")

    with pytest.raises(OutputError):
        fail()
    assert (tmp_path / "out").read_text() == "x"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    (item,) = discover([tmp_path / "in"]).items
    volume = read(item)
    with pytest.raises(OutputError, match="read-only"):
        write(volume, out, derivation=derivation)


def test_links_to_inputs_are_seen_through(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("scan")
    (tmp_path / "out").symlink_to(tmp_path / "in")
    with pytest.raises(OutputError, match="replace an input"):
        check_target(tmp_path / "out", overwrite=True, inputs={(tmp_path / "in").resolve()})


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to stand in for a full disk")
@pytest.mark.parametrize("kind", ["dicom", "nifti", "nrrd", "mha"])
def test_a_disk_that_fills_up_half_way(tmp_path: Path, kind: str) -> None:
    """The kernel's file size limit makes a real write fail in the middle of the output."""
    script = f"""
import resource, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {str(Path(__file__).parent)!r})
from medidiff.errors import OutputError
from medidiff.io import Derivation, discover, read, write
source = Path("in"); source.mkdir()
rng = np.random.default_rng(0)
if {kind!r} == "dicom":
    from dicom_series import make_series
    make_series(source, shape=(256, 256))
elif {kind!r} == "nifti":
    import nibabel as nib
    nib.Nifti1Image(rng.normal(size=(90, 90, 20)).astype(np.float32), np.eye(4)).to_filename("in/a.nii.gz")
else:
    import SimpleITK as sitk
    sitk.WriteImage(sitk.GetImageFromArray(rng.normal(size=(20, 90, 90)).astype(np.float32)), "in/a.{kind}")
(item,) = discover([source]).items
volume = read(item)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    write(volume.with_array(volume.array + 1), Path("out"), derivation=Derivation("m"))
except OutputError as error:
    assert "the disk is full" in str(error), error
else:
    sys.exit("wrote more than the limit")
assert not Path("out").exists(), list(Path("out").rglob("*"))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def leftover(folder: Path, *inside: str, age: float = 3600) -> Path:
    """What a killed run leaves."""
    work = folder / ".medidiff-abc.part"
    (work / "new").mkdir(parents=True)
    for name in inside:
        (work / name).mkdir()
    (work / "new" / "0001.dcm").write_text("half")
    os.utime(work, (time.time() - age,) * 2)
    return work


def write_beside(folder: Path) -> None:
    with staged(folder / "x", folder=False, overwrite=False, inputs=()) as path:
        path.write_text("1")


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    leftover(tmp_path)
    write_beside(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_may_be_in_use_stays(tmp_path: Path) -> None:
    for k, (inside, age) in enumerate([((), 1.0), (("old",), 3600.0)]):  # just made; holds an earlier output
        work = leftover(tmp_path / str(k), *inside, age=age)
        write_beside(tmp_path / str(k))
        assert (work / "new" / "0001.dcm").exists()


def test_the_folder_of_a_living_run_stays(tmp_path: Path) -> None:
    with staged(tmp_path / "x", folder=True, overwrite=False, inputs=()) as path:
        os.utime(path.parent, (0, 0))
        with staged(tmp_path / "z", folder=False, overwrite=False, inputs=()) as other:
            other.write_text("1")
        (path / "y").write_text("1")
    assert (tmp_path / "x" / "y").exists()


def test_leftovers_are_never_input(tmp_path: Path) -> None:
    work = leftover(tmp_path)
    make_series(work / "new", slices=2)
    assert [s.path for s in discover([tmp_path]).skipped] == [work]


def make(final: Path, text: str, *, folder: bool, overwrite: bool = False, meanwhile: object = None) -> None:
    """Writes an output; what `meanwhile` does happens while it is being made."""
    with staged(final, folder=folder, overwrite=overwrite, inputs=()) as path:
        (path / "0001.dcm" if folder else path).write_text(text)
        if callable(meanwhile):
            meanwhile()


def text_of(final: Path) -> str:
    return (final / "0001.dcm" if final.is_dir() else final).read_text()


NO_LINKS = OSError(errno.EPERM, "no hard links here")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("folder", [True, False])
def test_of_two_runs_the_first_to_finish_keeps_its_output(
    tmp_path: Path, folder: bool, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NO_LINKS

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    final = tmp_path / "x"
    with pytest.raises(OutputError, match="the output exists") as caught:
        make(final, "second", folder=folder, meanwhile=lambda: make(final, "first", folder=folder))
    assert caught.value.code == "OUTPUT_EXISTS"
    assert text_of(final) == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("folder", [True, False])
def test_what_appears_at_the_last_moment_is_not_replaced(
    tmp_path: Path, folder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look and the rename there is no gap either."""
    final = tmp_path / "x"
    name = "rename" if folder else "link"
    rename = getattr(os, name)

    def late(source: object, target: object) -> None:
        monkeypatch.setattr(os, name, rename)
        make(final, "first", folder=folder)
        rename(source, target)

    monkeypatch.setattr(os, name, late)
    with pytest.raises(OutputError, match="the output exists"):
        make(final, "second", folder=folder)
    assert text_of(final) == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("folder", [True, False])
def test_with_overwrite_the_last_to_finish_wins(tmp_path: Path, folder: bool) -> None:
    final = tmp_path / "x"

    def first() -> None:
        make(final, "first", folder=folder, overwrite=True)

    make(final, "second", folder=folder, overwrite=True, meanwhile=first)
    assert text_of(final) == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_folder_of_somebody_else_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    final = tmp_path / "x"

    def other() -> None:
        final.mkdir()
        (final / "letter.txt").write_text("dear")

    with pytest.raises(OutputError, match="did not write"):
        make(final, "mine", folder=True, overwrite=True, meanwhile=other)
    assert [p.name for p in final.iterdir()] == ["letter.txt"]


def test_racing_processes_make_one_output(tmp_path: Path) -> None:
    """Eight processes at once: one makes the file, seven are told, and nothing else is left."""
    script = """
import sys, time
from pathlib import Path
from medidiff.errors import OutputError
from medidiff.io.atomic import staged
try:
    with staged(Path("x"), folder=False, overwrite=False, inputs=()) as new:
        new.write_text(sys.argv[1])
        Path(f"ready{sys.argv[1]}").touch()
        while len(list(Path().glob("ready*"))) < 8:
            time.sleep(0.001)
except OutputError as error:
    assert "the output exists" in str(error)
    sys.exit(5)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    racers = [
        subprocess.Popen([sys.executable, "-c", script, str(k)], cwd=tmp_path, env=environment)
        for k in range(8)
    ]
    codes = [racer.wait(60) for racer in racers]
    assert sorted(codes) == [0] + [5] * 7
    assert (tmp_path / "x").read_text() == str(codes.index(0))
    assert not list(tmp_path.glob(".medidiff*"))
