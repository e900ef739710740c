"""Parallel-beam projector and filtered back-projection: ASTRA where installed, scikit-image otherwise."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medidiff.volume import FloatArray

Backend = Literal["auto", "astra", "skimage"]


def choose(backend: Backend = "auto") -> Literal["astra", "skimage"]:
    """The backend that will run: ASTRA (extra ``ct-sim``) if it is installed."""
    if backend == "auto":
        return "astra" if find_spec("astra") else "skimage"
    return backend


def bins(size: int) -> int:
    """Detector bins of one pixel that cover the diagonal of a square image (736 for 512)."""
    return 2 * int(np.ceil(size * 0.71875))


def forward(image: FloatArray, views: int, backend: Backend = "auto") -> FloatArray:
    """Line integrals in pixel lengths.

    Args:
        image: square ``[n, n]``.
        views: number of angles over pi.
        backend: projector.

    Returns:
        float32 ``[views, bins(n)]``.
    """
    size = image.shape[0]
    if choose(backend) == "astra":
        import astra

        return _astra(astra, "FP", image, size, views)
    from skimage.transform import radon

    padded = _pad(image, bins(size))
    sinogram = radon(padded, theta=_degrees(views), circle=True, preserve_range=True)
    return np.ascontiguousarray(sinogram.T, dtype=np.float32)


def back_project(sinogram: FloatArray, size: int, backend: Backend = "auto") -> FloatArray:
    """Filtered back-projection with the plain ramp (Kak and Slaney 1988, eq. 3.61 and 3.30).

    Args:
        sinogram: ``[views, bins(size)]``, line integrals in pixel lengths.
        size: image size n.
        backend: projector.

    Returns:
        float32 ``[n, n]`` per pixel length.
    """
    from scipy import fft

    views, count = sinogram.shape
    length = max(64, int(2 ** np.ceil(np.log2(2 * count))))
    response = _ramp(length)
    filtered = fft.irfft(fft.rfft(sinogram, length, axis=1) * response, length, axis=1)[:, :count]
    filtered = np.ascontiguousarray(filtered, dtype=np.float32)
    if choose(backend) == "astra":
        import astra

        return _astra(astra, "BP", filtered, size, views) * np.float32(np.pi / views)
    from skimage.transform import iradon

    # iradon without a filter scales by pi / (2 views).
    full = iradon(filtered.T, theta=_degrees(views), filter_name=None, circle=True, output_size=count)
    start = (count - size) // 2 if (count - size) % 2 == 0 else (count - size + 1) // 2
    return np.asarray(2.0 * full[start : start + size, start : start + size], np.float32)


def _ramp(length: int) -> FloatArray:
    """Frequency response of the sampled ramp: 1/4 at 0, -1/(pi k)^2 at odd k, else 0."""
    k = np.fft.fftfreq(length, 1.0 / length)
    odd = k % 2 != 0
    space = np.zeros(length)
    space[0] = 0.25
    space[odd] = -1.0 / (np.pi * k[odd]) ** 2
    return np.asarray(np.fft.rfft(space).real, np.float32)


def _degrees(views: int) -> NDArray[np.float64]:
    return np.arange(views) * 180.0 / views


def _pad(image: FloatArray, count: int) -> FloatArray:
    """Centres a square image in a larger one, so that its corners stay inside radon's circle."""
    extra = count - image.shape[0]
    before = extra // 2 if extra % 2 == 0 else (extra + 1) // 2
    return np.pad(image, ((before, extra - before), (before, extra - before)))


def _astra(astra: Any, kind: str, data: FloatArray, size: int, views: int) -> FloatArray:
    """Runs ASTRA's CPU projection ``"FP"`` or back-projection ``"BP"`` (Joseph's interpolation)."""
    volume_geometry = astra.create_vol_geom(size, size)
    angles = np.arange(views) * np.pi / views
    projection_geometry = astra.create_proj_geom("parallel", 1.0, bins(size), angles)
    projector = astra.create_projector("linear", projection_geometry, volume_geometry)
    ids = []
    try:
        data2d, algorithm = astra.data2d, astra.algorithm
        if kind == "FP":
            volume = data2d.create("-vol", volume_geometry, data)
            sinogram = data2d.create("-sino", projection_geometry)
            out = sinogram
        else:
            volume = data2d.create("-vol", volume_geometry)
            sinogram = data2d.create("-sino", projection_geometry, data)
            out = volume
        ids = [volume, sinogram]
        config = astra.astra_dict(kind)
        config["ProjectorId"] = projector
        config["ProjectionDataId"] = sinogram
        config["VolumeDataId" if kind == "FP" else "ReconstructionDataId"] = volume
        run = algorithm.create(config)
        try:
            algorithm.run(run)
            return np.array(data2d.get(out), np.float32)
        finally:
            algorithm.delete(run)
    finally:
        if ids:
            astra.data2d.delete(ids)
        astra.projector.delete(projector)
