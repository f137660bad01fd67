"""Follows the channels of a network through everything it computes; see :mod:`rlprune.networks.tracing.tracer`."""

from rlprune.networks.listening import Reading, listen

__all__ = ["Reading", "listen"]
