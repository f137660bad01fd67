"""Element-wise operations: what is combined position by position goes together."""

from __future__ import annotations

import torch

from rlprune.networks.tracing.atoms import FIXED, Label, Labels
from rlprune.networks.tracing.labelling import Labelling, Rule
from rlprune.networks.tracing.records import Call


def join(tracer: Labelling, call: Call) -> Labels:
    """Broadcasting: labels of dimensions that line up are joined."""
    output = call.output if isinstance(call.output, torch.Tensor) else call.output[0]
    return join_tensors(tracer, call.tensors, output)


def join_tensors(tracer: Labelling, tensors: list[torch.Tensor], output: torch.Tensor) -> Labels:
    result: list[Label] = []
    for dim in range(-output.dim(), 0):
        size = output.shape[dim]
        lined_up = [t for t in tensors if t.dim() >= -dim and t.shape[dim] == size and size > 1]
        result.append(_join_all(tracer, [tracer.labels(t)[dim] for t in lined_up]))
    return tuple(result)


def _join_all(tracer: Labelling, labels: list[Label]) -> Label:
    reason = f"{tracer.place} combines its channels with others that cannot be removed"
    if not labels:
        return None
    first = labels[0]
    for other in labels[1:]:
        if first is None and other is None:
            continue
        first = tracer.atoms.join(first, other, reason)
    return first


def same(tracer: Labelling, call: Call) -> Labels:
    """The labels of the first argument."""
    return tracer.labels(call.args[0])


def along_dimension(tracer: Labelling, call: Call) -> Labels | list[Labels]:
    """Operations that mix the positions of one dimension and keep the others apart, such as softmax."""
    x = call.args[0]
    dim = call.argument(2 if call.name in ("topk", "kthvalue") else 1, "dim", -1)
    dim = dim[0] if isinstance(dim, list | tuple) else dim
    labels = list(tracer.labels(x))
    if isinstance(dim, int) and x.dim():
        tracer.atoms.fix(labels[dim], f"{call.name.strip('_')} in {tracer.place} mixes its channels")
        labels[dim] = None
    outputs = call.output if isinstance(call.output, tuple | list) else [call.output]
    return [tuple(labels) for _ in outputs]


def gated_halves(tracer: Labelling, call: Call) -> Labels:
    """``glu``: the second half of a dimension gates the first."""
    x, dim = call.args[0], call.argument(1, "dim", -1)
    labels = list(tracer.labels(x))
    if (label := labels[dim]) is not None:
        halves = label.reshape(2, -1)
        labels[dim] = tracer.atoms.join(halves[0], halves[1], f"glu in {tracer.place} pairs its channels")
    return tuple(labels)


def reversed_order(tracer: Labelling, call: Call) -> Labels:
    labels = list(tracer.labels(call.args[0]))
    for dim in call.args[1]:
        label = labels[dim]
        labels[dim] = None if label is None else label[::-1].copy()
    return tuple(labels)


def constant(tracer: Labelling, call: Call) -> Labels:
    """One value everywhere: its size may follow an attribute of the module, as that of a first recurrent state."""
    labels: list[Label] = []
    for size in call.output.shape:
        label = tracer.atoms.fresh(size) if size > 1 else None
        if label is not None:
            tracer.guess_sizes(size, label, ("layer", "depth", "max", "vocab"))
        labels.append(label)
    return tuple(labels)


def dropped_fixed(label: Label) -> Label:
    """None where nothing along the label can be removed."""
    return None if label is None or bool((label == FIXED).all()) else label


_SAME = (
    "clone", "contiguous", "_to_copy", "detach", "alias", "lift_fresh", "lift_fresh_copy", "to", "relu", "hardtanh",
    "hardsigmoid", "hardswish", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus", "native_dropout", "dropout",
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "bernoulli", "nan_to_num",
    "zero", "fill", "positive", "view_as_real_copy", "_conj", "celu", "selu", "threshold", "rrelu_with_noise",
    "log_sigmoid_forward",
)  # fmt: skip
_JOINED = (
    "add", "sub", "mul", "div", "rsub", "pow", "where", "masked_fill", "addcmul", "addcdiv", "lerp", "_prelu_kernel",
    "prelu", "copy", "maximum", "minimum", "atan2", "clamp", "masked_fill_",
)  # fmt: skip
_ALONG = ("_softmax", "_log_softmax", "_safe_softmax", "cumsum", "cumprod", "sort", "argsort", "topk", "logcumsumexp")
CONSTANTS = ("new_zeros", "new_ones", "new_full", "zeros", "ones", "full")
RULES: dict[str, Rule] = {
    **dict.fromkeys(_SAME, same),
    **dict.fromkeys(_JOINED, join),
    **dict.fromkeys(_ALONG, along_dimension),
    **dict.fromkeys(CONSTANTS, constant),
    "glu": gated_halves,
    "flip": reversed_order,
}
