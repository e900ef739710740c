"""MR noise: complex Gaussian noise on the acquired k-space samples, seen in the magnitude image.

`MRNoise` holds the parameters and `draw` is its random twin for training; `simulate` and `simulate_pair`
are deterministic given a seeded generator. The chain follows the scanner: smooth phase, coil maps, Fourier
transform, acquired box, white complex noise, window, zero-filling, inverse transform, g-map, root sum of
squares. Where nothing band-limits the noise, the same distribution is drawn directly, without a transform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft as sfft

from medidiff.errors import UsageError
from medidiff.noise.kspace import Window, draw_window
from medidiff.volume import FloatArray

COIL_MODES = 1  # Fourier harmonics per axis of the simulated coil sensitivities

WINDOWED = 0.45
"""Share of training samples with a k-space window."""

SEVERAL_COILS, LOG2_COILS = 0.15, (1.0, 5.0)
"""Share of training samples with several coils, and the binary logarithm of their number."""

AMPLIFIED, G_STRENGTH, MOST_G_MODES = 0.35, (0.3, 3.0), 3
"""Share with a g-map, its strength, and its roughest."""

ZERO_FILLED, ZERO_FILL, ALIKE = 0.4, (1.0, 1.25, 1.5, 2.0), 0.5
"""Share that are zero-filled, the factors, and how often both axes have the same: most scanners interpolate
both alike."""

PARTIAL, ACQUIRED = 0.2, (5 / 8, 1.0)
"""Share with partial Fourier, and what of the lines is acquired."""

MOST_PHASE_MODES = 2
"""Fourier harmonics of the roughest image phase."""


@dataclass(frozen=True)
class MRNoise:
    """Parameters of magnitude MR noise.

    Attributes:
        sigma: SD of the real (and of the imaginary) channel of each coil image after window and zero-filling,
            in the image's unit; with a g-map, its root mean square over the object.
        coils: number L of root-sum-of-squares channels. 1 is Rician, more is noncentral chi.
        g_strength: g runs from 1 to 1 + g_strength over the field; 0 switches the g-map off.
        g_modes: Fourier harmonics per axis that shape the g-map (more is rougher).
        acquired: acquired share of the phase-encode (y) lines, 5/8 to 1 (partial Fourier, zero-filled).
        zero_fill: image matrix over acquired matrix along (y, x); 1 is no interpolation. The noise spectrum
            becomes a box of half-width 0.5 / zero_fill cycles/px.
        phase_modes: Fourier harmonics per axis of the image phase; 0 is a real image. It matters only where
            samples are dropped, because the magnitude of white noise does not know the phase.
        window: weights of the acquired samples; None weighs all alike.
    """

    sigma: float
    coils: int = 1
    g_strength: float = 0.0
    g_modes: int = 2
    acquired: float = 1.0
    zero_fill: tuple[float, float] = (1.0, 1.0)
    phase_modes: int = 2
    window: Window | None = None

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, object, bool], ...] = (
            ("sigma must be 0 or more", self.sigma, self.sigma >= 0),
            ("coils must be 1 or more", self.coils, self.coils >= 1),
            ("g_strength must be 0 or more", self.g_strength, self.g_strength >= 0),
            ("acquired must lie in [0.5, 1]", self.acquired, 0.5 <= self.acquired <= 1),
            ("zero_fill must be 1 or more per axis", self.zero_fill, min(self.zero_fill) >= 1),
            ("g_modes must be 0 or more", self.g_modes, self.g_modes >= 0),
            ("phase_modes must be 0 or more", self.phase_modes, self.phase_modes >= 0),
        )
        for what, received, good in checks:
            if not good:
                raise UsageError(f"MR noise: {what}", received=received)

    @property
    def band_limited(self) -> bool:
        """Whether some k-space samples of the image matrix are not acquired, or not as strong as others."""
        return self.acquired < 1 or max(self.zero_fill) > 1 or self.window is not None


def draw(rng: np.random.Generator, sigma: float) -> MRNoise:
    """Draws the parameters of one training sample; most draws are plain Rician noise.

    Args:
        rng: the only source of randomness.
        sigma: noise level, in the image's unit.
    """
    coils = int(round(2 ** rng.uniform(*LOG2_COILS))) if rng.random() < SEVERAL_COILS else 1
    g_strength = float(rng.uniform(*G_STRENGTH)) if rng.random() < AMPLIFIED else 0.0
    y, x = (ZERO_FILL[int(k)] for k in rng.integers(0, len(ZERO_FILL), 2))
    if rng.random() < ALIKE:
        x = y
    interpolated = rng.random() < ZERO_FILLED
    partial = rng.random() < PARTIAL
    return MRNoise(
        sigma=sigma,
        coils=coils,
        g_strength=g_strength,
        g_modes=int(rng.integers(1, MOST_G_MODES + 1)),
        acquired=float(rng.uniform(*ACQUIRED)) if partial else 1.0,
        zero_fill=(y, x) if interpolated else (1.0, 1.0),
        phase_modes=int(rng.integers(0, MOST_PHASE_MODES + 1)),
        window=draw_window(rng) if rng.random() < WINDOWED else None,
    )


def simulate(clean: FloatArray, params: MRNoise, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Adds MR noise to a clean magnitude image.

    Args:
        clean: float32 ``[y, x]`` or ``[z, y, x]``, magnitude (0 or more), in the unit of ``params.sigma``.
        params: noise parameters.
        rng: the only source of randomness.

    Returns:
        ``(noisy, sigma_map)``, both float32 in the shape of `clean`; `sigma_map` is the SD per channel at
        each pixel, so that E[noisy^2] = target^2 + 2 L sigma_map^2.
    """
    noisy, _, sigma_map = simulate_pair(clean, params, rng)
    return noisy, sigma_map


def simulate_pair(
    clean: FloatArray, params: MRNoise, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """As `simulate`, with the target that belongs to the noisy image.

    Where samples are not acquired or weighted, the target is the noise-free image of *those* samples: its
    resolution is that of the noisy image, so that a network is not taught to invent the missing band.

    Returns:
        ``(noisy, target, sigma_map)``.
    """
    image = np.asarray(clean, dtype=np.float32)
    if image.ndim not in (2, 3):
        raise UsageError("MR noise needs [y, x] or [z, y, x]", received=image.shape)
    stack = image if image.ndim == 3 else image[None]
    sigma_map = np.full_like(stack, params.sigma)
    if params.g_strength > 0:
        g = g_map(stack.shape[1:], params.g_strength, params.g_modes, rng)
        sigma_map *= g / _rms_over_object(g, stack)
    noisy, target = np.empty_like(stack), stack
    if params.band_limited:
        target = np.empty_like(stack)
        for k, plane in enumerate(stack):
            noisy[k], target[k] = _acquire(plane, sigma_map[k], params, rng)
    else:
        for k, plane in enumerate(stack):
            noisy[k] = _magnitude(plane, sigma_map[k], params.coils, rng)
    return noisy.reshape(image.shape), target.reshape(image.shape), sigma_map.reshape(image.shape)


def g_map(shape: tuple[int, ...], strength: float, modes: int, rng: np.random.Generator) -> FloatArray:
    """A smooth noise amplification map from 1 to 1 + `strength`, float32 ``[y, x]``."""
    field = smooth_field(shape, modes, rng)
    low, high = float(field.min()), float(field.max())
    return np.asarray(1 + strength * (field - low) / max(high - low, 1e-6), dtype=np.float32)


def smooth_field(shape: tuple[int, ...], modes: int, rng: np.random.Generator) -> FloatArray:
    """A zero-mean smooth random field, SD about 1: the lowest `modes` Fourier harmonics of each axis.

    It is periodic, so that a phase made of it does not jump where the discrete transform wraps around.

    Args:
        shape: ``(y, x)``.
        modes: highest harmonic; 0 gives a constant 0.
        rng: the only source of randomness.
    """
    y, x = (_harmonics(n, modes) for n in shape)
    order = (np.arange(2 * modes + 1) + 1) // 2  # 0, 1, 1, 2, 2, ...
    weights = 1 / (1.0 + np.add.outer(order, order))
    weights[0, 0] = 0
    total = np.sqrt(max(float((weights**2).sum()), 1e-12))
    return np.asarray(y @ (weights * rng.standard_normal(weights.shape) / total) @ x.T, dtype=np.float32)


def _harmonics(n: int, modes: int) -> NDArray[np.float64]:
    """Unit-power Fourier basis ``[n, 2 modes + 1]``: 1, cos, sin, cos 2, sin 2, ..."""
    angle = 2 * np.pi * np.outer((np.arange(n) + 0.5) / n, np.arange(1, modes + 1))
    waves = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(n, 2 * modes)
    return np.concatenate([np.ones((n, 1)), waves], axis=1)


def _magnitude(plane: FloatArray, sigma: FloatArray, coils: int, rng: np.random.Generator) -> FloatArray:
    """White noise: only sum |C_l A|^2 = A^2 matters, so the L - 1 other coils are one chi-square draw."""
    real = plane + sigma * rng.standard_normal(plane.shape, dtype=np.float32)
    other = sigma * rng.standard_normal(plane.shape, dtype=np.float32)
    power = real * real + other * other
    if coils > 1:
        power += 2 * sigma * sigma * rng.standard_gamma(coils - 1, plane.shape, dtype=np.float32)
    return np.asarray(np.sqrt(power), dtype=np.float32)


def _acquire(
    plane: FloatArray, sigma: FloatArray, params: MRNoise, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Noisy and noise-free magnitude of one slice from the acquired k-space samples."""
    rows = _acquired_lines(plane.shape[0], params.zero_fill[0], params.acquired)
    columns = _acquired_lines(plane.shape[1], params.zero_fill[1], 1.0)
    box = np.ix_(rows, columns)
    weight = np.ones(plane.shape, np.float32)
    if params.window is not None:
        weight = params.window.values(plane.shape, params.zero_fill)
    weight = weight[box]
    # With an orthonormal transform the image variance is the mean over k-space of the samples' variances.
    scale = np.sqrt(plane.size / np.sum(weight * weight, dtype=np.float64)).astype(np.float32) * weight
    signals = _coil_images(plane, params, rng)
    noisy = np.zeros_like(plane)
    target = np.zeros_like(plane)
    for signal in signals:
        kspace = np.zeros(plane.shape, dtype=np.complex64)
        kspace[box] = weight * sfft.fft2(signal, norm="ortho")[box]
        kept = sfft.ifft2(kspace, norm="ortho", overwrite_x=True)
        kspace = np.zeros(plane.shape, dtype=np.complex64)
        white = rng.standard_normal((rows.size, columns.size, 2), dtype=np.float32)
        kspace[box] = scale * white.view(np.complex64)[..., 0]
        noise = sfft.ifft2(kspace, norm="ortho", overwrite_x=True)
        target += np.abs(kept) ** 2
        noisy += np.abs(kept + sigma * noise) ** 2
    return np.sqrt(noisy), np.sqrt(target)


def _coil_images(plane: FloatArray, params: MRNoise, rng: np.random.Generator) -> list[NDArray[np.complex64]]:
    """The slice with a smooth phase, as seen by each coil; sum over coils |C_l|^2 = 1."""
    phase = np.exp(1j * np.pi / 2 * smooth_field(plane.shape, params.phase_modes, rng)).astype(np.complex64)
    signal = plane * phase
    if params.coils == 1:
        return [signal]
    maps = [
        1 + smooth_field(plane.shape, COIL_MODES, rng) + 1j * smooth_field(plane.shape, COIL_MODES, rng)
        for _ in range(params.coils)
    ]
    norm = np.sqrt(sum(np.abs(c) ** 2 for c in maps))
    return [(signal * c / norm).astype(np.complex64) for c in maps]


def _acquired_lines(n: int, zero_fill: float, acquired: float) -> NDArray[np.intp]:
    """Indices, in FFT order, of the acquired lines: symmetric to n / zero_fill, one end cut to `acquired`."""
    kept = max(int(round(n / zero_fill)), 2)
    lines = np.arange(kept) - kept // 2
    return np.asarray(lines[kept - max(int(round(kept * acquired)), 1) :] % n)


def _rms_over_object(g: FloatArray, stack: FloatArray) -> np.float32:
    """Root mean square of g where the stack shows signal (above a tenth of its p99), or everywhere."""
    inside = (stack > 0.1 * np.percentile(stack, 99)).sum(axis=0)
    weight = inside if inside.any() else np.ones_like(inside)
    return np.float32(np.sqrt(np.average(g * g, weights=weight)))
