"""Follows the channels of a network through everything it computes; see :mod:`rlprune.tracing.tracer`."""

from rlprune.tracing.listening import Reading, listen

__all__ = ["Reading", "listen"]
