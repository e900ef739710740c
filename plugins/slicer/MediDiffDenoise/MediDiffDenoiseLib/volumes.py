"""Volumes: nodes to NRRD files and back."""
