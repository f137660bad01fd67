"""A learned policy on its own: a small MLP as safetensors and JSON. Needs neither SB3 nor pickle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn.utils import skip_init

from rlprune.envs.actions import ACTION_NAMES
from rlprune.envs.observations import OBSERVATION_VERSION, SLOTS
from rlprune.errors import PolicyError
from rlprune.files import read_json, write_atomic, write_json

SCHEMA = "rlprune-policy/1"
MAX_WEIGHT_BYTES = 64 * 2**20
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
        observation_version, observation, actions: what its inputs and outputs mean.
    """

    algorithm: str
    sizes: tuple[int, ...]
    activation: Activation
    squash: bool
    observation_version: int = OBSERVATION_VERSION
    observation: tuple[str, ...] = tuple(slot.name for slot in SLOTS)
    actions: tuple[str, ...] = ACTION_NAMES


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
    def from_layers(cls, algorithm: str, linears: list[nn.Linear], activation: Activation, squash: bool) -> Policy:
        """Copy the linear layers of a trained actor."""
        sizes = (linears[0].in_features, *(linear.out_features for linear in linears))
        policy = cls(PolicySpec(algorithm, sizes, activation, squash))
        for mine, theirs in zip(policy._linears(), linears, strict=True):
            mine.load_state_dict({name: tensor.detach().clone() for name, tensor in theirs.state_dict().items()})
        return policy

    def _linears(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """``[N, slots] -> [N, actions]``."""
        return cast(torch.Tensor, self.layers(observations))

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The action for one observation, ``[slots] -> [actions]``."""
        with torch.inference_mode():
            return cast(npt.NDArray[np.float32], self(torch.from_numpy(observation)[None])[0].numpy())

    def save(self, folder: str | Path) -> None:
        """Write ``policy.safetensors`` and ``policy.json`` into a folder."""
        folder = Path(folder)
        write_atomic(folder / "policy.safetensors", save(self.state_dict()), PolicyError)
        write_json(folder / "policy.json", {"schema": SCHEMA, **asdict(self.spec)}, PolicyError)

    @classmethod
    def load(cls, folder: str | Path) -> Policy:
        """Read a policy back; no pickle is involved.

        Raises:
            PolicyError: a file is missing or malformed, or the observations it was trained on are not today's.
        """
        folder = Path(folder)
        policy = cls(_spec(folder / "policy.json", read_json(folder / "policy.json", PolicyError)))
        path = folder / "policy.safetensors"
        try:
            if path.stat().st_size > MAX_WEIGHT_BYTES:
                raise PolicyError(f"{path} must have at most {MAX_WEIGHT_BYTES} bytes. Is it a policy?")
            weights = load(path.read_bytes())
            policy.load_state_dict(weights)
        except PolicyError:
            raise
        except Exception as reason:
            first = str(reason).splitlines()[0]
            raise PolicyError(
                f"{path} does not hold the weights that policy.json describes ({first}). Train again."
            ) from reason
        if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
            raise PolicyError(f"The weights of a policy must be finite; {path} holds NaN or infinity. Train again.")
        return policy


def _spec(path: Path, data: dict[str, Any]) -> PolicySpec:
    if data.get("schema") != SCHEMA:
        raise PolicyError(f"{path} must have schema {SCHEMA!r}; {data.get('schema')!r} came.")
    sizes, activation, squash = data.get("sizes"), data.get("activation"), data.get("squash")
    whole = (
        isinstance(sizes, list) and all(type(size) is int and 0 < size <= 4096 for size in sizes) and len(sizes) <= 16
    )
    if not whole or activation not in ACTIVATIONS or not isinstance(squash, bool):
        raise PolicyError(f"{path} must hold 'sizes', 'activation' and 'squash' of an MLP. Is it a policy?")
    spec = PolicySpec(str(data.get("algorithm")), tuple(sizes or ()), activation, squash)
    if (data.get("observation_version"), tuple(data.get("observation") or ())) != (
        spec.observation_version,
        spec.observation,
    ):
        raise PolicyError(
            f"{path} was trained on observation version {data.get('observation_version')}; this rlprune has version "
            f"{spec.observation_version}. Train the policy again."
        )
    if tuple(data.get("actions") or ()) != spec.actions:
        raise PolicyError(f"{path} decides {data.get('actions')}; this rlprune has the actions {list(spec.actions)}.")
    return spec
