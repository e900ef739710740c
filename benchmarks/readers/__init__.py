"""Readers side by side: cases, tools, verdicts, page."""
