"""Retrained networks as methods: what lies in the folder of weights, restored and run on whole slices."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from learned.spec import TITLES, Spec

from medidiff.diffusion.precondition import Precondition
from medidiff.intensity import Intensity
from medidiff.models.conditioning import Condition, vector
from medidiff.training import checkpoint as checkpoints
from medidiff.volume import FloatArray, Volume
from peers.given import Given, Peer

SEED = 11


def trained_peers(modality: str, root: Path) -> tuple[Peer, ...]:
    """The networks of a modality that have been retrained, in the order of `TITLES`."""
    found = []
    for name in TITLES:
        folder = root / modality / name
        path = folder / checkpoints.FILE
        if not path.is_file():
            continue
        saved = checkpoints.load(folder)
        spec = Spec.from_dict(saved.config["spec"])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        size = sum(w.size for w in saved.average) / 1e6
        batch = saved.config["run"]["optimiser"]["batch"]
        told = "the slice" if spec.plain else "the slice, its neighbours, true SD, noise frequency"
        trained = f"{saved.step} steps of {batch} patches, {spec.trained_on} ({digest})"
        given = f"{told}; {size:.2f} M weights, {trained}"
        found.append(Peer(spec.title, _method(folder), given, "tensorflow", learned=True))
    return tuple(found)


def _method(folder: Path) -> Callable[[Given], Iterator[FloatArray]]:
    def run(given: Given) -> Iterator[FloatArray]:
        spec, network = _restored(folder)
        yield apply(spec, network, given)

    return run


@lru_cache(8)
def _restored(folder: Path) -> tuple[Spec, Callable[..., FloatArray]]:
    from learned.training import load

    spec, model, _ = load(folder)
    return spec, runner(model)


def runner(model: Any) -> Callable[..., FloatArray]:
    """The compiled network: inputs to its first output plane ``[h, w]``."""
    import tensorflow as tf

    call = tf.function(
        lambda *x: model(list(x) if len(x) > 1 else x[0], training=False), reduce_retracing=True
    )
    return lambda *x: np.asarray(call(*map(tf.constant, x)), np.float32)[0, ..., 0]


def apply(spec: Spec, network: Callable[..., FloatArray], given: Given) -> FloatArray:
    """Denoises the slice; values stay within those of the scan, as medidiff's do."""
    from learned.walk import walk

    low, high = max(0, given.centre - 1), given.centre + 2
    slices = np.ascontiguousarray(given.slab[low:high], np.float32)
    volume = Volume(slices, np.diag([given.pixel_mm, given.pixel_mm, 1.0, 1.0]), given.modality.upper())  # type: ignore[arg-type]
    intensity = Intensity.for_volume(spec.modality, volume)
    z, centre = intensity.to_model(slices), given.centre - low
    h, w = z.shape[1:]
    pad = [(0, 0), (0, -h % spec.stride), (0, -w % spec.stride)]
    z = np.pad(z, pad, mode="reflect")
    y = z[centre]
    if spec.plain:
        D = network(y[None, ..., None])
    else:
        t_y = given.sigma / intensity.scale
        before = z[centre - 1] if centre > 0 else None
        after = z[centre + 1] if centre + 1 < len(z) else None
        c_in = np.float32(Precondition(spec.sigma_data).c_in(t_y))
        absent = np.zeros_like(y)
        planes = [absent if p is None else c_in * p for p in (before, after)]
        condition = vector(
            Condition(
                t_y,
                None if given.spectrum is None else given.spectrum.mean_frequency,
                given.pixel_mm,
                spec.modality,
                previous=before is not None,
                following=after is not None,
            )
        )
        D = walk(spec, network, np.stack([*planes, absent, c_in * y], -1), condition, y, t_y, SEED)
    image = intensity.from_model(D[:h, :w])
    return np.clip(image, given.image.min(), given.image.max())
