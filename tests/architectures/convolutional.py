"""Convolutional networks."""

from __future__ import annotations

from tests.architectures import branches, details, gates, mobile, norms, plain, residual

MODULES = (plain, residual, mobile, branches, gates, norms, details)
ARCHITECTURES = [architecture for module in MODULES for architecture in module.ARCHITECTURES]
