"""Stored slices: turned as radiologists view them, exact to half a step, and decodable."""

from __future__ import annotations

import base64
import io
import itertools
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medidiff.io import discover, read
from medidiff.report.encode import grey, packed, png
from medidiff.report.orientation import Orientation
from medidiff.report.pictures import choose, standard_window, take, values
from medidiff.volume import Volume


def unpacked(text: str, shape: tuple[int, int]) -> np.ndarray:
    """Undoes `packed`, pixel by pixel as the page's script does."""
    raw = zlib.decompress(base64.b64decode(text))
    count = shape[0] * shape[1]
    out = np.zeros(count, np.int64)
    for k in range(count):
        zigzag = raw[k] | raw[k + count] << 8
        before = out[k - 1] if k % shape[1] else out[k - shape[1]] if k else 0
        out[k] = (before + ((zigzag >> 1) ^ -(zigzag & 1)) + 32768) % 65536 - 32768
    return out.reshape(shape)


def test_packing_is_exact(rng: np.random.Generator) -> None:
    stored = rng.integers(-32768, 32767, (13, 17), dtype=np.int16, endpoint=True)
    stored[0, :2] = -32768, 32767
    assert np.array_equal(unpacked(packed(stored), stored.shape), stored)


def test_packing_a_noisy_slice_saves_a_third(rng: np.random.Generator) -> None:
    slice_hu = np.rint(40 + 20 * rng.standard_normal((128, 128))).astype(np.int16)
    assert len(packed(slice_hu)) < 2 / 3 * 2 * slice_hu.size


def labelled(affine: np.ndarray) -> np.ndarray:
    """An image ``[y, x, 3]`` that holds the LPS direction of each pixel from the middle."""
    y, x = np.indices((3, 3)) - 1
    return x[..., None] * affine[:3, 0] + y[..., None] * affine[:3, 1]


AXES = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@pytest.mark.parametrize(
    ("axes", "right", "down"), [((0, 1), "L", "P"), ((0, 2), "L", "I"), ((1, 2), "P", "I")]
)
def test_every_storage_order_is_shown_alike(axes: tuple[int, int], right: str, down: str) -> None:
    for (a, b), signs in itertools.product(
        itertools.permutations(axes), itertools.product((1, -1), repeat=2)
    ):
        affine = np.eye(4)
        affine[:3, :3] = 0
        affine[a, 0], affine[b, 1] = signs
        affine[3 - a - b, 2] = 1
        turn = Orientation.of(affine)
        places = np.stack([turn.apply(plane) for plane in np.moveaxis(labelled(affine), 2, 0)], 2)
        axis, sign = AXES[right]
        assert places[1, 2, axis] == sign
        axis, sign = AXES[down]
        assert places[2, 1, axis] == sign
        opposite = dict(zip("LRPASI", "RLAPIS", strict=True))
        assert turn.edges == (opposite[down], right, down, opposite[right])


def test_pixel_sides_turn_with_the_image() -> None:
    affine = np.array([[0, 0.5, 0, 0], [2.0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert Orientation.of(affine).transpose
    assert Orientation.of(affine).pixel_mm(0.5, 2.0) == (2.0, 0.5)


def scan(rng: np.random.Generator, unit: str) -> Volume:
    array = rng.normal(300, 100, (5, 6, 7)).astype(np.float32)
    return Volume(array, np.diag([1.0, 2.0, 3.0, 1.0]), "CT" if unit == "HU" else "MR", unit)


@pytest.mark.parametrize("unit", ["HU", "a.u."])
def test_a_stored_slice_gives_its_values_back(unit: str, rng: np.random.Generator) -> None:
    volume = scan(rng, unit)
    denoised = (0.5 * volume.array).astype(np.float32)
    sd = np.abs(volume.array) / 50
    chosen = choose([3.0, 1.0, 2.0, None, 0.0], wanted=[3])
    picture, images = take(
        2, chosen, {"noisy": volume.array, "denoised": denoised, "uncertainty": sd}, volume,
        {"difference": ("noisy", "denoised")}, 40.0,
    )  # fmt: skip
    assert [(s["number"], s["why"]) for s in picture["slices"]] == [
        (1, ["best"]), (2, ["median"]), (4, ["asked for"]), (5, ["worst"]),
    ]  # fmt: skip
    assert [layer["name"] for layer in picture["layers"]] == [
        "noisy",
        "denoised",
        "difference",
        "uncertainty",
    ]
    step = {layer["name"]: layer.get("step") for layer in picture["layers"]}
    for name, array in (("noisy", volume.array), ("denoised", denoised), ("uncertainty", sd)):
        assert np.abs(values(picture, images, 2, 4, name) - array[3]).max() <= 0.501 * step[name]
    difference = values(picture, images, 2, 4, "difference")
    assert np.abs(difference - (volume.array - denoised)[3]).max() <= 1.002 * step["noisy"]
    assert (picture["row_mm"], picture["column_mm"]) == (2.0, 1.0)
    assert picture["windows"][0]["name"] == ("Abdomen" if unit == "HU" else "Full")


def test_what_is_no_number_is_shown_black(rng: np.random.Generator) -> None:
    volume = scan(rng, "HU")
    volume.array[0, 0, 0] = np.nan
    picture, images = take(1, choose([1.0] * 5), {"noisy": volume.array}, volume, {}, 1.0)
    assert values(picture, images, 1, 1, "noisy")[0, 0] < -30000


def test_choosing_slices() -> None:
    def words(*args: object, **kwargs: object) -> dict[int, tuple[str, ...]]:
        return {c.index: c.why for c in choose(*args, **kwargs)}  # type: ignore[arg-type]

    assert words([1.0]) == {0: ("median",)}
    assert words([None, None, float("nan")]) == {1: ("median",)}
    assert words([1.0, 2.0]) == {0: ("median", "worst"), 1: ("best",)}
    assert words([1.0, 2.0, 3.0], wanted=[2, 99]) == {0: ("worst",), 1: ("median",), 2: ("best", "asked for")}
    flagged = words([5.0, 4.0, 3.0, 2.0, 1.0, 0.0], flagged=[3, 1, 5], most_flagged=2)
    assert flagged[3] == ("median", "flagged")
    assert flagged[1] == ("flagged",)
    assert flagged[5] == ("worst", "flagged")
    assert words([]) == {}


def test_pictures_are_png_in_the_window() -> None:
    image_module = pytest.importorskip("PIL.Image")
    image = np.array([[-200.0, -150.0], [50.0, 900.0]], np.float32)
    shown = grey(image, 50.0, 400.0)
    assert shown.tolist() == [[0, 0], [128, 255]]
    head, body = png(shown).split(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(image_module.open(io.BytesIO(base64.b64decode(body)))), shown)
    coloured = image_module.open(io.BytesIO(base64.b64decode(png(shown, colour=True).split(",")[1])))
    assert coloured.convert("RGB").getpixel((1, 1)) == (0xFC, 0xFF, 0xA4)
    assert image_module.open(io.BytesIO(base64.b64decode(png(shown, width=1).split(",")[1]))).width == 1


def test_a_chest_is_shown_in_the_lung_window() -> None:
    chest = np.full((1, 256, 256), -1000.0, np.float32)
    chest[:, 32:224, 32:224] = 40.0
    assert standard_window(Volume(chest, np.eye(4), unit="HU"), [0]) == (50.0, 400.0)
    chest[:, 64:160, 64:192] = -800.0
    assert standard_window(Volume(chest, np.eye(4), unit="HU"), [0]) == (-600.0, 1500.0)
    assert standard_window(Volume(chest, np.eye(4)), [0]) is None


def test_the_foam_of_a_table_is_no_lung() -> None:
    abdomen = np.full((1, 256, 256), -1000.0, np.float32)
    abdomen[:, 32:160, 32:224] = 40.0
    abdomen[:, 180:244, :] = -800.0
    abdomen[:, 176:180, :] = abdomen[:, 244:248, :] = -200.0  # its shell
    assert standard_window(Volume(abdomen, np.eye(4), unit="HU"), [0]) == (50.0, 400.0)


@pytest.mark.parametrize(("unit", "empty"), [("HU", -1024.0), ("a.u.", 0.0)])
def test_padding_is_shown_black_whatever_was_put_in_its_place(
    unit: str, empty: float, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Of a NIfTI file with NaN around the body, as it is read: what stands in their place is grey."""
    array = rng.uniform(100, 300, (1, 32, 32)).astype(np.float32)
    array[0, :8] = np.nan
    nib.save(nib.Nifti1Image(array.T, np.diag([-1.0, -1.0, 1.0, 1.0])), tmp_path / "x.nii")
    volume = read(discover([tmp_path / "x.nii"]).items[0]).taken_as("CT" if unit == "HU" else "MR")
    assert np.isfinite(volume.array).all()
    picture, images = take(1, choose([1.0]), {"noisy": volume.array}, volume, {}, 1.0)
    shown = values(picture, images, 1, 1, "noisy")
    np.testing.assert_array_equal(shown[:8], empty)
    np.testing.assert_allclose(shown[8:], volume.array[0, 8:], atol=picture["layers"][0]["step"])
