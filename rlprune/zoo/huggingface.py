"""Networks of transformers, from what lies on this machine: ``hf:CONFIG?option=value&option=value#AUTO_CLASS``.

CONFIG is a folder that ``save_pretrained`` wrote, a ``config.json``, or a model type such as ``vit`` or ``bert``.
Options set entries of the configuration. Safetensors in the folder are loaded; without any, weights are random and
always the same. Nothing is downloaded, unpickled, or run that is not part of transformers.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from rlprune.errors import NetworkError, first_sentence
from rlprune.support.files import read_json
from rlprune.support.quiet import quiet
from rlprune.zoo.huggingface_inputs import LENGTH, SIZE, make_inputs
from rlprune.zoo.libraries import import_library
from rlprune.zoo.loaded import LoadedNetwork
from rlprune.zoo.names import SourceName

SEED = 0
MOST_LAYERS = 1000
CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
OTHER_WEIGHTS = ("pytorch_model*", "*.safetensors", "*.pt", "*.pth", "*.ckpt*", "*.h5", "*.msgpack", "*.gguf")
AUTO = "AutoModel"
HEADS = (
    *("ForImageClassification", "ForVideoClassification", "ForAudioClassification", "ForSpeechSeq2Seq"),
    *("ForSeq2SeqLM", "ForSequenceClassification", "ForCausalLM", ""),
)
"""Where nothing says which head a network has, it gets the first of these that its model type offers."""
ATTENTIONS = ("eager", "sdpa")
IGNORED = ("auto_map", "torch_dtype", "dtype", "attn_implementation", "_attn_implementation")


def load_huggingface(name: SourceName) -> LoadedNetwork:
    """Build the network that ``name`` describes, in float32 and eval mode, with inputs made from its configuration.

    Own options beside those of the configuration: ``image_size`` where it has none, ``sequence_length`` (tokens of the
    example inputs, 128 or what the network can take), ``attn_implementation`` (eager or sdpa).

    Raises:
        NetworkError: transformers is missing, there is no such configuration, an option or head is unknown, weights are
            pickled or do not fit, or the network does not run.
    """
    transformers = import_library("transformers", "huggingface")
    with quiet(), _offline():
        try:
            config, folder = _configuration(transformers, name)
            model = _model(_model_class(transformers, config, name), config, folder)
        except NetworkError:
            raise
        except Exception as reason:
            raise NetworkError(f"transformers cannot build {name.text!r}: {first_sentence(reason)}") from reason
        inputs = make_inputs(model.eval(), name)
    return LoadedNetwork(name.text, model, inputs)


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Nothing is downloaded, not even what a configuration asks for, such as a backbone or a kernel."""
    constants: Any = importlib.import_module("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _configuration(transformers: Any, name: SourceName) -> tuple[Any, Path | None]:
    """The configuration with the options in it, and the folder that may hold its weights."""
    known = transformers.CONFIG_MAPPING
    path = Path(name.name).expanduser()
    if path.is_dir() and (path / CONFIG).is_file():
        values, folder = read_json(path / CONFIG, NetworkError), path
    elif path.is_file():
        values, folder = read_json(path, NetworkError), None
    elif name.name in known:
        values, folder = {"model_type": name.name}, None
    else:
        raise NetworkError(_unknown(name, known))
    kind = values.get("model_type")
    if kind not in known:
        raise NetworkError(
            f"{path} must name a model_type that transformers {transformers.__version__} knows; {kind!r} came. "
            "Code that comes with a model is not run."
        )
    if "quantization_config" in values:
        raise NetworkError(f"{path} describes quantized weights; the network must be in floating point to be pruned.")
    values = {key: value for key, value in values.items() if key not in IGNORED}
    return _with_options(known[kind], values, name), folder


def _unknown(name: SourceName, known: Any) -> str:
    nearest = difflib.get_close_matches(name.name, list(known.keys()), n=1, cutoff=0.7)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return (
        f"{name.name!r} is no folder with a {CONFIG}, no file, and no model type of transformers.{hint} Nothing is "
        "downloaded: write a model of the hub to a folder with its save_pretrained, and name the folder."
    )


def _with_options(kind: Any, values: dict[str, Any], name: SourceName) -> Any:
    plain = kind.from_dict(dict(values))
    entries = {*plain.to_dict(), *plain.attribute_map, "num_labels"} - {*IGNORED, "model_type", "transformers_version"}
    own = {LENGTH, "attn_implementation"} | ({SIZE} - entries if not hasattr(plain, "vision_config") else set())
    name.check_options(entries | own)
    chosen = {key: value for key, value in name.options.items() if key in entries}
    if "num_labels" in chosen:
        values = {key: value for key, value in values.items() if key not in ("id2label", "label2id")}
    config = kind.from_dict(values | chosen)
    attention = name.options.get("attn_implementation")
    if attention not in (None, *ATTENTIONS):
        raise NetworkError(f"attn_implementation must be one of {', '.join(ATTENTIONS)}; {attention!r} came.")
    for part in (config, *(getattr(config, key) for key in config.sub_configs)):
        part._attn_implementation = attention
        if hasattr(part, "use_cache"):
            part.use_cache = False
    return config


def _model_class(transformers: Any, config: Any, name: SourceName) -> Any:
    if name.head is not None:
        label = AUTO + name.head.removeprefix(AUTO)
        found = _of_auto_class(transformers, label, config)
        if found is None:
            labels = [label for label in dir(transformers) if label.startswith(AUTO)]
            offered = [label for label in labels if _of_auto_class(transformers, label, config) is not None]
            raise NetworkError(f"A {config.model_type} has no {label}. It has: {', '.join(offered)}.")
        return found
    saved = getattr(transformers, (config.architectures or [""])[0], None)
    if isinstance(saved, type) and issubclass(saved, transformers.PreTrainedModel):
        return saved
    return next(found for head in HEADS if (found := _of_auto_class(transformers, AUTO + head, config)))


def _of_auto_class(transformers: Any, label: str, config: Any) -> Any:
    """The class that an auto class stands for, or None."""
    mapping = getattr(getattr(transformers, label, None), "_model_mapping", {})
    found = mapping.get(type(config), None)
    return found[0] if isinstance(found, tuple | list) else found


def _refuse_huge(kind: Any, config: Any) -> None:
    """A few bytes of configuration can ask for any amount of memory: first the network is built without any."""
    for key, value in _entries(config.to_dict()):
        if key.endswith(("layers", "layer", "depths", "depth")) and value > MOST_LAYERS:
            raise NetworkError(
                f"A network may have at most {MOST_LAYERS} layers; {key} of the configuration asks for more."
            )
    with torch.device("meta"):
        skeleton = kind(config)
    size = sum(4 * tensor.numel() for tensor in skeleton.state_dict().values())
    if size > _memory() / 2:
        raise NetworkError(
            f"The weights must fit into half the memory of this machine; a {kind.__name__} of this configuration takes "
            f"{size / 2**30:.0f} GiB. Choose a smaller one."
        )


def _entries(values: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number of a configuration, with the name it stands under."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _entries(value, str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _entries(value, name)
    elif type(values) is int:
        yield name, values


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _model(kind: Any, config: Any, folder: Path | None) -> Any:
    _refuse_huge(kind, config)
    if folder is not None and any((folder / file).is_file() for file in WEIGHTS):
        model = _with_weights(kind, config, folder)
    else:
        if folder is not None:
            _refuse_other_weights(folder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = kind(config)
    if getattr(config, "pad_token_id", 0) is None and config.eos_token_id is not None:
        # Without it, heads that look for the last token of a sequence take one sequence at a time only.
        model.config.pad_token_id = torch.tensor(config.eos_token_id).flatten()[0].item()
    return model.float()


def _refuse_other_weights(folder: Path) -> None:
    found = sorted({path.name for pattern in OTHER_WEIGHTS for path in folder.glob(pattern)})
    if found:
        raise NetworkError(
            f"Weights are read from {WEIGHTS[0]} only, never from pickles; {folder} has {', '.join(found)}. Write them "
            "again with save_pretrained."
        )


def _with_weights(kind: Any, config: Any, folder: Path) -> Any:
    model, report = kind.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise NetworkError(
            f"The weights in {folder} must fill the whole {kind.__name__}; {len(missing)} tensors are missing "
            f"({missing[0]}). Name the class they were saved from: hf:{folder}#{AUTO}..."
        )
    return model
