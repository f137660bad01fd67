"""The Gymnasium environment in which an agent prunes one network.

Importing this module registers ``rlprune/LayerPruning-v0``.
"""

from __future__ import annotations

import gymnasium

from rlprune.envs.layer_pruning import LayerPruningEnv

ENV_ID = "rlprune/LayerPruning-v0"

__all__ = ["ENV_ID", "LayerPruningEnv"]

if ENV_ID not in gymnasium.registry:
    gymnasium.register(id=ENV_ID, entry_point="rlprune.envs.layer_pruning:LayerPruningEnv")
