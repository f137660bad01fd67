"""Small trained networks that ship with the project, and the way to bring your own."""

from __future__ import annotations

from rlprune.zoo.loaded import LoadedNetwork
from rlprune.zoo.registry import ZOO, ZooEntry, load_zoo, zoo_entry
from rlprune.zoo.sources import resolve_network

__all__ = ["ZOO", "LoadedNetwork", "ZooEntry", "load_zoo", "resolve_network", "zoo_entry"]
