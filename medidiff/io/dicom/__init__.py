"""DICOM: files into stacks of slices, stacks into derived series.

Reading: `file` opens, `header` and `enhanced_header` make a record of each slice or frame (`slice_header`),
`geometry` groups and sorts them into stacks, `reader` with `decoding` and `pixels` gives their values.
Writing: `identity` and `derived_header` (`enhanced_derivation` for enhanced images) say what the new image
is, `encoding` turns values into stored ones, `writer` (`enhanced_writer`) puts the files of a series in their
place. What is odd in a file: `padding`, `damage`, `extent`, `encapsulated` and `codestream`, `real_world`,
`remarks`; `volumes` tells apart what lies at the same positions.
"""
