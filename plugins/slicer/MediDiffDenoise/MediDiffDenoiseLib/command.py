"""Command: the words that start the worker."""
