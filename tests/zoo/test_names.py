"""Names of networks from other libraries."""

from __future__ import annotations

import pytest

from rlprune.errors import NetworkError
from rlprune.zoo.names import SourceName, image_size


def test_a_name_is_taken_apart() -> None:
    name = SourceName.parse('hf:./my folder/vit?hidden_size=64&act=relu&sizes=[8,16]&deep=true&text={"n":1}#ForX')
    assert (name.source, name.name, name.head) == ("hf", "./my folder/vit", "ForX")
    assert name.options == {"hidden_size": 64, "act": "relu", "sizes": [8, 16], "deep": True, "text": {"n": 1}}


def test_a_bare_name_has_neither_options_nor_head() -> None:
    name = SourceName.parse("timm:resnet18")
    assert (name.name, dict(name.options), name.head) == ("resnet18", {}, None)


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), ("None", None), ("null", None), ("1e-3", 0.001), ("a:b", "a:b")]
)
def test_values_are_json_where_they_can_be(text: str, value: object) -> None:
    assert SourceName.parse(f"timm:x?key={text}").options["key"] == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hf:", "must name a network behind the colon"),
        ("hf:?a=1", "must name a network behind the colon"),
        ("hf:vit?a", "option=value, each once.*'a' in 'hf:vit"),
        ("hf:vit?a=1&a=2", "each once"),
        ("hf:vit?a=1&=2", "'=2'"),
    ],
)
def test_malformed_names_are_refused(text: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        SourceName.parse(text)


def test_unknown_options_are_refused() -> None:
    name = SourceName.parse("hf:vit?hiden_size=3")
    name.check_options(["hiden_size"])
    with pytest.raises(NetworkError, match=r"no option 'hiden_size'\. Did you mean 'hidden_size'"):
        name.check_options(["hidden_size", "depth"])
    with pytest.raises(NetworkError, match="Known: a, b"):
        name.check_options(["b", "a"])


def test_an_image_size_is_one_number_or_two() -> None:
    name = SourceName.parse("timm:x")
    assert image_size(32, name) == (32, 32)
    assert image_size([16, 8], name) == (16, 8)
    for wrong in (0, "wide", [1, 2, 3], 2.5):
        with pytest.raises(NetworkError, match=r"positive number or \[height, width\]"):
            image_size(wrong, name)
