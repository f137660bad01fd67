"""Profiles of a device for any network: kinds of layers, measured on a grid of sizes."""

from __future__ import annotations

from rlprune.devices.grid.builder import build_layer_profile
from rlprune.devices.grid.layer_profile import LAYER_SCHEMA, LayerProfile

__all__ = ["LAYER_SCHEMA", "LayerProfile", "build_layer_profile"]
