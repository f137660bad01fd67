from dataclasses import dataclass

import numpy as np


@dataclass
class Stored:
    bits: int
    out_dim: int
    mask: object
    mean: bool


def tensor_bytes(numel, kept, bits, out, mean):
    val = np.where(bits < 16, out * 4.0, 0.0)
    dense = np.ceil(numel * bits / 8) + val
    sparse = np.ceil(numel / 8) + np.ceil(kept * bits / 8) + val + (4 if mean else 0)
    return np.minimum(dense, sparse)


def compact_bytes(state, treatment):
    from safetensors.torch import save

    return save({k: v.detach().clone().contiguous() for k, v in state.items()})
