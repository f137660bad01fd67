"""A learned policy on its own: a small MLP as safetensors and JSON. Needs neither SB3 nor pickle."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn.utils import skip_init

from rlprune.choices.choice import KINDS, Kind
from rlprune.envs.actions import CHANNELS, MEANINGS, Meaning, action_names
from rlprune.envs.slots import OBSERVATION_VERSION, slots_of
from rlprune.errors import PolicyError
from rlprune.support.files import read_bytes, read_json, write_atomic, write_json

SCHEMA = "rlprune-policy/1"
MAX_WEIGHT_BYTES = 64 * 2**20
MAX_LAYERS, MAX_UNITS = 16, 4096
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
Activation = Literal["relu", "tanh"]


@dataclass(frozen=True)
class PolicySpec:
    """What must be known to rebuild a policy.

    Attributes:
        algorithm: what learned it.
        sizes: units of each layer, from observation to action.
        activation: between layers.
        squash: whether the output goes through tanh; otherwise it is clipped to [-1, 1].
        kinds: of decisions that it takes; with ``meaning``, inputs and outputs follow from them.
        meaning: of its actions.
        observation_version: of the slots.
    """

    algorithm: str
    sizes: tuple[int, ...]
    activation: Activation
    squash: bool
    kinds: tuple[Kind, ...] = CHANNELS
    meaning: Meaning = "price"
    observation_version: int = OBSERVATION_VERSION

    @property
    def observation(self) -> tuple[str, ...]:
        """Names of the policy's inputs, in order."""
        return tuple(slot.name for slot in slots_of(self.kinds, self.meaning))

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the policy's outputs, in order."""
        return action_names(self.kinds, self.meaning)


class Policy(nn.Module):
    """From an observation to an action in [-1, 1]. Its weights are undefined until they are loaded.

    Raises:
        PolicyError: the layer sizes do not fit observation and action.
    """

    def __init__(self, spec: PolicySpec) -> None:
        super().__init__()
        if len(spec.sizes) < 2 or spec.sizes[0] != len(spec.observation) or spec.sizes[-1] != len(spec.actions):
            raise PolicyError(
                f"A policy maps {len(spec.observation)} observation slots to {len(spec.actions)} actions; its layers "
                f"are {spec.sizes}. Train again."
            )
        self.spec = spec
        layers: list[nn.Module] = []
        for inputs, outputs in zip(spec.sizes[:-1], spec.sizes[1:], strict=True):
            # Random initial weights would draw from the global generator.
            layers += [skip_init(nn.Linear, inputs, outputs), ACTIVATIONS[spec.activation]()]
        layers[-1] = nn.Tanh() if spec.squash else nn.Hardtanh()
        self.layers = nn.Sequential(*layers)
        self.requires_grad_(False)

    @classmethod
    def from_layers(
        cls,
        algorithm: str,
        linears: list[nn.Linear],
        activation: Activation,
        squash: bool,
        kinds: tuple[Kind, ...],
        meaning: Meaning,
    ) -> Policy:
        """Copy the linear layers of a trained actor."""
        sizes = (linears[0].in_features, *(linear.out_features for linear in linears))
        policy = cls(PolicySpec(algorithm, sizes, activation, squash, kinds, meaning))
        for mine, theirs in zip(policy._linears(), linears, strict=True):
            mine.load_state_dict({name: tensor.detach().clone() for name, tensor in theirs.state_dict().items()})
        return policy

    def _linears(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Actions for observations, ``[N, slots] -> [N, actions]``."""
        return cast(torch.Tensor, self.layers(observations))

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The action for one observation, ``[slots] -> [actions]``.

        Raises:
            PolicyError: the weights are so large that no number comes out.
        """
        with torch.inference_mode():
            action = cast(npt.NDArray[np.float32], self(torch.from_numpy(observation)[None])[0].numpy())
        if np.isnan(action).any():
            raise PolicyError("A policy must answer with numbers; its weights are too large for that. Train again.")
        return action

    def save(self, folder: str | Path) -> None:
        """Write ``policy.safetensors`` and ``policy.json`` into a folder."""
        folder = Path(folder)
        write_atomic(folder / "policy.safetensors", save(self.state_dict()), PolicyError)
        described = {key: value for key, value in asdict(self.spec).items() if key not in ("kinds", "meaning")}
        meaning = {"observation": self.spec.observation, "actions": self.spec.actions}
        write_json(folder / "policy.json", {"schema": SCHEMA, **described, **meaning}, PolicyError)

    @classmethod
    def load(cls, folder: str | Path) -> Policy:
        """Read a policy back; no pickle is involved.

        Raises:
            PolicyError: a file is missing or malformed, or the observations it was trained on are not today's.
        """
        folder = Path(folder)
        described = folder / "policy.json"
        spec = _spec(described, read_json(described, PolicyError))
        try:
            policy = cls(spec)
        except PolicyError as reason:
            raise PolicyError(f"{described}: {reason}") from reason
        path = folder / "policy.safetensors"
        content = read_bytes(path, PolicyError, MAX_WEIGHT_BYTES)
        try:
            weights = load(content)
            policy.load_state_dict(weights)
        except Exception as reason:
            last = str(reason).splitlines()[-1].strip().removesuffix(".")
            raise PolicyError(
                f"{path} does not hold the weights that policy.json describes ({last}). Train again."
            ) from reason
        if not all(tensor.dtype == torch.float32 and torch.isfinite(tensor).all() for tensor in weights.values()):
            raise PolicyError(f"The weights of a policy must be finite float32; those in {path} are not. Train again.")
        return policy


def _spec(path: Path, data: dict[str, Any]) -> PolicySpec:
    if data.get("schema") != SCHEMA:
        raise PolicyError(f"{path} must have schema {SCHEMA!r}; {data.get('schema')!r:.80} came.")
    algorithm, activation, squash = data.get("algorithm"), data.get("activation"), data.get("squash")
    if not isinstance(algorithm, str) or activation not in list(ACTIVATIONS) or not isinstance(squash, bool):
        raise PolicyError(f"{path} must hold 'algorithm', 'activation' and 'squash' of an MLP. Is it a policy?")
    kinds, meaning = _decided(path, data.get("actions"))
    spec = PolicySpec(algorithm, _sizes(path, data.get("sizes")), cast(Activation, activation), squash, kinds, meaning)
    seen = [spec.observation_version, list(spec.observation)]
    if data.get("observation_version") == spec.observation_version and data.get("observation") != seen[1]:
        raise PolicyError(
            f"{path}: 'observation' must name the slots of observation version {spec.observation_version}, in their "
            "order; it does not. Train the policy again."
        )
    if [data.get("observation_version"), data.get("observation")] != seen:
        raise PolicyError(
            f"{path} was trained on observation version {data.get('observation_version')!r:.80}; this rlprune has "
            f"version {spec.observation_version}. Train the policy again."
        )
    return spec


def _decided(path: Path, actions: Any) -> tuple[tuple[Kind, ...], Meaning]:
    """What a policy decides and what its actions mean, from their names."""
    for meaning in MEANINGS:
        known = dict(zip(action_names(KINDS, meaning), KINDS, strict=True))
        if isinstance(actions, list) and actions and all(str(name) in known for name in actions):
            kinds = tuple(known[str(name)] for name in actions)
            if kinds != tuple(kind for kind in KINDS if kind in kinds):
                raise PolicyError(
                    f"{path}: 'actions' stand in the order {list(known)}, each once; {actions!r:.80} came."
                )
            return kinds, meaning
    offered = [name for meaning in MEANINGS for name in action_names(KINDS, meaning)]
    raise PolicyError(
        f"{path} decides {actions!r:.80}; this rlprune has the actions {offered}. Train the policy again."
    )


def _sizes(path: Path, value: Any) -> tuple[int, ...]:
    """Units of each layer, few enough that the weights fit into memory."""
    whole = isinstance(value, list) and len(value) <= MAX_LAYERS and all(type(size) is int for size in value)
    if not whole or not all(0 < size <= MAX_UNITS for size in value):
        raise PolicyError(f"{path}: 'sizes' must be at most {MAX_LAYERS} numbers from 1 to {MAX_UNITS}.")
    if 4 * sum((into + 1) * out for into, out in itertools.pairwise(value)) > MAX_WEIGHT_BYTES:
        raise PolicyError(f"{path}: an MLP of 'sizes' {value} takes more than {MAX_WEIGHT_BYTES} bytes.")
    return tuple(value)
