"""Libraries that are needed for some networks only."""

from __future__ import annotations

import importlib
from typing import Any

from rlprune.errors import NetworkError, first_sentence


def import_library(module: str, extra: str) -> Any:
    """Import a library that is installed as an extra of ours.

    Raises:
        NetworkError: it is missing, or does not import beside this torch.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as reason:
        raise NetworkError(
            f"This network needs {library}, which does not import: {first_sentence(reason)} "
            f"Install it with: pip install 'rlprune[{extra}]'."
        ) from reason
    except RuntimeError as reason:  # torchvision's wheel of PyPI beside a torch without CUDA
        raise NetworkError(
            f"{library} is installed but does not fit this torch: {first_sentence(reason)} Install the two "
            "that belong together from one index (https://pytorch.org/get-started)."
        ) from reason
