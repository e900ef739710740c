"""Bank: the CT slices of a source on an accelerator, padded to one size for one program to take them all."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from medidiff.training.ct_reference import Reference
from medidiff.training.ct_source import CTSource
from medidiff.training.device_cut import PLACES, places
from medidiff.training.inserts import body
from medidiff.volume import HU_RANGE

Array = Any


class Bank(NamedTuple):
    """N training slices on the device, padded to ``[h, w]``.

    Attributes:
        hu: int16 ``[N, 3, h, w]`` previous, centre, next.
        present: bool ``[N, 3]``.
        bases: float16 ``[N, 3, h, w]``: two quantum realisations and one electronic.
        relative: float16 ``[N, h, w]`` local noise SD.
        soft: bool ``[N, h, w]`` where the noise level is defined.
        weight: float16 ``[N, h, w]`` loss weight.
        own: ``[N, k]`` kernel relative to the ramp on `OWN_GRID`.
        sigma: ``[N]`` own noise SD, HU.
        electronic_ratio: ``[N]``.
        pixel_mm: ``[N]``.
        width: ``[N]`` width before padding.
        places: int32 ``[N, PLACES, 2]`` corners of patches worth their time.
        spots: int32 ``[N, PLACES, 2]`` pixels of the body.
        reference: ``[N]`` probability as a target of regular levels.
        clean: ``[N]`` probability as a target of low levels.
    """

    hu: Array
    present: Array
    bases: Array
    relative: Array
    soft: Array
    weight: Array
    own: Array
    sigma: Array
    electronic_ratio: Array
    pixel_mm: Array
    width: Array
    places: Array
    spots: Array
    reference: Array
    clean: Array

    @classmethod
    def of(cls, source: CTSource) -> Bank:
        """Puts the slices of a source on the device."""
        everything: list[Reference] = list(source.references)
        everything += [r for r in source.clean if all(r is not other for other in source.references)]
        shape = tuple(-(-max(r.item.hu.shape[axis] for r in everything) // 32) * 32 for axis in (1, 2))
        size = source.config.data.patch
        rng = np.random.default_rng(0)

        def padded(a: Any, fill: float, dtype: Any) -> Any:
            widths = [(0, 0)] * (a.ndim - 2) + [(0, n - m) for n, m in zip(shape, a.shape[-2:], strict=True)]
            return np.pad(np.asarray(a, dtype), widths, constant_values=fill)

        def stack(arrays: Any) -> Array:
            return jnp.asarray(np.stack(list(arrays)))

        chosen = np.zeros(len(everything))
        chosen[: len(source.references)] = source.share
        clean = np.array([float(any(r is other for other in source.clean)) for r in everything])
        return cls(
            hu=stack(padded(r.item.hu, HU_RANGE[0], np.int16) for r in everything),
            present=stack(r.item.present for r in everything),
            bases=stack(padded(r.item.bases, 0.0, np.float16) for r in everything),
            relative=stack(padded(r.item.relative_sd, 1.0, np.float16) for r in everything),
            soft=stack(padded(r.soft, False, np.bool_) for r in everything),
            weight=stack(padded(r.weight, 1.0, np.float16) for r in everything),
            own=stack(np.asarray(r.own, np.float32) for r in everything),
            sigma=stack(np.float32(r.sigma) for r in everything),
            electronic_ratio=stack(np.float32(r.item.electronic_ratio) for r in everything),
            pixel_mm=stack(np.float32(r.item.pixel_mm) for r in everything),
            width=stack(np.int32(r.item.hu.shape[2]) for r in everything),
            places=stack(places(r.worth, size, PLACES, rng) for r in everything),
            spots=stack(_spots(r.item.hu[1], rng) for r in everything),
            reference=jnp.asarray(chosen, jnp.float32),
            clean=jnp.asarray(clean / clean.sum(), jnp.float32),
        )


def _spots(hu: Any, rng: np.random.Generator) -> Any:
    """Pixels ``[PLACES, 2]`` of the body, as `medidiff.training.inserts.draw_inserts` takes them."""
    found = np.argwhere(body(hu))
    if not len(found):  # beyond the padded slice, where an insert shows nothing
        return np.full((PLACES, 2), 10**6, np.int32)
    return found[rng.integers(0, len(found), PLACES)].astype(np.int32)
