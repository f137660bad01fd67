"""Networks of transformers from local configurations and weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from rlprune.errors import NetworkError
from rlprune.zoo import LoadedNetwork, resolve_network

transformers = pytest.importorskip("transformers")

SMALL = "hidden_size=32&num_hidden_layers=1&num_attention_heads=4&intermediate_size=48"
VIT = f"hf:vit?num_labels=10&image_size=8&patch_size=4&num_channels=1&{SMALL}"
BERT = f"hf:bert?vocab_size=50&{SMALL}"
ENCODER_DECODER = "d_model=16&vocab_size=50&sequence_length=6"


def shapes(network: LoadedNetwork) -> dict[str, list[int]]:
    assert isinstance(network.example_inputs, dict)
    return {name: list(tensor.shape) for name, tensor in network.example_inputs.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small vision transformer as ``save_pretrained`` writes it, with weights that no seed gives."""
    model = resolve_network(VIT).model
    with torch.no_grad():
        model.classifier.bias.copy_(torch.arange(10.0))  # type: ignore[union-attr, operator]
    model.save_pretrained(tmp_path / "vit")  # type: ignore[operator]
    return tmp_path / "vit"


def test_a_model_type_with_options() -> None:
    network = resolve_network(VIT)
    assert type(network.model).__name__ == "ViTForImageClassification"
    assert shapes(network) == {"pixel_values": [1, 1, 8, 8]}
    assert not network.model.training
    assert network.name == VIT
    assert network.model(**network.example_inputs).logits.shape == (1, 10)  # type: ignore[arg-type]


def test_random_weights_are_always_the_same_and_leave_the_generator_alone() -> None:
    state = torch.get_rng_state()
    first, second = resolve_network(VIT), resolve_network(VIT)
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))
    assert torch.equal(first.example_inputs["pixel_values"], second.example_inputs["pixel_values"])  # type: ignore
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "kind", "inputs"),
    [
        (f"{BERT}&sequence_length=7", "BertForSequenceClassification", {"input_ids": [1, 7], "attention_mask": [1, 7]}),
        (
            f"{BERT}&max_position_embeddings=20#ForMaskedLM",
            "BertForMaskedLM",
            {"input_ids": [1, 20], "attention_mask": [1, 20]},
        ),
        (f"{BERT}#AutoModel", "BertModel", {"input_ids": [1, 128], "attention_mask": [1, 128]}),
        (
            f"hf:t5?{ENCODER_DECODER}&d_ff=32&d_kv=8&num_layers=1&num_heads=2",
            "T5ForConditionalGeneration",
            {"input_ids": [1, 6], "attention_mask": [1, 6], "decoder_input_ids": [1, 6]},
        ),
        (
            "hf:resnet?image_size=[32,16]&embedding_size=8&hidden_sizes=[8,16]&depths=[1,1]",
            "ResNetForImageClassification",
            {"pixel_values": [1, 3, 32, 16]},
        ),
        (
            "hf:whisper?d_model=16&encoder_layers=1&decoder_layers=1&encoder_attention_heads=2&encoder_ffn_dim=16"
            "&decoder_attention_heads=2&decoder_ffn_dim=16&max_source_positions=20#ForAudioClassification",
            "WhisperForAudioClassification",
            {"input_features": [1, 80, 40]},
        ),
    ],
)
def test_inputs_are_made_from_the_configuration(name: str, kind: str, inputs: dict[str, list[int]]) -> None:
    network = resolve_network(name)
    assert type(network.model).__name__ == kind
    assert shapes(network) == inputs
    assert not getattr(network.model.config, "use_cache", False)  # type: ignore[union-attr]


def test_images_and_tokens_together() -> None:
    part = '{"hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":16,'
    text = part + '"vocab_size":50,"max_position_embeddings":9,"bos_token_id":1,"eos_token_id":2}'
    vision = part + '"image_size":16,"patch_size":8}'
    network = resolve_network(f"hf:clip?text_config={text}&vision_config={vision}#AutoModel")
    assert shapes(network) == {"input_ids": [1, 9], "attention_mask": [1, 9], "pixel_values": [1, 3, 16, 16]}


def test_a_decoder_that_classifies_takes_more_than_one_sequence() -> None:
    network = resolve_network("hf:gpt2?n_embd=16&n_layer=1&n_head=2&vocab_size=50&sequence_length=5&eos_token_id=3")
    assert network.model(input_ids=torch.full((4, 5), 7)).logits.shape == (4, 2)


def test_saved_weights_are_loaded(folder: Path) -> None:
    network = resolve_network(f"hf:{folder}")
    assert torch.equal(network.model.classifier.bias, torch.arange(10.0))  # type: ignore[union-attr, arg-type]
    assert type(network.model).__name__ == "ViTForImageClassification"
    assert shapes(network) == {"pixel_values": [1, 1, 8, 8]}


def test_a_configuration_alone_gives_random_weights(folder: Path) -> None:
    as_file = resolve_network(f"hf:{folder / 'config.json'}")
    (folder / "model.safetensors").unlink()
    as_folder = resolve_network(f"hf:{folder}?intermediate_size=16")
    assert not as_file.model.classifier.bias.any()  # type: ignore[union-attr, operator]
    assert as_folder.model.vit.layers[0].mlp.fc1.out_features == 16  # type: ignore[union-attr, index]


def test_labels_of_a_saved_network_may_be_other(folder: Path) -> None:
    network = resolve_network(f"hf:{folder / 'config.json'}?num_labels=3")
    assert network.model.classifier.out_features == 3  # type: ignore[union-attr]


def test_halves_become_floats(folder: Path) -> None:
    weights = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    edit(folder, dtype="float16")
    network = resolve_network(f"hf:{folder}")
    assert {parameter.dtype for parameter in network.model.parameters()} == {torch.float32}
    assert resolve_network(f"hf:{folder / 'config.json'}").model.dtype == torch.float32


def edit(folder: Path, **entries: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.ckpt", "adapter_model.safetensors", "tf_model.h5"])
def test_other_weights_are_refused(folder: Path, file: str) -> None:
    (folder / "model.safetensors").rename(folder / file)
    with pytest.raises(NetworkError, match=rf"model.safetensors only, never from pickles; .* has {file}\. Write them"):
        resolve_network(f"hf:{folder}")


def test_a_pickle_beside_safetensors_is_left_alone(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    resolve_network(f"hf:{folder}")


def test_weights_that_leave_a_head_random_are_refused(folder: Path) -> None:
    with pytest.raises(NetworkError, match=r"must fill the whole ViTForMaskedImageModeling; \d+ tensors are missing"):
        resolve_network(f"hf:{folder}#ForMaskedImageModeling")


def test_weights_of_other_shapes_are_refused(folder: Path) -> None:
    with pytest.raises(NetworkError, match="transformers cannot build"):
        resolve_network(f"hf:{folder}?intermediate_size=16")


def test_damaged_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(NetworkError, match="transformers cannot build"):
        resolve_network(f"hf:{folder}")


def test_code_beside_a_model_is_not_run(folder: Path) -> None:
    edit(folder, auto_map={"AutoConfig": "mine.Config", "AutoModel": "mine.Model"})
    (folder / "mine.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    resolve_network(f"hf:{folder}")
    edit(folder, model_type="mine")
    with pytest.raises(NetworkError, match=r"'mine' came\. Code that comes with a model is not run"):
        resolve_network(f"hf:{folder}")
    assert not (folder / "ran").exists()


def test_quantized_weights_are_refused(folder: Path) -> None:
    edit(folder, quantization_config={"quant_method": "awq"})
    with pytest.raises(NetworkError, match="must be in floating point"):
        resolve_network(f"hf:{folder}")


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    seen = []
    monkeypatch.setattr("rlprune.zoo.huggingface.make_inputs", lambda *_: seen.append(constants.HF_HUB_OFFLINE) or {})
    before = constants.HF_HUB_OFFLINE
    resolve_network(VIT)
    assert seen == [True]
    assert before == constants.HF_HUB_OFFLINE
    with pytest.raises(NetworkError, match=r"'google/vit-base' is no folder .* save_pretrained, and name the folder"):
        resolve_network("hf:google/vit-base")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:vitt", "Did you mean 'vit'"),
        ("hf:vit?hiden_size=32", "no option 'hiden_size'. Did you mean 'hidden_size'"),
        ("hf:vit?sequence_lenght=3", "Did you mean 'sequence_length'"),
        ("hf:vit?hidden_size=wide", "field 'hidden_size'.*expected int"),
        ("hf:vit?attn_implementation=someone/kernel", "must be one of eager, sdpa"),
        ("hf:vit#ForCausalLM", r"A vit has no AutoModelForCausalLM. It has: AutoModel, AutoModelForImageClass"),
        (f"{VIT.replace('patch_size=4', 'patch_size=16')}", r"does not run on pixel_values \[1, 1, 8, 8\]"),
        (f"{BERT}&sequence_length=600", r"does not run on input_ids \[1, 600\].*module:function"),
        (f"{BERT}&sequence_length=0.5", "sequence_length must be a positive number; 0.5"),
    ],
)
def test_what_cannot_be_built_is_told_in_one_line(name: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        resolve_network(name)
    assert "\n" not in str(caught.value)


def test_loading_is_silent(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    resolve_network(f"hf:{folder}")
    assert capfd.readouterr() == ("", "")


def test_a_missing_transformers_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(NetworkError, match=r"needs transformers, .*pip install 'rlprune\[huggingface\]'"):
        resolve_network(VIT)
