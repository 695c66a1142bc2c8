"""Attention as something to look at, with its browser code: nothing here runs a model."""
