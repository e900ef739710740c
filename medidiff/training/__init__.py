"""From clean scans and noise physics to trained weights (TensorFlow or JAX; extra ``train``).

What a run is: `config`; `recipe` reads it from TOML, `limits` refuses what makes no sense. `scans` and
`manifest` find its scans, `pack` carries them to a machine that has none.

From scans to samples, on the CPU: a source (`ct_source` with `ct_cache` and `ct_reference`; `mr_source` with
`mr_stacks` and `mr_own`) simulates noisy slices, `patches` cuts them into `samples`, `inputs` and `variants`
change them for ablations, `loader` makes batches of them in a process of its own (`workers`). The same on an
accelerator, in JAX: `device` and the files ``device_*``; what both decide stands once, in `ct_formulas` and
in the constants of the sources and of `medidiff.noise`.

From samples to weights: `trainer` is the loop, `step` and `step_jax` one step of it, `muon` the optimiser,
`penalties` optional terms of the loss, `start` the first weights, `checkpoint` and `resume` the way back into
a run, `validation` and `logbook` what can be watched.

From weights to a model: `calibration` of the stated SD, `release` of the bundle.
"""
