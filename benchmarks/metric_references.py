"""VIF, HaarPSI, SSIM and PSNR of three pairs of images by piq, torchmetrics and scikit-image.

    pip install torch piq torchmetrics scikit-image
    python benchmarks/metric_references.py

medidiff is not needed: the protocol is written out again below. The figures stand in
tests/evaluation/test_metric_references.py, which holds medidiff to them without PyTorch. The images are made
by formula, in float64, and the same on every machine.
"""

from __future__ import annotations

import numpy as np

WINDOWS = {"chest": (-600.0, 1500.0), "abdomen": (50.0, 400.0), "neuro": (40.0, 80.0)}
SHAPES = {"even": (96, 112), "odd": (91, 75), "small": (41, 44)}


def pair(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Reference and test in HU: an ellipse of soft tissue with texture, lung and bone; the test is noisy."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    v, u = 2 * y / (shape[0] - 1) - 1, 2 * x / (shape[1] - 1) - 1
    reference = np.full(shape, -1000.0)
    reference[(u / 0.9) ** 2 + (v / 0.8) ** 2 < 1] = 40.0
    reference[((u - 0.4) / 0.3) ** 2 + (v / 0.4) ** 2 < 1] = -820.0
    reference[(u / 0.12) ** 2 + ((v - 0.5) / 0.12) ** 2 < 1] = 900.0
    reference += 25 * np.sin(x / 5.0) * np.cos(y / 7.0)
    noise = 30 * np.sin(12.9898 * x + 78.233 * y + 0.01 * x * y) + 20 * np.cos(3.1 * x - 2.3 * y)
    return reference, 0.95 * reference + noise


def main() -> None:
    """Prints one line a figure, ready for the test."""
    import torch
    from piq import haarpsi, vif_p
    from skimage.metrics import structural_similarity
    from torchmetrics.functional.image import peak_signal_noise_ratio, visual_information_fidelity

    def tensor(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(image))[None, None]

    for name, shape in SHAPES.items():
        a, b = pair(shape)
        clipped = [tensor(np.clip(image + 1024.0, 0.0, 2924.0)) for image in (a, b)]
        forth = visual_information_fidelity(preds=clipped[1], target=clipped[0])
        back = visual_information_fidelity(preds=clipped[0], target=clipped[1])
        # piq counts in 8 bit: with a data range of 255 its values are the ones given.
        scaled = [c * (255.0 / 2924.0) for c in clipped]
        piq_vif = vif_p(scaled[1], scaled[0], sigma_n_sq=2.0 * (255.0 / 2924.0) ** 2, data_range=255)
        print(f'("{name}", "vif", "torchmetrics", {forth.item():.9f}),')
        print(f'("{name}", "vif", "piq", {piq_vif.item():.9f}),')
        print(f'("{name}", "vif with roles exchanged", "torchmetrics", {back.item():.9f}),')
        for window, (centre, width) in WINDOWS.items():
            w = [np.clip((image - centre + width / 2) / width, 0.0, 1.0) for image in (a, b)]
            x, y = tensor(w[0]), tensor(w[1])
            uniform = structural_similarity(*w, data_range=1.0)
            psnr = peak_signal_noise_ratio(y, x, data_range=1.0)
            print(f'("{name}", "haarpsi {window}", "piq", {haarpsi(y, x, data_range=1.0).item():.9f}),')
            print(f'("{name}", "psnr {window}", "torchmetrics", {psnr.item():.9f}),')
            print(f'("{name}", "ssim {window}", "scikit-image", {uniform:.9f}),')


if __name__ == "__main__":
    main()
