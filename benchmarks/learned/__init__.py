"""Networks that medidiff is compared with, retrained on the project's own samples."""
