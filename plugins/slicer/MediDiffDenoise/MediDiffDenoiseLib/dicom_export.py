"""DICOM export: a result as a derived series of its source files."""
