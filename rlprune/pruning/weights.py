"""Which entries of a weight go: by magnitude, anywhere or N of every M, and what stands in their place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rlprune.arrays import FloatArray
from rlprune.errors import ConfigError, NetworkError, PlanError

Replacement = Literal["zero", "mean"]
REPLACEMENTS = ("zero", "mean")
LONGEST_PATTERN = 32
_PATTERN = re.compile(r"([1-9][0-9]?):([1-9][0-9]?)")


@dataclass(frozen=True)
class WeightRule:
    """How weights are pruned, the same for every layer.

    Attributes:
        pattern: ``"N:M"``: of every M consecutive inputs N remain (2:4: Mishra et al., arXiv:2104.08378); None for
            entries anywhere.
        replacement: what removed entries become: ``zero``, or the ``mean`` of all that a layer lost.

    Raises:
        ConfigError: the pattern is not N:M with 0 < N < M <= 32, or the replacement is another.
    """

    pattern: str | None = None
    replacement: Replacement = "zero"

    def __post_init__(self) -> None:
        if self.replacement not in REPLACEMENTS:
            raise ConfigError(f"Removed weights become 'zero' or their 'mean'; {self.replacement!r:.80} came.")
        if self.pattern is not None:
            _parsed(self.pattern)

    @property
    def group(self) -> tuple[int, int] | None:
        """N and M of the pattern."""
        return None if self.pattern is None else _parsed(self.pattern)

    @property
    def density(self) -> float | None:
        """N / M: the only density below 1 that the pattern allows; None where any is."""
        return None if self.group is None else self.group[0] / self.group[1]


UNSTRUCTURED = WeightRule()


def _parsed(pattern: str) -> tuple[int, int]:
    found = _PATTERN.fullmatch(pattern) if isinstance(pattern, str) else None
    kept, size = map(int, found.groups()) if found else (0, 0)
    if not 0 < kept < size <= LONGEST_PATTERN:
        raise ConfigError(
            f"A pattern must be N:M with 0 < N < M <= {LONGEST_PATTERN}, such as '2:4'; {pattern!r:.80} came. "
            "Leave it out to remove weights anywhere."
        )
    return kept, size


def mask_of_density(weight: Tensor, density: float, rule: WeightRule, in_dim: int) -> Tensor:
    """The entries of a weight that stay: the largest in magnitude, of equal ones the first.

    Args:
        weight: any shape.
        density: share of the entries that stay, above 0. Without a pattern exactly ``round(density * entries)`` do, at
            least one. With a pattern it is N/M or 1: of M consecutive inputs, at one output and one kernel position,
            N stay; of the rest where M does not divide the inputs, N/M of it, rounded up.
        rule: its pattern decides; its replacement does not.
        in_dim: the dimension of ``weight`` that a product sums over; only a pattern needs it.

    Returns:
        bool, shaped as ``weight``.

    Raises:
        PlanError: the density is not in (0, 1], or not what the pattern allows.
        NetworkError: the weight is empty, has NaN or infinite entries, or has no dimension ``in_dim``.
    """
    magnitudes = _magnitudes(weight)
    _check_density(density, rule)
    if density == 1:
        return torch.ones_like(magnitudes, dtype=torch.bool)
    if rule.group is not None:
        return _mask_of_groups(magnitudes, *rule.group, in_dim)
    return _largest(magnitudes.flatten(), kept_entries(weight.numel(), density)).view(weight.shape)


def kept_entries(entries: int, density: float) -> int:
    """How many of a layer's entries stay at a density without a pattern: at least one."""
    return max(round(density * entries), 1)


def _check_density(density: float, rule: WeightRule = UNSTRUCTURED) -> None:
    if not 0 < density <= 1:
        raise PlanError(
            f"A density must be above 0 and at most 1; {density!r} came. To remove all of a layer, drop its block or "
            "its group of channels instead."
        )
    if rule.density is not None and density != 1 and not math.isclose(density, rule.density):
        raise PlanError(f"With the pattern {rule.pattern} a density is {rule.density:g} or 1; {density!r} came.")


def _magnitudes(weight: Tensor) -> Tensor:
    magnitudes = weight.detach().abs()
    if not magnitudes.numel() or not bool(torch.isfinite(magnitudes).all()):
        raise NetworkError(
            f"Weights must be finite numbers, and some, to be pruned; {list(weight.shape)} came that are not. "
            "Train the network anew, or leave the layer out with --ignore."
        )
    return magnitudes.to(torch.promote_types(magnitudes.dtype, torch.float32))


def _largest(magnitudes: Tensor, count: int) -> Tensor:
    """Mask of the ``count`` largest of a vector, of equal ones the first."""
    limit = magnitudes.kthvalue(len(magnitudes) - count + 1).values
    above, equal = magnitudes > limit, magnitudes == limit
    first = equal.cumsum(0) <= count - above.sum()
    return torch.where(equal, first, above)


def _mask_of_groups(magnitudes: Tensor, kept: int, size: int, in_dim: int) -> Tensor:
    if not -magnitudes.dim() <= in_dim < magnitudes.dim():
        raise NetworkError(
            f"A pattern needs the dimension of a weight that is summed over; {in_dim} came for "
            f"{list(magnitudes.shape)}. It is 1 for convolutions and linear layers, 0 for transposed convolutions."
        )
    inputs = magnitudes.shape[in_dim]
    count = math.ceil(inputs / size)
    rows = magnitudes.movedim(in_dim, -1)
    padded = torch.nn.functional.pad(rows, (0, count * size - inputs), value=-1.0).unflatten(-1, (count, size))
    ranks = padded.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    allowed = torch.full((count, 1), kept, device=magnitudes.device)
    allowed[-1] = math.ceil(kept * (inputs - (count - 1) * size) / size)
    mask = torch.lt(ranks, allowed).flatten(-2)[..., :inputs]
    return mask.movedim(-1, in_dim).contiguous()


def mask_of_threshold(weight: Tensor, threshold: float, layer: str) -> Tensor:
    """The entries of a weight whose magnitude exceeds a threshold.

    Args:
        weight: any shape.
        threshold: at least 0, and below the largest magnitude.
        layer: the layer's name, for the message.

    Raises:
        PlanError: the threshold is negative or NaN, or would remove every entry.
        NetworkError: the weight is empty or has NaN or infinite entries.
    """
    magnitudes = _magnitudes(weight)
    if not threshold >= 0:
        raise PlanError(f"Layer {layer!r}: a threshold must be at least 0; {threshold!r} came.")
    mask = magnitudes > threshold  # in the weights' own precision
    if not bool(mask.any()):
        raise PlanError(
            f"Layer {layer!r}: a threshold must leave some weights; {threshold:g} came, and the largest magnitude is "
            f"{float(magnitudes.max()):g}. Choose a threshold below it, or drop the layer's block or its group of "
            "channels instead."
        )
    return mask


def pruned(weight: Tensor, mask: Tensor, replacement: Replacement) -> Tensor:
    """A copy of a weight whose removed entries are all 0, or all the mean of what they were.

    Args:
        weight: any shape.
        mask: bool, shaped as ``weight``; True where an entry stays as it is, bit for bit.
        replacement: ``zero`` or ``mean``.

    Raises:
        ConfigError, NetworkError: another replacement; a mask that does not fit the weight.
    """
    WeightRule(replacement=replacement)
    check_mask(weight, mask)
    fill = mean_of_removed(weight, mask) if replacement == "mean" else 0.0
    return torch.where(mask, weight, torch.as_tensor(fill, dtype=weight.dtype, device=weight.device))


def mean_of_removed(weight: Tensor, mask: Tensor) -> float:
    """Mean of the entries where ``mask`` is False, summed in float64; 0 where there is none."""
    removed = weight.detach()[~mask.to(weight.device)].double()
    return float(removed.mean()) if removed.numel() else 0.0


def check_mask(weight: Tensor, mask: Tensor) -> None:
    """Refuse what is no mask of a weight.

    Raises:
        NetworkError: the mask is not bool, or of another shape.
    """
    if mask.dtype != torch.bool or mask.shape != weight.shape:
        raise NetworkError(
            f"A mask must be bool and shaped as its weight, {list(weight.shape)}; {mask.dtype} {list(mask.shape)} "
            "came. Make it with mask_of_density of this very weight."
        )


def lost_energy(
    weight: Tensor,
    densities: Sequence[float],
    moment: Tensor | None = None,
    *,
    rule: WeightRule = UNSTRUCTURED,
    in_dim: int = 1,
) -> FloatArray:
    """Share of ``sum(weight^2 * E[input^2])`` that goes when a weight is pruned; it never rises with the density.

    With inputs that are independent and centred this is the share of a layer's output power that pruning with zeros
    takes.

    Args:
        weight: any shape.
        densities: each as for :func:`mask_of_density`.
        moment: E[input^2] of each input channel, of all groups of a grouped convolution; None for 1.
        rule: its pattern decides which entries go.
        in_dim: the dimension of ``weight`` that holds inputs.

    Returns:
        [densities]; 0 throughout for a weight without energy.

    Raises:
        PlanError, NetworkError: as :func:`mask_of_density`, and where the moments do not fit.
    """
    energy = weight.detach().double() ** 2
    if moment is not None:
        energy = energy * _moment_along(weight, moment, in_dim)
    total = float(energy.sum()) or 1.0
    masks = (mask_of_density(weight, density, rule, in_dim) for density in densities)
    # Zeros in place of what stays: summed in the same order, less can never come out as more.
    return np.array([float(energy.masked_fill(mask, 0.0).sum()) / total for mask in masks], dtype=np.float64)


def _moment_along(weight: Tensor, moment: Tensor, in_dim: int) -> Tensor:
    """Moments shaped to multiply a weight; each group of a grouped convolution [out, in / groups, ...] has its own."""
    moment = moment.detach().to(weight.device, torch.float64)
    inputs = weight.shape[in_dim] if -weight.dim() <= in_dim < weight.dim() else 0
    groups, rest = divmod(len(moment), inputs) if inputs and moment.dim() == 1 else (0, 0)
    fits = groups == 1 or (groups > 1 and in_dim == 1 and weight.shape[0] % groups == 0)
    if rest or not fits or not bool((torch.isfinite(moment) & (moment >= 0)).all()):
        raise NetworkError(
            f"Moments must be one finite number, at least 0, for each input channel of the weight {list(weight.shape)} "
            f"along dimension {in_dim}; {list(moment.shape)} came. Measure them at the inputs of this very layer."
        )
    shape = [1] * weight.dim()
    shape[in_dim] = inputs
    if groups == 1:
        return moment.view(shape)
    shape[0] = weight.shape[0]
    return moment.view(groups, inputs).repeat_interleave(weight.shape[0] // groups, 0).view(shape)


def global_densities(weights: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """Densities of all layers that one threshold for the whole network gives (Han et al., NeurIPS 2015).

    The largest entry of every layer stays, and then the largest of all: together ``round(density * entries)``, or one
    of each layer where that is more.

    Args:
        weights: layer name -> weight.
        density: share of all entries that stays, above 0.

    Returns:
        Layer name -> its share of entries that stays, never 0.

    Raises:
        PlanError, NetworkError: as :func:`mask_of_density`.
    """
    _check_density(density)
    magnitudes = [_magnitudes(weight).flatten().cpu() for weight in weights.values()]
    for layer in magnitudes:
        layer[layer.argmax()] = math.inf
    if not magnitudes:
        return {}
    together = torch.cat(magnitudes)
    kept = _largest(together, max(kept_entries(len(together), density), len(magnitudes)))
    shares = kept.split([len(layer) for layer in magnitudes])
    return {name: int(share.sum()) / len(share) for name, share in zip(weights, shares, strict=True)}


def uniform_densities(weights: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """The same density for every layer.

    Raises:
        PlanError: it is not in (0, 1].
    """
    _check_density(density)
    return dict.fromkeys(weights, density)
