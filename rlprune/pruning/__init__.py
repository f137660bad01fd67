"""Pruning operators: which channels go, and what repairs the layers that read them."""
