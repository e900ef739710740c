"""Runner: the worker's process, from start to end."""
