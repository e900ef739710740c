"""Provenance: what a result says about its origin."""
