"""Inputs that a network of transformers takes, made from its configuration: one sample, always the same."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch

from rlprune.errors import NetworkError, first_sentence
from rlprune.zoo.names import SourceName, image_size

LENGTH = "sequence_length"
SIZE = "image_size"
TOKENS = 128
SIDE = 224
MOST = 2**24  # values of one input
AUDIO_SAMPLES = 16000  # one second of speech as these networks are trained on


def make_inputs(model: Any, name: SourceName) -> dict[str, torch.Tensor]:
    """Keyword arguments of the model's ``forward``, batch 1: pixels, sound, tokens and their mask, decoder tokens.

    Raises:
        NetworkError: the kind of input is not known, or the model does not run on what was made.
    """
    try:
        inputs = _Inputs(model, name).make()
    except NetworkError:
        raise
    except Exception as reason:
        raise NetworkError(f"Inputs for {name.text!r} cannot be made: {first_sentence(reason)} {OTHERWISE}") from reason
    try:
        with torch.no_grad():
            model(**inputs)
    except Exception as reason:
        shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in inputs.items())
        raise NetworkError(f"{name.text!r} does not run on {shapes}: {first_sentence(reason)} {OTHERWISE}") from reason
    return inputs


OTHERWISE = "Correct the options, or give model and inputs by a function of your own (module:function)."


class _Inputs:
    def __init__(self, model: Any, name: SourceName) -> None:
        self.model, self.config, self.name = model, model.config, name
        self.generator = torch.Generator().manual_seed(0)

    def make(self) -> dict[str, torch.Tensor]:
        accepted = inspect.signature(self.model.forward).parameters
        makers: dict[str, Callable[[], torch.Tensor]] = {
            "pixel_values": self.pixels,
            "input_values": lambda: self.noise(AUDIO_SAMPLES),
            "input_features": lambda: self.noise(self.config.num_mel_bins, 2 * self.config.max_source_positions),
            "input_ids": self.tokens,
            "decoder_input_ids": self.tokens,
            "attention_mask": lambda: torch.ones_like(self.tokens()),
        }
        wanted = [key for key in self.wanted() if key in accepted]
        unknown = [key for key in wanted if key not in makers]
        if unknown or not wanted:
            raise NetworkError(f"Inputs for {self.name.text!r} cannot be made ({', '.join(unknown)}). {OTHERWISE}")
        return {key: makers[key]() for key in wanted}

    def wanted(self) -> list[str]:
        main = self.model.main_input_name
        names = [main]
        if main == "input_ids":
            names += ["attention_mask"] + ["pixel_values"] * hasattr(self.config, "vision_config")
        return names + ["decoder_input_ids"] * bool(self.config.is_encoder_decoder)

    def noise(self, *shape: int) -> torch.Tensor:
        if math.prod(shape) > MOST:
            raise NetworkError(f"An input may have at most {MOST} values; {shape} came for {self.name.text!r}.")
        return torch.randn(1, *shape, generator=self.generator)

    def pixels(self) -> torch.Tensor:
        config = getattr(self.config, "vision_config", self.config)
        size = getattr(config, SIZE, None) or self.name.options.get(SIZE) or SIDE
        frames = [config.num_frames] if hasattr(config, "num_frames") else []
        return self.noise(*frames, getattr(config, "num_channels", 3), *image_size(size, self.name))

    def tokens(self) -> torch.Tensor:
        config = self.config if hasattr(self.config, "vocab_size") else self.config.get_text_config()
        length = self.name.options.get(LENGTH) or min(TOKENS, getattr(config, "max_position_embeddings", TOKENS))
        if not isinstance(length, int) or not 1 <= length <= MOST:
            raise NetworkError(f"{LENGTH} must be a positive number; {length!r} in {self.name.text!r}.")
        drawn = torch.randint(0, config.vocab_size, (1, length), generator=self.generator)
        padding = getattr(config, "pad_token_id", None)
        return drawn if padding is None else drawn.masked_fill(drawn == padding, (padding + 1) % config.vocab_size)
