"""Muon: steps of equal size in every direction of a kernel, by orthogonalising its momentum.

K. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; scale of the step after
J. Liu et al. 2025, "Muon is scalable for LLM training" (arXiv:2502.16982), so that the learning rate of Adam
serves. Keras has it for matrices alone; here convolution kernels count as matrices [inputs, outputs].
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

SMALLEST = 16
"""Kernels with fewer inputs or outputs than this (stem, heads), and all vectors, are left to Adam."""

ITERATION = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic Newton-Schulz iteration, made for the steepest slope at 0 (Jordan et al.)."""

RMS = 0.2
"""Root mean square of a step over the learning rate, that of Adam's usual steps (Liu et al., eq. 4)."""


class Muon(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Muon for kernels, Adam for everything else.

    Args:
        rate: learning rate of both.
        momentum: of Muon, in Nesterov's form.
        beta_1: of Adam.
        beta_2: of Adam.
        epsilon: of Adam.
        clip: gradients are clipped to this global norm.
        iterations: Newton-Schulz iterations a step.
    """

    def __init__(
        self,
        rate: float,
        *,
        momentum: float = 0.95,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        epsilon: float = 1e-7,
        clip: float | None = None,
        iterations: int = 5,
    ) -> None:
        super().__init__(learning_rate=rate, name="muon", global_clipnorm=clip)
        self.momentum, self.epsilon, self.newton_schulz = momentum, epsilon, iterations
        self.beta_1, self.beta_2 = beta_1, beta_2

    def build(self, variables: list[Any]) -> None:
        """Makes the state: a momentum for every variable, and the second moment of Adam's."""
        if self.built:
            return
        super().build(variables)
        self.first: list[Any] = []
        self.second: list[Any] = []
        for variable in variables:
            add = self.add_variable_from_reference
            self.first.append(add(variable, name="momentum"))
            self.second.append(None if is_matrix(variable.shape) else add(variable, name="velocity"))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable."""
        index = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        m, v = self.first[index], self.second[index]
        if v is None:
            self.assign(m, self.momentum * m + gradient)
            flat = ops.reshape(gradient + self.momentum * m, (-1, variable.shape[-1]))
            size = RMS * math.sqrt(max(int(n) for n in flat.shape))
            step = ops.reshape(orthogonal(flat, self.newton_schulz), variable.shape)
            self.assign_sub(variable, rate * size * step)
            return
        count = ops.cast(self.iterations + 1, variable.dtype)
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        scale = ops.sqrt(1 - ops.power(self.beta_2, count)) / (1 - ops.power(self.beta_1, count))
        self.assign_sub(variable, rate * scale * m / (ops.sqrt(v) + self.epsilon))


def is_matrix(shape: tuple[int, ...]) -> bool:
    """Whether a variable of this shape is a kernel for Muon."""
    return len(shape) > 1 and min(math.prod(shape[:-1]), shape[-1]) >= SMALLEST


def orthogonal(x: Any, iterations: int) -> Any:
    """Nearly U V^T of x = U S V^T: singular values come to about 0.7 to 1.2, which is near enough.

    Args:
        x: matrix ``[m, n]``.
        iterations: of Newton-Schulz.
    """
    a, b, c = ITERATION
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = ops.transpose(x)
    x = x / (ops.norm(x) + 1e-7)  # the spectral norm is at most the Frobenius norm
    for _ in range(iterations):
        square = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return ops.transpose(x) if tall else x
