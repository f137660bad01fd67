"""What single operations do to channels: each stands between two layers."""

from __future__ import annotations

import numpy as np
import pytest

from rlprune.networks.groups import Group
from rlprune.networks.network import Network
from rlprune.networks.tracing import rules
from tests.sandwich import CHANNELS, prove, prove_reference, sandwich


def listed(kind: str, text: str) -> list[tuple[str, str]]:
    return [(kind, line.strip()) for line in text.strip().splitlines()]


ELEMENT_WISE = listed(
    "image",
    """
    F.relu(x).neg().abs()
    F.relu_(x)
    F.relu6(F.leaky_relu(x)) + F.elu(x) * F.selu(x) - F.celu(x)
    F.gelu(x) + F.gelu(x, approximate="tanh") + F.silu(x) + F.mish(x) + F.hardswish(x)
    F.hardsigmoid(x) + F.hardtanh(x) + F.softplus(x) + F.softsign(x) + F.logsigmoid(x) + x.sigmoid()
    F.tanhshrink(x) + F.softshrink(x) + F.hardshrink(x) + F.threshold(x, 0.1, 0.0) + x.tanh()
    F.rrelu(x)
    F.prelu(x, torch.full((1,), 0.1))
    F.dropout(x, 0.5, False) + F.dropout2d(x, 0.5, False) + F.alpha_dropout(x, 0.5, False)
    -x ** 2 + 2 ** x - x / 3 + 3 / (x.abs() + 1) + 1 - x % 0.5
    x.exp() + x.expm1() + x.abs().log1p() + x.sin() * x.cos() + x.atan() + x.asinh() + x.sinh() - x.cosh()
    x.erf() + x.erfc() + x.sign() + x.round() + x.floor() + x.ceil() + x.trunc() + x.frac() + x.square()
    x.abs().sqrt() + x.abs().rsqrt().clamp(max=3) + x.reciprocal().clamp(-1, 1) + x.sigmoid().logit(1e-3)
    x.lerp(x * 2, 0.3) + torch.lerp(x, x.tanh(), x.sigmoid())
    x.clamp(-1, 1) + x.clip(min=0) + x.clamp_min(0.0) + x.clamp_max(0.5) + x.nan_to_num()
    x.masked_fill(x > 0, 0.0) + torch.where(x > 0, x, 0.1 * x) + torch.where(x > 0, x, torch.tensor(0.5))
    (x > 0).to(x.dtype) * x + x.ge(0.1).logical_and(x.le(1)).type_as(x) + (x > 0).logical_not().to(x)
    torch.maximum(x, -x) + torch.minimum(x, x * 2) + torch.max(x, x.tanh()) + torch.fmax(x, -x)
    torch.hypot(x, x) + torch.atan2(x, x.cos()) + torch.copysign(x, x.sin()) + torch.logaddexp(x, -x)
    torch.addcmul(x, x, x, value=0.5) + torch.addcdiv(x, x, x.exp()) + torch.fmod(x, 1.0) + torch.remainder(x, 1.0)
    torch.xlogy(x.abs(), x.abs() + 1) + torch.special.i0(x.tanh()) + torch.special.entr(x.sigmoid())
    torch.lgamma(x.exp()) + torch.digamma(x.exp()) + torch.polygamma(1, x.exp()) + torch.heaviside(x, x)
    x.add_(1).mul_(2).sub_(0.5).div_(3).clamp_(-1, 1).tanh_()
    x.clone().detach().contiguous(memory_format=torch.channels_last).data
    x.new_zeros(x.shape) + x.new_ones(x.shape) * x + x.new_full(x.shape, 2.0) + x.new_tensor(1.0) * x
    torch.zeros(x.shape) + torch.ones(x.size()) * x + torch.full(x.size(), 0.5)
    torch.zeros_like(x).add_(x) + torch.full_like(x, 3) * x + torch.empty_like(x).copy_(x) + torch.ones_like(x)
    x.sum() * 0 + x.fill_(0.5) + x
    torch.utils.checkpoint.checkpoint(torch.relu, x, use_reentrant=False)
    torch.vmap(torch.tanh)(x)
    torch.where(torch.isfinite(x), x, 0) + x.isnan().to(x)
    """,
)
SPATIAL = (
    listed(
        "image",
        """
    F.max_pool2d(x, 2)
    F.max_pool2d(x, 2, return_indices=True)[0]
    F.avg_pool2d(x, 3, 1, 1)
    F.lp_pool2d(x, 2, 2)
    F.avg_pool2d(x, x.size()[2:]) + F.adaptive_avg_pool2d(x, 1) + F.adaptive_max_pool2d(x, 1)
    F.interpolate(x, scale_factor=2) + F.interpolate(x, scale_factor=2, mode="bilinear")
    F.interpolate(x, size=9, mode="bicubic", align_corners=True) + F.interpolate(x, size=9, mode="nearest-exact")
    F.interpolate(x, size=4, mode="area") + F.interpolate(x, size=4, mode="bilinear", antialias=True)
    F.grid_sample(x, F.affine_grid(torch.eye(2, 3).to(x).expand(2, 2, 3), (2, 1, 5, 5)))
    F.pad(x, (1, 1, 1, 1)) + F.pad(x, (1, 1, 1, 1), mode="reflect") + F.pad(x, (1, 1, 1, 1), mode="replicate")
    F.pad(x, (0, 0, 0, 0, 0, 4))
    F.pad(x, (0, 0, 0, 0, 2, 4))
    F.unfold(x, 3).view(2, -1, 4, 4)
    F.pixel_unshuffle(x, 2)
    F.instance_norm(x)
    F.layer_norm(x, (6, 6))
    F.normalize(x, dim=(2, 3))
    F.batch_norm(x, None, None, training=True)
    F.conv2d(x, torch.ones(x.shape[1], 1, 3, 3).to(x) / 9, groups=x.shape[1], padding=1)
    F.conv_transpose2d(x, torch.ones(x.shape[1], 1, 2, 2).to(x), stride=2, groups=x.shape[1])
    F.conv2d(x.flatten(0, 1)[:, None], torch.ones(1, 1, 3, 3).to(x) / 9, padding=1).view_as(x)
    F.softmax(x.flatten(2), -1).view_as(x) + x.softmax(-1) + x.log_softmax(-2) + F.softmin(x, -1)
    F.scaled_dot_product_attention(x, x, x)
    """,
    )
    + listed(
        "sequence",
        """
    F.max_pool1d(x, 2) + F.avg_pool1d(x, 2) + F.lp_pool1d(x, 2, 2)
    F.adaptive_avg_pool1d(x, 3) + F.adaptive_max_pool1d(x, 3)
    F.interpolate(x, scale_factor=2) + F.interpolate(x, scale_factor=2, mode="linear")
    F.pad(x, (4, 0)) + F.pad(x, (2, 2), mode="reflect") + F.pad(x, (2, 2), mode="replicate")
    F.instance_norm(x)
    F.unfold(x[..., None, :], (1, 3)).view(2, -1, 10)
    torch.cat([x, x.flip(2)], 1)
    torch.cat([x.mean(2), x.std(2)], 1).unsqueeze(2)
    (x * x.softmax(2)).sum(2, keepdim=True)
    """,
    )
    + listed(
        "volume",
        """
    F.max_pool3d(x, 2) + F.avg_pool3d(x, 2) + F.lp_pool3d(x, 2, 2) + F.adaptive_max_pool3d(x, 2)
    F.interpolate(x, scale_factor=2) + F.interpolate(x, scale_factor=2, mode="trilinear")
    F.pad(x, (1,) * 6, mode="reflect") + F.pad(x, (1,) * 6, mode="replicate")
    F.grid_sample(x, torch.full((2, 3, 3, 3, 3), 0.2).to(x))
    x.transpose(1, 2).flatten(0, 1).relu().unflatten(0, (2, 4)).transpose(1, 2)
    x.permute(0, 2, 1, 3, 4).reshape(8, -1, 4, 4).mean((2, 3)).view(2, 4, -1).transpose(1, 2)[..., None, None]
    """,
    )
)
SHAPES = (
    listed(
        "image",
        """
    x.mean((2, 3), keepdim=True) * x + x.amax(3, keepdim=True) + x.min(2, keepdim=True).values
    x.var((2, 3), keepdim=True) + x.std(3, keepdim=True) + torch.var_mean(x, 2, keepdim=True)[1]
    x.prod(3, keepdim=True) + x.median(-1, keepdim=True)[0] + x.mode(3, keepdim=True)[0] + x.nansum(3, keepdim=True)
    x.argmax(3, keepdim=True).to(x) + x.all(3, keepdim=True).to(x) + x.logsumexp(2, keepdim=True)
    torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True) + x.norm(dim=3, keepdim=True)
    x.cumsum(-1) + x.cumprod(-1) + x.logcumsumexp(2) + x.sort(-1)[0] + x.argsort(-1).to(x)
    x.diff(dim=-1) + x.topk(5, dim=-1)[0] + x.unfold(3, 2, 1).mean(-1)
    x.roll(1, -1) + x.roll((1, 2), (2, 3)) + x.flip((2, 3))
    x.transpose(2, 3) + x.mT + x.permute(0, 1, 3, 2) + x.swapdims(2, 3) + torch.einsum("bchw->bcwh", x)
    x.movedim(1, -1).moveaxis(-1, 1) + x.unsqueeze(2).squeeze(2) + x[..., None][..., 0] + x[:, None][:, 0]
    x.narrow(2, 1, 3)[..., ::2] + x[:, :, 1:4, ::2] + x[:, :, [0, 1, 2]][..., :3]
    x.index_select(2, torch.tensor([0, 1])) + x.take_along_dim(x.argsort(2), 2)[:, :, :2]
    x.gather(2, x.argsort(2)) + x.scatter(2, x.argsort(2), x) + x.scatter_add(2, x.argsort(2), x)
    x.index_add(2, torch.tensor([0]), x[:, :, :1]) + x.index_copy(2, torch.tensor([0]), x[:, :, :1])
    x.index_put((torch.tensor([0]),), x[:1] * 2)
    torch.stack(x.unbind(2), 2) + torch.stack([x, x.tanh()], 2).sum(2) + torch.stack([x, x.tanh()], 0).mean(0)
    torch.stack([x, x.tanh()], 1).flatten(1, 2)
    torch.stack([x, x.tanh()], 2).flatten(1, 2)
    torch.cat([x, x.tanh()], 1)
    torch.cat([x, torch.zeros(2, 1, 6, 6).to(x)], 1)
    torch.cat([x, x], 2) + torch.dstack([x, x]) + x.repeat(1, 1, 2, 1) + x.repeat_interleave(2, 2)
    torch.hstack([x, x]) + x.repeat(1, 2, 1, 1) + x.tile(1, 2, 1, 1)
    x.repeat_interleave(2, 1)
    x.mean((2, 3), keepdim=True).expand_as(x) + x.expand(2, -1, 6, 6) + x.broadcast_to(x.shape)
    x.reshape(2, -1, 6, 6) + x.flatten(2).unflatten(2, (6, 6)) + x.flatten(1).view_as(x) + x.ravel().view_as(x)
    x.view(2, x.shape[1] * 2, 3, 6)
    x.reshape(2, x.shape[1], 3, 2, 3, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, x.shape[1] * 4, 3, 3)
    x.reshape(2, x.shape[1], 3, 2, 3, 2).amax((3, 5)) + x.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2))
    x.as_strided(x.shape, x.stride()) + torch.atleast_3d(x)
    torch.matmul(x, x.transpose(2, 3)) + x @ torch.ones(6, 6).to(x) + torch.einsum("bchw,bchv->bcwv", x, x)
    torch.tensordot(x, torch.ones(6, 3).to(x), dims=1) + F.linear(x, torch.ones(3, 6).to(x))
    torch.einsum("bchw,bdhw->bcd", x, x)[..., None].sum(2, keepdim=True)
    F.conv2d(x, torch.ones(4, x.shape[1], 1, 1).to(x))
    """,
    )
    + listed(
        "tokens",
        """
    x.mean(1) + x.sum(1) + x.max(1).values + x[:, 0] + x[:, -1]
    x[:, :-1] - x[:, 1:] + x.cumsum(1)[:, 1:]
    x.reshape(-1, x.shape[-1]) + x.reshape(10, -1) + x.flatten(0, 1)
    x.flatten(1)
    (x @ x.mT / 3).softmax(-1) @ x + torch.bmm(x @ x.mT, x) + torch.baddbmm(x, x @ x.mT, x)
    F.scaled_dot_product_attention(x, x, x, scale=0.1)
    torch.einsum("bnd,bmd->bnm", x, x).softmax(-1) @ x + torch.einsum("bnd,bmd,bme->bne", x, x, x)
    torch.einsum("bnd,bnd->bn", x, x)[..., None] * x * torch.matmul(x, x[0, 0])[..., None]
    torch.einsum("bid,bjd->bijd", x, x).sum(2)
    torch.inner(x, x).mean((2, 3))[..., None] * x + torch.linalg.vecdot(x, x)[..., None] * x
    torch.cat([x.sin(), x.cos()], -1)
    torch.cat([torch.zeros(2, 1, x.shape[-1]).to(x), x, x[:, :1], x.mean(1, keepdim=True)], 1)
    torch.cat([x.max(1)[0], x.mean(1)], -1)
    F.avg_pool1d(x.transpose(1, 2), 2).transpose(1, 2) + F.max_pool1d(x.transpose(1, 2), 2).transpose(1, 2)
    F.conv1d(x.transpose(1, 2), torch.ones(x.shape[-1], 1, 3).to(x), groups=x.shape[-1]).transpose(1, 2)
    F.pad(x, (0, 0, 1, 1))
    F.pad(x, (1, 1))
    x.gather(1, torch.zeros(2, 2, x.shape[-1], dtype=torch.long)) + x[:, torch.tensor([2, 1])]
    x[torch.arange(2), torch.tensor([1, 3])]
    x[torch.arange(2)[:, None], torch.tensor([[1, 3], [0, 1]])]
    x[:, torch.tensor([[0, 1], [1, 2]])].flatten(2, 3)
    x[:, torch.tensor([True, True, False, True, False])]
    x.masked_fill(torch.tensor([True, True, False, True, False])[None, :, None], 0)
    torch.gather(x, 1, torch.topk(x.sum(-1), 2, dim=1)[1].unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    torch.zeros(2, 3, x.shape[-1]).to(x).scatter_add(1, torch.zeros(2, 5, x.shape[-1], dtype=torch.long), x)
    torch.zeros(3, x.shape[-1]).to(x).index_add(0, torch.tensor([0, 1, 1, 2, 0]), x[0])
    torch.nn.utils.rnn.pad_sequence([x[0], x[1, :3]], batch_first=True)
    torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True).data
    F.linear(x, torch.ones(4, x.shape[-1]).to(x))
    """,
    )
    + listed(
        "rows",
        """
    F.batch_norm(x, torch.zeros(x.shape[1]).to(x), torch.ones(x.shape[1]).to(x))
    x[:, :, None, None].expand(-1, -1, 2, 2).flatten(1)
    (x @ x.T).softmax(-1) @ x + torch.eye(3).to(x) @ x + x.sum(0, keepdim=True) + x.std(0)
    x @ x.T
    x[torch.tensor([0, 1, 1, 2])] + torch.cat([x[:1], x], 0)
    torch.zeros(3, x.shape[1]).to(x).index_add(0, torch.tensor([0, 1, 1]), x)
    torch.stack([x, x], 2).flatten(1)
    torch.cat([x, x * x], 1)
    """,
    )
    + listed(
        "flat",
        """
    x.relu()
    x.permute(0, 2, 3, 1)
    x.transpose(1, 3)
    x.flatten(2).transpose(1, 2)
    x.view(x.size(0), x.size(1), -1)
    torch.cat([x.flatten(1), x.mean((2, 3))], 1)
    torch.cat([F.adaptive_avg_pool2d(x, s).flatten(1) for s in (1, 2, 3)], 1)
    F.unfold(x, 3)
    x.view(2, -1).unflatten(1, (-1, 36))
    """,
    )
)
RENORMALISED = listed(
    "image",
    """
    F.group_norm(x, 1)
    F.normalize(x, dim=1) + F.normalize(x, dim=1, p=1) + F.normalize(x, p=float("inf"), dim=1)
    F.rms_norm(x.movedim(1, -1), (x.shape[1],)).movedim(-1, 1)
    x.mean(1, keepdim=True) + x + x.amax(1, keepdim=True) + x.max(1, keepdim=True)[0] + x.min(1)[0][:, None]
    (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    x.norm(dim=1, keepdim=True) + torch.linalg.norm(x, dim=1, keepdim=True) + x.logsumexp(1, keepdim=True) + x
    torch.cat([x, x.mean(1, keepdim=True)], 1)
    F.cosine_similarity(x, x.tanh(), dim=1)[:, None]
    x.mean() + x.std() + x.abs().max() + x.norm() + x
    """,
) + listed(
    "tokens",
    """
    F.layer_norm(x, x.shape[-1:]) + F.rms_norm(x, x.shape[-1:])
    x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
    """,
)
"""A statistic over the channels that are left: dead channels planted into the dense network are no reference."""

SUMMED = listed(
    "image",
    """
    x.sum(1, keepdim=True) + x
    (x.sigmoid().sum(1, keepdim=True) + x.sum()) * x
    """,
)
"""Where it is read, a dead channel is not zero, but what makes it is read by a sum."""

PIECES = [
    ("image", "F.glu(x, 1)", 4),
    ("image", "x.chunk(2, 1)[0] * x.chunk(2, 1)[1].sigmoid()", 4),
    ("image", "torch.cat(x.chunk(2, 1)[::-1], 1)", 4),
    ("image", "torch.tensor_split(x, 2, 1)[0] + torch.hsplit(x, 2)[1] + x.unsafe_chunk(2, 1)[0]", 4),
    ("image", "x[:, ::2] - x[:, 1::2]", 4),
    ("image", "x[:, 1:8:2] + x[:, 0:-1:2]", 4),
    ("image", "x[:, 3:8:4]", 2),
    ("image", "x[:, : x.shape[1] // 2] * x[:, x.shape[1] // 2 :]", 4),
    ("image", "torch.cat([x[:, x.shape[1] // 2 :], x[:, : x.shape[1] // 2]], 1)", 4),
    ("image", "F.pixel_shuffle(x, 2)", 2),
    ("image", "F.channel_shuffle(x, 2)", 4),
    ("image", "F.group_norm(x, 2)", 4),
    ("image", "x.view(2, 2, -1, 6, 6).transpose(1, 2).reshape(2, -1, 6, 6)", 4),
    ("image", "x.view(2, -1, 2, 6, 6).transpose(1, 2).reshape(2, -1, 6, 6)", 4),
    ("image", "x.unflatten(1, (2, -1)).sum(1) + x.view(2, 2, -1, 6, 6).max(1)[0]", 4),
    ("image", "x.view(2, -1, 2, 6, 6).sum(2)", 4),
    ("image", "x.view(2, 2, -1, 6, 6).softmax(1).flatten(1, 2)", 4),
    ("image", "x.reshape(2, -1, 2, 2, 6, 6).permute(0, 1, 4, 2, 5, 3).reshape(2, -1, 12, 12)", 2),
    ("tokens", "F.glu(x) + F.silu(x.chunk(2, -1)[0]) * x.chunk(2, -1)[1]", 4),
    ("tokens", "torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)", 4),
    ("tokens", "x.view(2, 5, 2, -1).flatten(2)", 2),
    ("tokens", "x.view(2, 5, -1, 2).flatten(2)", 4),
    ("tokens", "x.view(2, 5, 2, -1).mean(2)", 4),
    ("tokens", "x.view(2, 5, 2, -1).permute(0, 2, 1, 3).reshape(4, 5, -1)", 4),
    (
        "tokens",
        "F.scaled_dot_product_attention(*[x.unflatten(-1, (-1, 2)).transpose(1, 2)] * 3).transpose(1, 2).flatten(2)",
        4,
    ),
    ("rows", "x.view(3, 2, -1).max(1)[0] + x.view(3, 2, -1).sum(1)", 4),
    ("rows", "x.view(-1, x.shape[1] // 4, 2, 2).mean((2, 3))", 2),
    ("flat", "x.view(2, 2, -1)", 2),
    ("flat", "x.view(2, -1, 72).mean(2)", 4),
    ("flat", "x.view(2, -1, 48).mean(2)", 2),
    ("flat", "x.view(2, -1).chunk(2, 1)[1]", 4),
    ("sequence", "F.group_norm(x, 4)", 2),
    ("sequence", "x.view(2, x.shape[1] // 2, x.shape[2] * 2)", 4),
]
"""Kind, operation, and how many sets of channels can be removed."""

MIXED = [
    ("image", "F.softmax(x, 1)", "softmax in the network mixes its channels"),
    ("image", "x.log_softmax(1)", "log_softmax in the network mixes its channels"),
    ("image", "x.cumsum(1)", "cumsum in the network mixes its channels"),
    ("image", "x.sort(1).values", "sort in the network mixes its channels"),
    ("image", "x.topk(4, dim=1)[0]", "topk in the network mixes its channels"),
    ("image", "x.roll(1, 1)", "roll in the network moves its channels"),
    ("image", "x.prod(1, keepdim=True) + x", "prod in the network mixes its channels"),
    ("image", "x.median(1, keepdim=True)[0] + x", "median in the network mixes its channels"),
    ("image", "x.argmax(1, keepdim=True).to(x) + x", "argmax in the network mixes its channels"),
    ("image", "x.any(1, keepdim=True).to(x) + x", "any in the network mixes its channels"),
    ("image", "F.local_response_norm(x, 3)", "avg_pool3d in the network mixes its channels"),
    ("image", "x.unfold(1, 2, 2).sum(-1)", "unfold in the network mixes its channels"),
    ("image", "x.select(1, 2)[:, None]", "picks single channels"),
    ("image", "torch.stack(x.unbind(1)[::-1], 1)", "picks single channels"),
    ("image", "x[:, torch.tensor([True, False] * 4)]", "looks channels up"),
    ("image", "x[:, 0:1]", "cannot be removed"),
    ("image", "x[:, :4:2]", "takes one in 2 of a part of its channels"),
    ("image", "x[:, :7:3]", "takes one in 3 of a part of its channels"),
    ("image", "x * torch.arange(8.0).view(1, -1, 1, 1).to(x)", "others that cannot be removed"),
    ("image", "x + torch.linspace(0, 1, x.shape[1]).view(1, -1, 1, 1).to(x)", "others that cannot be removed"),
    ("image", "F.layer_norm(x, x.shape[1:])", "normalises several dimensions"),
    ("image", "F.conv2d(x, torch.ones(4, 8, 1, 1).to(x))", "the pruned network fails"),
    ("image", "x.view(2, 8, 36)[..., None]", "the pruned network fails"),
    ("image", "x.split([2, 6], 1)[1]", "the pruned network fails"),
    ("image", "x * x.shape[1]", "mixes its channels"),
    ("image", "torch.cat(x.chunk(3, 1)[::-1], 1)", "mixes its channels"),
    ("tokens", "x.softmax(-1)", "softmax in the network mixes its channels"),
    ("tokens", "(x @ x.mT * x.shape[-1] ** -0.5).softmax(-1) @ x", "mixes its channels"),
    ("tokens", "F.avg_pool1d(x, 2)", "avg_pool2d in the network mixes its channels"),
    ("tokens", "F.layer_norm(x, (8,))", "the pruned network fails"),
    ("tokens", "x if x.shape[-1] > 4 else x * 2", "mixes its channels"),
    ("rows", "(x[:, None] * x[:, :, None]).flatten(1)", "merges it with another dimension"),
    ("rows", "F.embedding(x.argmax(1), torch.ones(9, 5).to(x))", "argmax in the network mixes its channels"),
    ("flat", "x.view(2, 36, 8).transpose(1, 2)", "the pruned network fails"),
]
"""Kind, operation, and a part of the reason why the channels in front of it stay."""

NOT_FOLLOWED = (
    listed(
        "image",
        """
    x.apply_(abs)
    torch.linalg.qr(x)[0]
    torch.linalg.svdvals(x)[..., None]
    torch.linalg.inv(torch.eye(6).to(x) + 0.01 * x)
    torch.linalg.det(torch.eye(6).to(x) + 0.01 * x)[..., None, None]
    torch.linalg.solve(torch.eye(6).to(x) + 0.01 * x, x)
    torch.linalg.cholesky(torch.eye(6).to(x) + 0.01 * x @ x.mT)
    torch.matrix_exp(0.01 * x)
    torch.cross(x[..., :3], x[..., 3:], dim=-1)
    torch.block_diag(x[0, :, :, 0])[None, :, :, None]
    torch.take(x, torch.arange(6))[None, :, None, None]
    torch.renorm(x, 2, 1, 1.0)
    x.masked_scatter(x > 0, x.abs())
    x.nonzero().sum() * 0.001 + x
    x[x > 0].sum() * 0.01 + x
    torch.masked_select(x, x > 0).sum() * 0.01 + x
    torch.unique(x).numel() * 0.001 + x
    torch.dist(x, x * 2) + x
    torch.fft.fft(x, dim=1).abs()
    x.index_fill(1, torch.tensor([0]), 0.0)
    torch.slice_scatter(x, x[:, :4] * 2, dim=1, start=0, end=4)
    torch.bucketize(x, torch.linspace(-1, 1, 5).to(x)).to(x)
    """,
    )
    + listed(
        "tokens",
        """
    torch.cdist(x, x)
    torch.segment_reduce(x.flatten(0, 1), "sum", lengths=torch.tensor([4, 6]))
    torch.nested.nested_tensor([x[0], x[1]]).to_padded_tensor(0.0)
    torch.index_reduce(x, 1, torch.tensor([0]), x[:, :1], "mean")
    torch.vdot(x[0, 0], x[0, 1]) * x
    torch.linalg.multi_dot([x[0], torch.ones(x.shape[-1], 6).to(x)])
    """,
    )
    + listed("rows", "x.unique(dim=0)\ntorch.pdist(x)[:, None]\nF.bilinear(x, x, torch.ones(3, 8, 8).to(x))")
)
"""Rare ones: whoever adds a rule moves the line."""

COULD_BE_FOLLOWED = listed(
    "image",
    """
    F.pad(x, (1, 1, 1, 1), mode="circular")
    F.fold(F.unfold(x, 2, stride=2), (6, 6), 2, stride=2)
    F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)
    F.fractional_max_pool2d(x, 2, output_size=3, _random_samples=torch.full((2, x.shape[1], 2), 0.3).to(x))
    x // 0.5
    x.tril() + x.triu(1)
    x.rot90(1, (2, 3))
    x.diagonal(dim1=2, dim2=3)[..., None]
    x.aminmax(dim=3, keepdim=True)[0] + x
    x.cummax(-1)[0] + x.cummin(-1).values
    x.kthvalue(2, dim=3, keepdim=True)[0] + x
    x.count_nonzero(3)[..., None] + x
    x.index_fill(2, torch.tensor([0]), 0.0)
    x.scatter_reduce(2, x.argsort(2), x, "amax")
    torch.slice_scatter(x, x[:, :, :2] * 2, dim=2, start=0, end=2)
    torch.select_scatter(x, x[:, :, 0] * 2, 2, 0)
    torch.diag_embed(x[..., 0])
    torch.fft.fft2(x).abs()
    torch.fft.irfft2(torch.fft.rfft2(x), s=(6, 6))
    torch.complex(x, x).abs()
    torch.view_as_complex(x.unflatten(-1, (3, 2)).contiguous()).abs()
    torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (3, 2)).contiguous()) * 1j).flatten(-2)
    torch.polar(x.abs(), x).real
    torch.empty(x.size()).to(x).zero_() + x
    x.new_empty(x.shape).fill_(0.5) + x
    torch.empty_like(x).uniform_().zero_() + x
    torch.zeros_like(x).normal_().zero_() + x
    torch.randn(x.shape).to(x).zero_() + x
    torch.zeros_like(x).exponential_().zero_() + x
    """,
) + listed(
    "tokens",
    """
    torch.fft.rfft(x, dim=1).abs()
    torch.fft.irfft(torch.fft.rfft(x, dim=1), n=5, dim=1)
    torch.zeros_like(x).scatter_reduce(1, torch.zeros(2, 5, x.shape[-1], dtype=torch.long), x, "mean")
    torch.cdist(x, x)
    x + torch.isnan(x).any() * 0
    """,
)
"""No rule is needed for a right answer; with one, these channels could go."""


def test_an_exception_in_a_rule_leaves_its_channels_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(tracer: object, call: object) -> None:
        raise ZeroDivisionError("first line.\nsecond line")

    monkeypatch.setitem(rules.RULES, "cumsum", fails)
    network = sandwich("x.cumsum(2)", "image")
    assert [group.name for group in network.groups] == ["second"]
    assert network.left_whole["first"] == "cumsum in the network is not understood (first line)"
    prove(network)


@pytest.mark.parametrize("labels", [(None, np.arange(3), None, None), (None,)])
def test_labels_that_do_not_fit_leave_channels_whole(
    labels: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rules.RULES, "cumsum", lambda tracer, call: labels)
    assert sandwich("x.cumsum(2)", "image").left_whole["first"] == "cumsum in the network is not understood"


def first_group(network: Network) -> Group:
    """The group that starts in the first layer."""
    found = [group for group in network.groups if "first" in group.producers]
    assert len(found) == 1, network.left_whole
    return found[0]


@pytest.mark.parametrize(("kind", "text"), [*ELEMENT_WISE, *SPATIAL, *SHAPES])
def test_all_channels_in_front_of_an_operation_can_go(kind: str, text: str) -> None:
    network = sandwich(text, kind)
    assert first_group(network).width == CHANNELS
    assert not first_group(network).renormalizes
    prove(network)


@pytest.mark.parametrize(("kind", "text"), RENORMALISED)
def test_statistics_over_channels_are_known(kind: str, text: str) -> None:
    network = sandwich(text, kind)
    assert first_group(network).width == CHANNELS
    assert first_group(network).renormalizes
    prove(network)


@pytest.mark.parametrize(("kind", "text"), SUMMED)
def test_sums_are_taken_over_what_is_left(kind: str, text: str) -> None:
    network = sandwich(text, kind)
    assert first_group(network).width == CHANNELS
    prove_reference(network)


@pytest.mark.parametrize(("kind", "text", "width"), PIECES)
def test_channels_that_an_operation_pairs_go_together(kind: str, text: str, width: int) -> None:
    network = sandwich(text, kind)
    assert first_group(network).width == width
    prove(network)


@pytest.mark.parametrize(("kind", "text", "reason"), MIXED)
def test_channels_stay_for_a_reason(kind: str, text: str, reason: str) -> None:
    network = sandwich(text, kind)
    assert [group.name for group in network.groups] == ["second"]
    assert reason in network.left_whole["first"]
    prove(network)


def test_an_order_that_depends_on_the_width_is_noticed() -> None:
    network = sandwich("x[:, torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(1))]", "image")
    assert [group.name for group in network.groups] == ["second"]


@pytest.mark.parametrize(("kind", "text"), [*NOT_FOLLOWED, *COULD_BE_FOLLOWED])
def test_operations_without_a_rule_do_no_harm(kind: str, text: str) -> None:
    """Whether there is a rule by now or not: what is found is right, and what stays has a reason with a name."""
    network = sandwich(text, kind)
    assert "second" in {group.name for group in network.groups}
    if not any("first" in group.producers for group in network.groups):
        assert "the network" in network.left_whole["first"]
    prove(network)
