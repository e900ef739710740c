"""UNetConfig: the network's shape and its exact receptive field, without importing Keras."""

from __future__ import annotations

from dataclasses import dataclass

from medidiff.models.conditioning import WIDTH
from medidiff.models.processes import PLANES


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the strictly local U-Net.

    Attributes:
        channels: features at each resolution, finest first.
        blocks: residual blocks at each resolution, on the way down and again on the way up;
            the coarsest level has them once.
        unshuffle: factor of the pixel-unshuffle stem.
        embedding: width of the conditioning embedding.
        planes: input planes; the process decides (`medidiff.models.processes`).
        condition: length of the conditioning vector, likewise.
    """

    channels: tuple[int, ...] = (32, 64, 96)
    blocks: int = 2
    unshuffle: int = 2
    embedding: int = 64
    planes: int = PLANES
    condition: int = WIDTH

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this many pixels."""
        return int(self.unshuffle * 2 ** (len(self.channels) - 1))

    @property
    def halo(self) -> int:
        """Pixels around a tile that its result may depend on, rounded up to the stride.

        Every 3x3 convolution reaches one cell further at its own resolution; tiles are aligned to the
        stride, so that cells of all resolutions nest and strided layers add nothing more than the rounding.
        """
        radius = 0
        for level in range(len(self.channels)):
            cell = self.unshuffle * 2**level
            passes = 1 if level == len(self.channels) - 1 else 2
            convolutions = 2 * self.blocks * passes + (2 if level == 0 else 0)
            radius += cell * convolutions
        # Between resolutions a reach that ends inside a coarser cell takes in the whole cell.
        return -(-radius // self.stride) * self.stride + self.stride
