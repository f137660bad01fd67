"""Pooling, resizing and padding: channels stay apart, positions in space are mixed."""

from __future__ import annotations

import re

import numpy as np
import torch

from rlprune.networks.tracing.atoms import Labels
from rlprune.networks.tracing.labelling import Labelling, Rule
from rlprune.networks.tracing.records import Call
from rlprune.networks.tracing.rules.pointwise import dropped_fixed


def pool(tracer: Labelling, call: Call) -> list[Labels]:
    """The last one, two or three dimensions are space, as the operation's name says."""
    found = re.search(r"([123])d", call.name)
    space = int(found.group(1)) if found else call.args[0].dim() - 2
    labels = tracer.labels(call.args[0])
    for label in labels[-space:]:
        tracer.atoms.fix(label, f"{call.name} in {tracer.place} mixes its channels")
    outputs = [o for o in (call.output if isinstance(call.output, tuple) else [call.output]) if o is not None]
    return [(*labels[:-space], *(None,) * space) for output in outputs if isinstance(output, torch.Tensor)]


def pixel_shuffle(tracer: Labelling, call: Call) -> Labels:
    """Blocks of r x r channels become space: whole blocks go."""
    labels = list(tracer.labels(call.args[0]))
    if (label := labels[-3]) is not None:
        blocks = label.reshape(-1, call.args[1] ** 2)
        labels[-3] = dropped_fixed(tracer.atoms.join_rows(blocks, f"{tracer.place} moves its channels into space"))
    return (*labels[:-2], None, None)


def pixel_unshuffle(tracer: Labelling, call: Call) -> Labels:
    labels = list(tracer.labels(call.args[0]))
    for label in labels[-2:]:
        tracer.atoms.fix(label, f"{tracer.place} mixes its channels")
    label = labels[-3]
    labels[-3] = None if label is None else np.repeat(label, call.args[1] ** 2)
    return (*labels[:-2], None, None)


def channel_shuffle(tracer: Labelling, call: Call) -> Labels:
    """``nn.ChannelShuffle``: the same channels of each group go."""
    labels = list(tracer.labels(call.args[0]))
    if (label := labels[1]) is not None:
        columns = np.ascontiguousarray(label.reshape(call.args[1], -1).T)
        joined = tracer.atoms.join_rows(columns, f"{tracer.place} shuffles its channels with fixed ones")
        labels[1] = dropped_fixed(np.repeat(joined, call.args[1]))
    return tuple(labels)


def unfold_patches(tracer: Labelling, call: Call) -> Labels:
    """``F.unfold``: each channel becomes its k x k patch."""
    labels = tracer.labels(call.args[0])
    label = labels[-3]
    count = call.output.shape[-2] // call.args[0].shape[-3]
    return (*labels[:-3], None if label is None else np.repeat(label, count), None)


_POOLS = (
    "max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "mkldnn_max_pool2d", "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
    "upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "replication_pad1d", "replication_pad2d", "replication_pad3d", "grid_sampler_2d", "grid_sampler_3d",
)  # fmt: skip
RULES: dict[str, Rule] = {
    **dict.fromkeys(_POOLS, pool),
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "native_channel_shuffle": channel_shuffle,
    "channel_shuffle": channel_shuffle,
    "im2col": unfold_patches,
}
