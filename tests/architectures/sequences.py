"""Transformers, recurrent networks and recommenders."""

from __future__ import annotations

from tests.architectures import (
    attention,
    decoders,
    hugging_face,
    recommenders,
    recurrent,
    transformers,
    vision_transformers,
)

MODULES = (transformers, attention, decoders, vision_transformers, hugging_face, recurrent, recommenders)
ARCHITECTURES = [architecture for module in MODULES for architecture in module.ARCHITECTURES]
