"""Follows the channels of a network through everything it computes; see :mod:`rlprune.networks.tracing.tracer`."""
