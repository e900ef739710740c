"""Protocol: the worker's lines as events."""
