"""The weights that a run begins with."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.models.config import UNetConfig

keras = pytest.importorskip("keras", reason="tensorflow is not installed (extra train)")
RNG = np.random.default_rng(3)


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_without_context_the_neighbours_change_nothing_and_the_slice_does(unshuffle: int) -> None:
    from medidiff.models.unet import build
    from medidiff.training.start import without_context

    config = UNetConfig((4, 6), 1, unshuffle=unshuffle, embedding=8)
    keras.utils.set_random_seed(1)
    model = build(config)
    # The last layers begin at zero; here they must let something through.
    for variable in model.trainable_variables:
        if not np.any(np.asarray(variable)):
            variable.assign(0.1 * RNG.standard_normal(variable.shape))
    planes = RNG.standard_normal((1, 16, 16, 4)).astype(np.float32)
    condition = RNG.standard_normal((1, config.condition)).astype(np.float32)

    def answer(changed: int | None) -> np.ndarray:
        other = planes.copy()
        if changed is not None:
            other[..., changed] += 1.0
        return np.asarray(model([other, condition]))

    assert all(np.abs(answer(p) - answer(None)).max() > 1e-3 for p in range(4))
    without_context(model, config)
    for plane, matters in enumerate((True, False, False, True)):
        assert (np.abs(answer(plane) - answer(None)).max() > 1e-4) == matters


def test_what_it_ignores_it_can_learn() -> None:
    """The gradient of the weights that begin at zero is not zero."""
    from medidiff.models.unet import build
    from medidiff.training.start import without_context

    tf = pytest.importorskip("tensorflow")
    config = UNetConfig((4, 6), 1, unshuffle=2, embedding=8)
    keras.utils.set_random_seed(1)
    model = build(config)
    for variable in model.trainable_variables:
        if not np.any(np.asarray(variable)):
            variable.assign(0.1 * RNG.standard_normal(variable.shape))
    without_context(model, config)
    planes = tf.constant(RNG.standard_normal((1, 16, 16, 4)), tf.float32)
    with tf.GradientTape() as tape:
        square = tf.reduce_mean(model([planes, tf.zeros((1, config.condition))]) ** 2)
    kernel = model.get_layer("stem").kernel
    gradient = np.asarray(tape.gradient(square, kernel.value)).reshape(3, 3, 4, 4, -1)
    assert np.abs(gradient[:, :, :, 1:3]).max() > 1e-6
