"""What the MediDiff module does: imports go within a layer, or to one below it.

Nothing imports medidiff or its engines: Slicer's Python stays as it is.

Panel (qt): `widget` ties the others together. `runsection`, `comparesection`, `machinesection`,
`modelbox` and `logbox` each answer for a part of the form. `comparison` arranges the slice views,
`onscreen` looks at them. `jobdriver` polls a job from a timer. `parameters` is what the scene and the
machine remember.

Scene (slicer, vtk, numpy): `logic` is what scripts use. `volumes` takes nodes to files and back,
`results` makes the output nodes. `region` is a ROI in voxels. `modality` is read from nodes, `provenance`
written to them. `dicom_export` prepares a derived series, `nifti` writes the voxels of a tilted one.

Worker (standard library alone): `job` is one run of it, `check` asks it about itself, `runner` is its
process. `command` has its words, `protocol` its events, `environment` its Python and variables. `report`
and `joberror` are what it says, in words for people; `readiness` is what stands in the way of a run.

Test: `selftest` is MediDiffDenoiseTest; `stubworker` stands in for medidiff in it.
"""
