"""Attention with any number of heads: torch's own layer insists on as many features inside as outside."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class SlimAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` that may have lost heads, or features of its inputs and output.

    Pruning turns torch's class into this one, with the same parameters, names and ``state_dict``. Queries, keys and
    values have ``num_heads * head_dim`` features, inputs and outputs may have more or fewer.
    """

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As ``nn.MultiheadAttention`` takes and answers; a mask is applied even where it is called causal."""
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")  # as torch does
        batched = query.dim() == 3
        if not batched:
            query, key, value = query[None], key[None], value[None]
        elif not self.batch_first:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        q, k, v = (self._heads(x, number) for number, x in enumerate((query, key, value)))
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        k, v, mask = self._extended(k, v, mask)
        if need_weights:
            scores = q @ k.transpose(-2, -1) / self.head_dim**0.5
            weights = (scores if mask is None else scores + mask).softmax(-1)
            weights = functional.dropout(weights, self.dropout, self.training)
            mixed = weights @ v
        else:
            weights = None
            mixed = functional.scaled_dot_product_attention(
                q, k, v, mask, self.dropout if self.training else 0.0, scale=self.head_dim**-0.5
            )
        output = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return output[0], None if weights is None else weights[0]
        return output if self.batch_first else output.transpose(0, 1), weights

    def _heads(self, x: torch.Tensor, number: int) -> torch.Tensor:
        """Queries (0), keys (1) or values (2), ``[batch, heads, positions, head_dim]``."""
        size = self.num_heads * self.head_dim
        if self.in_proj_weight is not None:
            weight = self.in_proj_weight[number * size : (number + 1) * size]
        else:
            weight = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[number]
        bias = None if self.in_proj_bias is None else self.in_proj_bias[number * size : (number + 1) * size]
        projected = functional.linear(x, weight, bias)
        return projected.view(*projected.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2)

    def _extended(
        self, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Keys, values and mask with one more position for ``add_bias_kv`` and one for ``add_zero_attn``."""
        shape = (1, self.num_heads, 1, self.head_dim)
        more = []
        if self.bias_k is not None and self.bias_v is not None:
            more.append((self.bias_k.view(shape), self.bias_v.view(shape)))
        more += [(k.new_zeros(shape), v.new_zeros(shape))] if self.add_zero_attn else []
        for extra_k, extra_v in more:
            k = torch.cat([k, extra_k.expand(len(k), -1, -1, -1)], dim=2)
            v = torch.cat([v, extra_v.expand(len(v), -1, -1, -1)], dim=2)
            mask = None if mask is None else functional.pad(mask, (0, 1))
        return k, v, mask

    def _mask(self, mask: Any, padding: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor | None:
        """Both masks as one that is added to the scores, ``[batch or 1, heads or 1, positions, keys]``."""
        total = _added(mask, q)
        if total is not None and total.dim() == 3:
            total = total.view(q.shape[0], -1, *total.shape[1:])
        if padding is not None:
            hidden = _added(padding, q)
            assert hidden is not None
            hidden = hidden.view(-1, 1, 1, k.shape[2])
            total = hidden if total is None else total + hidden
        return total


def _added(mask: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor | None:
    """A mask as what is added to scores: booleans say what is hidden."""
    if mask is None or mask.is_floating_point():
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, float("-inf"))
