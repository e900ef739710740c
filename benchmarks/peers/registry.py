"""Which methods compete for which modality, and which do not apply, with the reason."""

from __future__ import annotations

from pathlib import Path

from peers.block_matching import bm3d_blind, bm3d_psd, bm3d_white, bm4d
from peers.given import Peer
from peers.nonlocal_packages import ants, ants_rician, dipy_nlm
from peers.rician import corrected, without_floor
from peers.smoothing import nlm, tv

CT = (
    Peer("TV", tv, "true SD; best of 6 weights against the reference", "skimage"),
    Peer("NLM", nlm, "true SD; best of 4 strengths against the reference", "skimage"),
    Peer("ANTs", ants, "nothing (finds the noise itself); best of 2 radii against the reference", "ants"),
    Peer("BM3D, blind", bm3d_blind, "nothing: SD by the wavelet estimate, white", "bm3d"),
    Peer("BM3D, white", bm3d_white, "true SD, as white noise", "bm3d"),
    Peer("BM3D, true PSD", bm3d_psd, "true SD and radial power spectrum of the inserted noise", "bm3d"),
)

RICIAN = "true SD; variance-stabilised (Foi 2011) or the floor taken off"
MR = (
    Peer("TV", corrected(tv), f"{RICIAN}; best of 24 settings against the reference", "skimage"),
    Peer("NLM", corrected(nlm), f"{RICIAN}; best of 16 settings against the reference", "skimage"),
    Peer(
        "ANTs (Rician)",
        without_floor(ants_rician),
        "that noise is Rician, the slab (finds the level itself); best of 2 radii and 3 floor corrections",
        "ants",
    ),
    Peer(
        "dipy NLM (Rician)",
        dipy_nlm,
        "true SD, that noise is Rician, the slab; best of 3 radii against the reference",
        "dipy",
    ),
    Peer("BM3D", corrected(bm3d_white), f"{RICIAN}; best of 4 against the reference", "bm3d"),
    Peer("BM4D", corrected(bm4d), f"{RICIAN}, the slab; best of 4 against the reference", "bm4d"),
)

NOT_APPLICABLE = {
    "mr": {
        "MPPCA": "needs a series of many volumes of one object (diffusion, fMRI): its noise components are "
        "those of the patch-by-volume matrix, which one volume does not have",
        "Patch2Self": "learns each volume of a diffusion series from the others; one volume has no others",
    },
    "ct": {},
}


def peers_for(modality: str, weights: Path | None = None) -> tuple[Peer, ...]:
    """The methods of a modality.

    Args:
        modality: ``"ct"`` or ``"mr"``.
        weights: folder of retrained networks (`learned/train.py`); None for none.
    """
    fixed = CT if modality == "ct" else MR
    if weights is None:
        return fixed
    from peers.trained import trained_peers

    return (*fixed, *trained_peers(modality, weights))
