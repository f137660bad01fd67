"""What is wrong with a command line, in the words of its flags; the parser speaks of its own keys and types."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from rlprune.errors import nearest
from rlprune.experiments.settings.options import flag_of, in_words
from rlprune.experiments.settings.run_config import TrainConfig

Fields = Sequence[dataclasses.Field[Any]]

# Of jsonargparse 4.40 and later, which words some of them anew.
UNKNOWN = re.compile(r"[Uu]nrecognized arguments: (\S+)")
WRONG_KIND = re.compile(r'Parser key "(\w+)":.* (?:Got|Given) value: (.*)')
NO_VALUE = re.compile(r"argument (\S+): expected one argument")
SWITCH = re.compile(r"argument (\S+): ignored explicit argument (.*)")
MISSING = re.compile(r'(?:the following arguments are required: |Validation failed: Key ")(\w+)')


def explained(message: str, verb: str, fields: Fields) -> str:
    """The parser's message, said as the other errors are: the rule, what came, what to do."""
    text = " ".join(message.split())
    if found := UNKNOWN.match(text):
        return _unknown(found[1], verb, fields)
    if found := WRONG_KIND.match(text):
        return _wrong_kind(found[1], found[2], fields)
    if found := NO_VALUE.match(text):
        return f"{found[1]} needs a value; none came."
    if found := SWITCH.match(text):
        return f"{found[1]} takes no value; {found[2]} came."
    if found := MISSING.match(text):
        wanted = next((field.metadata["help"] for field in fields if field.name == found[1]), found[1])
        return f"rlprune {verb} needs {found[1].upper()} ({wanted}); none came. See rlprune {verb} --help."
    return f"{text}. See rlprune {verb} --help."


def _unknown(word: str, verb: str, fields: Fields) -> str:
    if not word.startswith("-"):
        return f"rlprune {verb} has no use for {word!r}. Did you forget the flag before it? See rlprune {verb} --help."
    name = word.partition("=")[0]
    if verb == "replay" and name in [flag_of(field.name) for field in dataclasses.fields(TrainConfig)]:
        return f"A policy is replayed with the settings of its run; {name} came. Leave it out, or train with it."
    flags = ["--config", "--json", *(flag_of(field.name) for field in fields if not field.metadata["positional"])]
    return f"rlprune {verb} has no flag {name}.{nearest(name, flags, 0.6)} See rlprune {verb} --help."


def _wrong_kind(name: str, value: str, fields: Fields) -> str:
    kind = next((in_words(str(field.type)) for field in fields if field.name == name), "of its kind")
    return f"{flag_of(name)} must be {kind}; {value!r:.80} came."
