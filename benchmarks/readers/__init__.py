"""Readers of DICOM side by side: ``python benchmarks/readers``.

Cases (`geometry`, `pixels`, `files`, `frames`) change the series of `scan`; `tools` runs one reader on a
case, `judge` compares what comes back with the truth, `page` writes the table. `readback` reads files that a
tool wrote.
"""
