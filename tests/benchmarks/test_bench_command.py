"""The quality command from cases to Markdown, on synthetic slices and a tiny random network."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import TINY, tiny_bundle
from quality import __main__ as command
from quality import ct_cases, mr_cases
from quality.case import CLEAN, NOISY, Case, Slot
from quality.scoring import nps_distance, score

from medidiff.models import save
from medidiff.noise.spectrum import named_kernel
from medidiff.training.binning import binned, slab_means
from medidiff.training.manifest import Scan
from medidiff.volume import Volume

SCAN = Scan(Path("x"), "crlm", "p1", 5.0, "val/crlm/p1_s00")


def body(slices: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """A water cylinder with noise of 8 HU."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    image = np.where(np.hypot(y, x) < 0.9, 40.0, -1000.0)
    return (image + 8.0 * rng.standard_normal((slices, size, size))).astype(np.float32)


@pytest.fixture(scope="module")
def places() -> list[Slot]:
    rng = np.random.default_rng(8)
    affine = np.diag([2.4, 2.4, 5.0, 1.0])
    volume = Volume(body(9, 128, rng), affine, "CT", "HU")
    kernel = named_kernel("soft")
    found = []
    for hu, small in ((volume.array, False), (binned(slab_means(volume.array)), True)):
        found += ct_cases._series(SCAN, 0, volume, hu, 1, kernel, (0.25, 0.1), binned=small)
    return found


@pytest.fixture(scope="module")
def cases(places: list[Slot]) -> dict[str, Case]:
    return {f"{slot.kind} {level}": slot.make(level) for slot in places for level in slot.levels}


def test_the_noise_is_that_of_the_dose(cases: dict[str, Case]) -> None:
    for name, case in cases.items():
        dose = 0.25 if "25%" in name else 0.10
        inside = case.reference > -100
        inserted = float((case.noisy - case.reference)[inside].std())
        own = case.own if case.kind == NOISY else case.own / 0.4
        expected = own * np.sqrt((1 - dose) / dose) if case.kind == NOISY else own / np.sqrt(dose)
        assert inserted == pytest.approx(expected, rel=0.1)
        assert case.sigma == pytest.approx(own / np.sqrt(dose))
        assert case.fraction == (dose if case.kind == NOISY else 0.0)
        assert case.total == pytest.approx(np.hypot(inserted, case.own), rel=0.1)


def test_doses_share_one_realisation_and_cases_are_repeatable(places: list[Slot]) -> None:
    quarter, tenth = (places[0].make(level) for level in ("25%", "10%"))
    a, b = ((c.noisy - c.reference)[40:80, 40:80].ravel() for c in (quarter, tenth))
    assert np.corrcoef(a, b)[0, 1] > 0.999
    np.testing.assert_array_equal(places[0].make("25%").noisy, quarter.noisy)


def test_the_spectrum_is_that_of_the_kernel(cases: dict[str, Case]) -> None:
    spectrum = cases[f"{NOISY} 25%"].spectrum
    assert spectrum is not None
    assert spectrum.power[-1] < spectrum.power.max()
    assert spectrum.power[0] < 0.5 * spectrum.power.max()  # the ramp


def test_figures_of_a_perfect_and_of_a_biased_answer(cases: dict[str, Case]) -> None:
    case = cases[f"{CLEAN} 25%"]
    same = score(case, case.reference)
    assert (same["ssim"], same["rmse"], same["vif"]) == pytest.approx((1.0, 0.0, 1.0))
    assert "psnr" not in same  # infinite
    shifted = score(case, case.reference + 3.0)
    assert shifted["bias_soft"] == pytest.approx(3.0, abs=1e-3)
    assert shifted["rmse"] == pytest.approx(3.0, abs=0.1)
    assert "bias_bone" not in shifted


def test_the_error_that_is_left_has_the_texture_of_the_noise_or_not(rng: np.random.Generator) -> None:
    from scipy.ndimage import gaussian_filter

    size = 128
    truth = body(1, size, np.random.default_rng(1))[0]
    noise = 30.0 * rng.standard_normal((size, size)).astype(np.float32)
    case = Case(
        "a", "s", "p", "25%", CLEAN, Volume((truth + noise)[None], np.eye(4), "CT", "HU"),
        (truth + noise)[None], 0, truth, truth > -500, 0.0, 30.0, 30.0, 3.0,
        ct_cases.Protocol(None, data_range=400.0),
    )  # fmt: skip
    assert nps_distance(case, truth + 0.1 * noise) == pytest.approx(0.0, abs=1e-3)
    smooth = nps_distance(case, truth + gaussian_filter(noise, 2.0))
    assert smooth is not None
    assert smooth > 1.0


def test_texture_is_beside_the_reference(cases: dict[str, Case]) -> None:
    from scipy.ndimage import gaussian_filter

    case = cases[f"{NOISY} 25%"]
    assert nps_distance(case, case.reference) == pytest.approx(0.0, abs=1e-6)
    blurred = nps_distance(case, gaussian_filter(case.reference, 2.0))
    assert blurred is not None
    assert blurred > 1.0


def test_the_slab_of_mr_holds_the_three_slices(rng: np.random.Generator) -> None:
    array = np.abs(100.0 + 10.0 * rng.standard_normal((12, 32, 32))).astype(np.float32)
    place = mr_cases.Place("v:2", SCAN, np.eye(4), array, 2, 120.0, 2.0, NOISY, mr_cases.WHITE)
    case = place.case("6%")
    assert case.slab.shape[0] == 7  # two before, four after
    np.testing.assert_array_equal(case.slab[case.slab_centre - 1 : case.slab_centre + 2], case.volume.array)
    assert case.sigma == pytest.approx(7.2)
    assert case.fraction == pytest.approx(4.0 / (4.0 + 7.2**2))
    assert (case.slab[case.slab_centre] - array[2]).std() == pytest.approx(7.2, rel=0.1)


def test_binned_slices_of_mr_are_a_truth_where_little_noise_is_left(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise of 4 % in the scan: 2.2 % when binned, which is too much beside 3 % and little beside 9 %."""
    inside = np.hypot(*np.ogrid[-1:1:144j, -1:1:128j]) < 0.8
    array = (1000.0 * inside + 40.0 * rng.standard_normal((8, 144, 128))).astype(np.float32)
    volume = Volume(np.abs(array), np.diag([1.0, 1.0, 3.0, 1.0]), "MR")
    monkeypatch.setattr(mr_cases, "list_scans", lambda *_: [SCAN])
    monkeypatch.setattr(mr_cases, "data_root", lambda _: None)
    monkeypatch.setattr(mr_cases, "read_scan", lambda _: [volume])
    monkeypatch.setattr(mr_cases, "own_level", lambda _: 40.0)
    as_they_are, small = mr_cases.mr_slots(1)
    assert (as_they_are.kind, as_they_are.levels) == (NOISY, ("3%", "6%", "9%", "15%"))
    assert (small.kind, small.levels) == (CLEAN, ("6%", "9%", "15%"))
    case = small.make("9%")
    k = int(small.name.split(":")[1].split()[0])
    reference = volume.array[k].reshape(72, 2, 64, 2).mean((1, 3))
    np.testing.assert_allclose(case.reference, reference, rtol=1e-5)
    assert case.volume.spacing == (3.0, 2.0, 2.0)
    assert case.fraction == 0.0
    assert case.own == pytest.approx(22.0)
    assert case.floor == pytest.approx(40.0)
    assert not case.tissue[:4, :4].any()
    assert (case.noisy - case.reference)[case.tissue].std() == pytest.approx(case.sigma, rel=0.1)


def test_the_command_writes_its_tables_and_goes_on(
    places: list[Slot], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tiny_bundle(TINY), tmp_path / "tiny")
    made: list[str] = []

    def slots(*arguments: object) -> list[Slot]:
        def watched(slot: Slot) -> Slot:
            return Slot(slot.name, slot.kind, slot.levels, lambda v: made.append(v) or slot.make(v))  # type: ignore[func-returns-value]

        return [watched(s) for s in places]

    monkeypatch.setattr(command, "slots", slots)
    arguments = ["quality", "ct", "--bundle", str(tmp_path / "tiny"), "--weights", str(tmp_path / "none")]
    arguments += [
        "--rows",
        str(tmp_path / "rows.jsonl"),
        "--no-memory",
        "--markdown",
        str(tmp_path / "out.md"),
    ]

    def run(*more: str) -> str:
        made.clear()
        monkeypatch.setattr(sys, "argv", [*arguments, *more])
        command.main()
        return (tmp_path / "out.md").read_text("utf-8")

    text = run("--only", "mean", "--only", "mean_ref", "--only", "TV")
    assert len(made) == 4
    for line in (f"| {NOISY} | 10% | TV | 1 / 1 |", f"| {CLEAN} | 25% | mean | 1 / 1 |", "| gate | found |"):
        assert line in text
    assert f"| {NOISY} | 25% | mean_ref |" in text
    assert f"| {CLEAN} | 25% | mean_ref |" not in text
    assert run("--only", "mean", "--only", "mean_ref", "--only", "TV") == text
    assert made == []  # nothing was missing
    more = run("--only", "natural")
    assert len(made) == 4
    assert f"| {CLEAN} | 10% | natural |" in more
    assert f"| {CLEAN} | 10% | TV |" in more
    with pytest.raises(SystemExit, match="No such method: BM5D"):
        run("--only", "BM5D")
    with pytest.raises(SystemExit, match="another run"):
        run("--slices", "7")
    capsys.readouterr()


def test_air_does_not_count_in_tissue(rng: np.random.Generator) -> None:
    """Signal 100 with noise 5, its Rician floor in air: there, a clean answer is not the reference."""
    clean = np.zeros((96, 96), np.float32)
    clean[24:72, 24:72] = 100.0
    noise = rng.normal(0, 5, (2, 96, 96))
    reference = np.hypot(clean + noise[0], noise[1]).astype(np.float32)
    case = Case(
        "a", "s", "p", "6%", NOISY, Volume(reference[None], np.eye(4), "MR", "a.u."),
        reference[None], 0, reference, reference > 0, 0.0, 5.0, 5.0, 5.0,
        ct_cases.Protocol(None, data_range=100.0),
    )  # fmt: skip
    kept = np.where(clean > 0, clean + 10.0, reference)
    figures, same = score(case, np.where(clean > 0, clean + 10.0, 0.0)), score(case, kept)
    assert figures["psnr_tissue"] == pytest.approx(same["psnr_tissue"], abs=0.5)
    assert figures["psnr"] < same["psnr"] - 2.0
    assert "psnr_tissue" not in score(replace(case, own=50.0), kept)
