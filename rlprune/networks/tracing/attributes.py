"""Attributes of torch's own modules that repeat a size of one of their tensors."""

from __future__ import annotations

from torch import nn

from rlprune.networks.tracing.records import Size, Trace

AnyBatchNorm = nn.modules.batchnorm._BatchNorm

REPEATED: tuple[tuple[type[nn.Module], str, str, int], ...] = (
    (nn.MultiheadAttention, "embed_dim", "out_proj.weight", 0),
    (nn.MultiheadAttention, "kdim", "in_proj_weight", 1),
    (nn.MultiheadAttention, "vdim", "in_proj_weight", 1),
    (nn.MultiheadAttention, "kdim", "k_proj_weight", 1),
    (nn.MultiheadAttention, "vdim", "v_proj_weight", 1),
    (nn.Linear, "out_features", "weight", 0),
    (nn.Linear, "in_features", "weight", 1),
    (nn.RNNBase, "input_size", "weight_ih_l0", 1),
    (nn.RNNCellBase, "input_size", "weight_ih", 1),
    (nn.RMSNorm, "normalized_shape", "weight", 0),
    (nn.LayerNorm, "normalized_shape", "weight", 0),
    (nn.GroupNorm, "num_channels", "weight", 0),
    (AnyBatchNorm, "num_features", "weight", 0),
    (AnyBatchNorm, "num_features", "running_mean", 0),
    (nn.PReLU, "num_parameters", "weight", 0),
    (nn.Transformer, "d_model", "encoder.layers.0.linear2.weight", 0),
)
"""Module class, attribute, and the tensor and dimension whose size it repeats."""


def repeated_sizes(trace: Trace, model: nn.Module) -> list[Size]:
    """What :data:`REPEATED` says about the modules of ``model``."""
    axes = {(axis.tensor, axis.dim): axis for axis in trace.atoms.axes}
    found = []
    for name, module in model.named_modules():
        for kind, attribute, tensor, dim in REPEATED:
            key = f"{name}.{tensor}" if name else tensor
            axis = axes.get((trace.aliases.get(key, key), dim)) if isinstance(module, kind) else None
            if axis is not None:
                index = 0 if isinstance(getattr(module, attribute), tuple) else None
                found.append(Size(name, attribute, axis.atoms, True, index))
    return found
