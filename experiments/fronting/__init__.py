"""Accuracy, latency, energy and other costs as objectives of their own: fronts, hypervolumes, and choices on them."""
