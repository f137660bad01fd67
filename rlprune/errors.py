"""Errors a user can cause or must know about.

Every message states the rule, what came, and what to do. The command line prints the message alone and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from itertools import islice


class RlpruneError(ValueError):
    """Base of every error this project raises on purpose."""


class NetworkError(RlpruneError):
    """A network that cannot be loaded, run or pruned."""


class PlanError(RlpruneError):
    """A plan that is malformed or belongs to another network."""


class TaskError(RlpruneError):
    """Data that is missing, malformed or does not fit the network."""


class DeviceError(RlpruneError):
    """A device, runtime or meter that is unknown or not present."""


class ProfileError(RlpruneError):
    """A device profile that is malformed or of another network."""


class BudgetError(RlpruneError):
    """A budget that is malformed or cannot be met."""


class ActionError(RlpruneError):
    """An action outside the action space."""


class RewardError(RlpruneError):
    """A plan whose reward is not a finite number."""


class WorkerError(RlpruneError):
    """A worker process that could not start or ended."""


class PolicyError(RlpruneError):
    """A saved policy that is malformed or of another observation version."""


class ConfigError(RlpruneError):
    """A setting that is unknown or out of range."""


class RunError(RlpruneError):
    """A run folder that cannot be written or read."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Message for an unknown name: the nearest known one, then all of them."""
    names = sorted(known)
    return f"Unknown {kind} {name!r}.{nearest(name, names)} Known: {', '.join(names)}."


def nearest(name: str, known: Iterable[str], alike: float = 0.4) -> str:
    """`` Did you mean 'latency'?``, or nothing where no known name is as much ``alike``, from 0 to 1."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=alike)
    return f" Did you mean {near[0]!r}?" if near else ""


def first_line(reason: BaseException) -> str:
    """The first line of an error's message without its full stop, or its kind where it says nothing."""
    return next(_lines(reason), type(reason).__name__).rstrip(".")


def kind_and_line(reason: BaseException) -> str:
    """Kind and first line of an error, ``ValueError: negative``."""
    kind = type(reason).__name__
    return next((f"{kind}: {line.rstrip('.')}" for line in _lines(reason)), kind)


def first_sentence(reason: BaseException) -> str:
    """The first line of an error, with the second where the first announces it, ending with a full stop."""
    lines = _lines(reason)
    text = next(lines, type(reason).__name__)
    if text.endswith(":"):
        text = " ".join([text, *islice(lines, 1)])
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _lines(reason: BaseException) -> Iterator[str]:
    return (line.strip() for line in str(reason).splitlines() if line.strip())
