"""What the diffusion core asks of an array: arithmetic operators, and little else.

`Array` is anything with ``+ - * /`` and ``**``: a NumPy array, a TensorFlow or JAX tensor, a float.
`Namespace` is anything with the element-wise functions that a formula names (``log``, ``exp``, ``clip``,
``where``, ``logical_and``, ``sum``, ``maximum``): ``numpy``, ``jax.numpy`` or ``keras.ops``.
Neither can be told to a type checker without importing the frameworks, hence the names for `Any`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = Any
Namespace: TypeAlias = Any
Noise: TypeAlias = Callable[[Any], Array]
"""``noise(rng)`` draws one noise image of unit standard deviation, shaped like the scan."""


def white(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """White Gaussian noise of unit SD, float32."""
    return rng.standard_normal(shape, dtype=np.float32)
