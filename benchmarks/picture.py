"""The picture of the README: before, after, difference and truth, on the scans of sample_data.

    python benchmarks/picture.py

writes docs/images/before_after.png with the shipped models. The difference is noisy minus denoised, twofold,
mid-grey for zero: it should show noise and no anatomy.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medidiff import io
from medidiff.denoise import MODES, Denoiser, Settings
from medidiff.engines import EngineSettings, create
from medidiff.models import load
from medidiff.volume import FloatArray, Volume

ROOT = Path(__file__).resolve().parents[1]
PANEL = (300, 226)
"""Width and height of one image, pixels."""

CAPTION = 24
GAP = 3


@dataclass(frozen=True)
class Row:
    """One line of the picture.

    Attributes:
        noisy, truth: paths under sample_data.
        label: what the noisy scan is.
        index: of the slice, counted from the feet.
        window: values shown black and white; for MR, shares of the 99th percentile of the truth.
        crop: rows and columns shown, in LPS order (first row in front, first column on the right).
    """

    noisy: str
    truth: str
    label: str
    index: int
    window: tuple[float, float]
    crop: tuple[slice, slice]


ROWS = {
    "ct": Row("ct/dose25", "ct/truth", "CT, 25 % dose", 3, (-110.0, 240.0), (slice(58, 316), slice(21, 364))),
    "mr": Row(
        "mr/noisy.nii.gz", "mr/truth.nii.gz", "MR, 6 % noise", 10, (0.0, 1.0), (slice(34, 167), slice(0, 176))
    ),
}


def read(path: Path) -> Volume:
    """The only image under a path."""
    (item,) = io.discover([path]).items
    return io.read(item)


def plane(volume: Volume, row: Row) -> FloatArray:
    """The slice of a row, turned to LPS order and cropped."""
    array = volume.array
    for axis, sign in enumerate(np.sign(np.diag(volume.affine)[2::-1])):
        if sign < 0:
            array = np.flip(array, axis)
    return array[(row.index, *row.crop)]


def compose(row: Row, noisy: FloatArray, denoised: FloatArray, truth: FloatArray) -> Image.Image:
    """Four captioned panels side by side.

    Args:
        row: captions and window.
        noisy, denoised, truth: ``[y, x]``.
    """
    low, high = row.window
    if row.noisy.startswith("mr"):
        high = float(np.percentile(truth, 99.0))
    middle, gain = 0.5 * (low + high), 2.0
    panels = {
        row.label: noisy,
        "medidiff": denoised,
        f"difference x {gain:g}": middle + gain * (noisy - denoised),
        "truth": truth,
    }
    picture = Image.new("L", (len(panels) * (PANEL[0] + GAP) - GAP, CAPTION + PANEL[1]), 255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    for k, (text, image) in enumerate(panels.items()):
        left = k * (PANEL[0] + GAP)
        grey = (255.0 * np.clip((image - low) / (high - low), 0.0, 1.0)).astype(np.uint8)
        picture.paste(Image.fromarray(grey).resize(PANEL, Image.Resampling.BICUBIC), (left, CAPTION))
        pen.text((left + 4, 3), text, fill=0, font=font)
    return picture


def stack(rows: list[Image.Image], levels: int) -> Image.Image:
    """Rows below each other in a few grey levels, which keeps a PNG of noise small."""
    picture = Image.new("L", (rows[0].width, sum(r.height for r in rows)), 255)
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height
    values: np.ndarray[Any, Any] = np.rint(np.asarray(picture) * ((levels - 1) / 255.0)).astype(np.uint8)
    indexed = Image.fromarray(values)
    indexed.putpalette([round(255 * k / (levels - 1)) for k in range(levels) for _ in range(3)])
    return indexed


def main() -> None:
    """Denoises the sample scans and writes the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ct", default="ct", metavar="MODEL", help="name or folder of the CT model")
    parser.add_argument("--mr", default="mr", metavar="MODEL", help="name or folder of the MR model")
    parser.add_argument("--only", choices=sorted(ROWS), help="one row only")
    parser.add_argument("--mode", choices=MODES, default="mean")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--levels", type=int, default=48, help="grey levels")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "images" / "before_after.png")
    options = parser.parse_args()
    rows = []
    for name in [options.only] if options.only else list(ROWS):
        row = ROWS[name]
        bundle = load(getattr(options, name))
        noisy = read(ROOT / "sample_data" / row.noisy)
        denoiser = Denoiser(bundle, create(options.engine, bundle, EngineSettings()))
        result = denoiser.run(noisy, Settings(mode=options.mode))
        truth = read(ROOT / "sample_data" / row.truth)
        rows.append(compose(row, *(plane(v, row) for v in (noisy, result.volume, truth))))
        print(f"{name}: model {bundle.name} {bundle.sha256[:12]}, noise {result.sigma_text}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    stack(rows, options.levels).save(options.output, optimize=True)
    print(f"{options.output}: {options.output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
