"""Networks that medidiff is compared with, retrained on the project's own samples.

`spec` lists them, `networks` builds them, `walk` has the processes of those that are diffusion models, `data`
the batches, `training` the loop; ``train.py`` is the command. `peers.trained` runs what was trained.
"""
