"""Models of the transformers package, built from small configurations; nothing is downloaded."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.examples import OUTPUT, TABLE, normal, token_ids

VOCABULARY, LENGTH = 60, 10


def model(architecture: str, config: str, attention: str | None = None, **settings: Any) -> nn.Module:
    """One of its models with random weights; ``attention`` is ``eager``, or None for the package's own choice.

    The package's first weights are so small that attention and much else hardly change the output: these are larger.
    """
    import transformers

    configuration = getattr(transformers, config)(**settings)
    if attention is not None:
        configuration._attn_implementation = attention
        configuration._experts_implementation = attention
    network = getattr(transformers, architecture)(configuration).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=(parameter.shape[-1] if parameter.dim() < 4 else parameter[0].numel()) ** -0.5)
    return network


def entry(
    name: str, pattern: str, inputs: Any, architecture: str, config: str, attention: str | None = None, *,
    groups: int | None = None, whole: tuple[str, ...] = (), reason: str = OUTPUT, **settings: Any,
) -> Architecture:  # fmt: skip
    """``whole``: layers that stay whole for ``reason``."""
    build = partial(model, architecture, config, attention, **settings)
    return Architecture(name, pattern, build, inputs, dict.fromkeys(whole, reason), groups, "transformers")


def ids() -> dict[str, torch.Tensor]:
    return {"input_ids": token_ids(LENGTH, VOCABULARY)}


def masked_ids() -> dict[str, torch.Tensor]:
    mask = torch.ones(2, LENGTH, dtype=torch.int64)
    mask[1, 6:] = 0
    return {"input_ids": token_ids(LENGTH, VOCABULARY), "attention_mask": mask}


def both_sentences() -> dict[str, torch.Tensor]:
    return {"input_ids": token_ids(LENGTH, VOCABULARY), "decoder_input_ids": token_ids(LENGTH - 3, VOCABULARY, seed=1)}


def pixels() -> dict[str, torch.Tensor]:
    return {"pixel_values": normal(2, 3, 32, 32)}


def image_and_text() -> dict[str, torch.Tensor]:
    return {**masked_ids(), **pixels()}


BERT = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 16,
}  # fmt: skip
LLAMA = {**BERT, "num_key_value_heads": 2, "use_cache": False, "pad_token_id": 0}
GPT2 = {
    "vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16, "use_cache": False,
    "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
T5 = {
    "vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4,
    "use_cache": False, "decoder_start_token_id": 0,
}  # fmt: skip
VIT = {
    "image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "num_labels": 5,
}  # fmt: skip
BART = {
    "vocab_size": VOCABULARY, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 40, "max_position_embeddings": 16,
    "use_cache": False,
}  # fmt: skip
CLIP = {
    "text_config": {**BERT, "bos_token_id": 0, "eos_token_id": VOCABULARY - 1, "num_hidden_layers": 1},
    "vision_config": {**VIT, "num_hidden_layers": 1},
    "projection_dim": 24,
}

ARCHITECTURES = [
    entry("hf-bert", "eager attention", ids, "BertModel", "BertConfig", "eager", **BERT),
    entry("hf-bert-classifier", "attention mask", masked_ids, "BertForSequenceClassification", "BertConfig", **BERT,
          groups=6, whole=("classifier",)),
    entry("hf-albert", "shared layer", ids, "AlbertModel", "AlbertConfig", "eager", **BERT, embedding_size=16),
    entry("hf-distilbert", "two labels", ids, "DistilBertForSequenceClassification", "DistilBertConfig",
          vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=16,
          groups=6, whole=("classifier",)),
    entry("hf-gpt2", "Conv1D, tied output layer", ids, "GPT2LMHeadModel", "GPT2Config", "eager", **GPT2,
          groups=5, whole=("lm_head",), reason=TABLE),
    entry("hf-llama", "grouped-query attention", ids, "LlamaForCausalLM", "LlamaConfig", **LLAMA,
          groups=5, whole=("lm_head",)),
    entry("hf-llama-eager", "grouped-query attention, repeat_kv", ids, "LlamaForCausalLM", "LlamaConfig",
          "eager", **LLAMA,
          groups=5, whole=("lm_head",)),
    entry("hf-qwen3", "norms of queries and keys", ids, "Qwen3ForCausalLM", "Qwen3Config", **LLAMA, head_dim=8,
          groups=5, whole=("lm_head",)),
    entry("hf-mixtral", "experts", ids, "MixtralForCausalLM", "MixtralConfig", "eager", **LLAMA,
          num_local_experts=3, num_experts_per_tok=2),
    entry("hf-bloom", "ALiBi, fused qkv", ids, "BloomForCausalLM", "BloomConfig", vocab_size=VOCABULARY, hidden_size=32,
          n_layer=2, n_head=4, use_cache=False,
          groups=5, whole=("lm_head",), reason=TABLE),
    entry("hf-gpt-neox", "partial rotary, fused qkv", ids, "GPTNeoXForCausalLM", "GPTNeoXConfig", **BERT,
          use_cache=False,
          groups=5, whole=("lm_head",)),
    entry("hf-opt", "learned positions, tied output layer", ids, "OPTForCausalLM", "OPTConfig",
          vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48,
          max_position_embeddings=16, word_embed_proj_dim=32, use_cache=False,
          groups=5, whole=("lm_head",), reason=TABLE),
    entry("hf-mamba", "selective state space", ids, "MambaForCausalLM", "MambaConfig", vocab_size=VOCABULARY,
          hidden_size=32, num_hidden_layers=2, state_size=6, time_step_rank=4, use_cache=False,
          groups=7, whole=("lm_head",), reason=TABLE),
    entry("hf-t5", "relative biases, encoder and decoder", both_sentences, "T5ForConditionalGeneration", "T5Config",
          **T5),
    entry("hf-t5-encoder", "relative biases", ids, "T5EncoderModel", "T5Config", **T5),
    entry("hf-bart", "cross attention", both_sentences, "BartModel", "BartConfig", **BART),
    entry("hf-deberta-v2", "disentangled attention", ids, "DebertaV2Model", "DebertaV2Config", **BERT,
          relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=8),
    entry("hf-vit", "patches", pixels, "ViTForImageClassification", "ViTConfig", "eager", **VIT,
          groups=5, whole=("classifier",)),
    entry("hf-vit-sdpa", "patches, default attention", pixels, "ViTForImageClassification", "ViTConfig", **VIT,
          groups=5, whole=("classifier",)),
    entry("hf-dinov2", "layer scale", pixels, "Dinov2ForImageClassification", "Dinov2Config", **VIT, mlp_ratio=2),
    entry("hf-clip", "two towers", image_and_text, "CLIPModel", "CLIPConfig", **CLIP),
    entry("hf-swin", "windows", pixels, "SwinForImageClassification", "SwinConfig", image_size=32, patch_size=4,
          embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4, mlp_ratio=2.0, num_labels=5,
          groups=10, whole=("classifier",)),
    entry("hf-segformer", "reduced keys, depthwise MLP", pixels, "SegformerForSemanticSegmentation", "SegformerConfig",
          num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[16, 32], num_attention_heads=[2, 4],
          patch_sizes=[3, 3], strides=[2, 2], mlp_ratios=[2, 2], decoder_hidden_size=24, num_labels=4),
    entry("hf-resnet", "bottlenecks", pixels, "ResNetForImageClassification", "ResNetConfig", embedding_size=16,
          hidden_sizes=[16, 32], depths=[1, 2], layer_type="bottleneck", num_labels=5,
          groups=8, whole=("classifier.1",)),
    entry("hf-mobilenet-v2", "inverted residuals", pixels, "MobileNetV2ForImageClassification", "MobileNetV2Config",
          depth_multiplier=0.25, min_depth=8, image_size=32, num_labels=5),
    entry("hf-convnext", "layer scale, channels last", pixels, "ConvNextForImageClassification", "ConvNextConfig",
          hidden_sizes=[16, 32], depths=[1, 2], num_stages=2, patch_size=2, num_labels=5,
          groups=5, whole=("classifier",)),
]  # fmt: skip
