"""What may be decided about a network, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rlprune.choices.choice import BITS, DENSITIES, FULL_BITS, KINDS, Kind
from rlprune.errors import ConfigError, unknown_name
from rlprune.pruning.weights import WeightRule
from rlprune.support.patterns import matches


@dataclass(frozen=True)
class Scope:
    """Which kinds of decisions may be taken about a network, and between which levels.

    Attributes:
        kinds: any of ``channels``, ``weights``, ``depth``, ``bits``.
        densities: percent of the entries of a weight that may remain; 100 is always among them.
        rule: which entries of a weight go, and what takes their place.
        bits: precisions that a weight may have; 32 is always among them.
        exclude: ``kind:pattern``, such as ``bits:head*``: these layers or blocks are left out of that kind.

    Raises:
        ConfigError: an unknown kind, or numbers out of range.
    """

    kinds: Sequence[Kind] = ("channels",)
    densities: Sequence[int] = DENSITIES
    rule: WeightRule = field(default_factory=WeightRule)
    bits: Sequence[int] = BITS
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ConfigError(f"Something must be decided: any of {', '.join(KINDS)}.")
        for kind in [*self.kinds, *(text.partition(":")[0] for text in self.exclude)]:
            if kind not in KINDS:
                raise ConfigError(unknown_name("kind of decision", kind, KINDS))
        if len(set(self.kinds)) < len(self.kinds):
            raise ConfigError(f"Each kind of decision is named once; {', '.join(self.kinds)} came.")
        if any(text.startswith("channels:") for text in self.exclude):
            raise ConfigError("Layers whose channels stay whole are named by --ignore, not by --exclude. Use that.")
        for text in self.exclude:
            if text.partition(":")[0] not in self.kinds:
                raise ConfigError(
                    f"What is excluded belongs to a kind that is decided, {', '.join(self.kinds)}; {text!r} came. Add "
                    "its kind to --decide, or leave it out."
                )
        if self.rule.pattern is not None and tuple(self.densities) != DENSITIES:
            raise ConfigError(
                f"The pattern {self.rule.pattern} leaves one density; {list(self.densities)} came beside it. Leave one "
                "of them out."
            )
        if not all(0 < density <= 100 for density in self.densities):
            raise ConfigError(
                f"Densities are whole percents of a weight that remain, from 1 to 100; {list(self.densities)} came. To "
                "remove all of a layer, decide depth or channels."
            )
        if not all(bits in (4, 8, 16, 32) for bits in self.bits):
            raise ConfigError(f"Bits of a weight are 4, 8, 16 or 32; {list(self.bits)} came.")
        if "weights" in self.kinds and all(density == 100 for density in self.densities):
            raise ConfigError(
                f"Some density must be below 100, at which all of a weight remains; {list(self.densities)} came. Name "
                "lower ones, or leave weights out of --decide."
            )
        if "bits" in self.kinds and all(bits == FULL_BITS for bits in self.bits):
            raise ConfigError(
                f"Some precision must be below {FULL_BITS} bits, at which a weight stays as it is; {list(self.bits)} "
                "came. Name lower ones, or leave bits out of --decide."
            )

    def excludes(self, kind: Kind, name: str) -> bool:
        """Whether a layer, block or group is left out of a kind."""
        pairs = (text.partition(":")[::2] for text in self.exclude)
        return any(kind == which and matches(name, pattern) for which, pattern in pairs)

    def levels_of_weight(self) -> tuple[int, ...]:
        """Percent of a weight's entries that may remain, ascending; a pattern N:M leaves one choice."""
        return (
            tuple(sorted({*self.densities, 100}))
            if self.rule.density is None
            else (round(100 * self.rule.density), 100)
        )
