"""medidiff: diffusion denoising of CT and MR scans. Research use only. Not a medical device."""

__version__ = "0.1.0"

__all__ = ["__version__"]
