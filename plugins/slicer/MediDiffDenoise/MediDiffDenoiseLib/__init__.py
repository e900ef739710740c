"""What the MediDiff module does, apart from its panel.

`logic.DenoiseLogic` starts the `medidiff` command in its own Python environment (`command`, `runner`,
`protocol`, `environment`: standard library only), moves voxels as NRRD files (`volumes`, `region`) and keeps
provenance (`provenance`); `dicom_export` writes derived DICOM; `parameters` is what the scene and the machine
remember. Nothing here imports medidiff or any of its engines: Slicer's Python stays as it is.
"""
