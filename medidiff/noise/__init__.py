"""The physics of CT and MR noise: simulating it, measuring it, and describing its texture.

Simulating: `insert` adds noise to whole volumes; `ct` makes it in the projection domain (`projector`), `mr`
on the samples of k-space (`kspace`).

Measuring: `estimate` finds the level of a volume from its slices: in soft tissue (`estimate_ct`), in the flat
patches of MR (`estimate_mr`, from which `flatness` takes structure out) and in its background (`air`). `fill`
finds what is no image.

Describing: `spectrum` has reconstruction kernels, noise power spectra and noise drawn from them; `texture`
has the mean frequency and the interpolation of a scan; `floor` has the bias of magnitudes at low signal.
"""
