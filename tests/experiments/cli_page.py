"""The page of the command line, from its table of verbs: ``python -m tests.experiments.cli_page > docs/cli.md``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from rlprune.experiments.cli.parser import ARGUMENTS, COMMON, sections
from rlprune.experiments.cli.verbs import VERBS
from rlprune.experiments.settings.options import GROUPS, Option

INTRODUCTION = """\
# The command line

`rlprune VERB [flags]`; `rlprune VERB --help` tells the flags that a user needs first, `--help-all` every one.
A flag that is a list is given once for each of its values, or as `[a, b]`; `[]` empties it. What a flag may be without
is `null`. Flags win over `--config`, and `--config` over defaults.

This page is made by `python -m tests.experiments.cli_page > docs/cli.md`.

## Exit codes

| code | means |
|---|---|
| 0 | done; `validate`: all that can be checked holds; `sweep`: every member is complete |
| 1 | `validate`: a claim differs; `sweep`: a member failed or is not complete |
| 2 | a setting or an input is wrong: one line on stderr says the rule, what came and what to do |
| 130 | interrupted (Ctrl-C or SIGTERM); the line on stderr tells how to go on |

## Verbs

| verb | what it does | example |
|---|---|---|"""
FLAGS = """
## Flags

| flag | meaning | default | verbs |
|---|---|---|---|"""


def page() -> str:
    """The page as Markdown."""
    verbs = [f"| `{verb.name}` | {verb.summary} | `{verb.example}` |" for verb in VERBS.values()]
    common = [f"| `{flag}` | {text} | | all |" for flag, text in COMMON.items()]
    return "\n".join([INTRODUCTION, *verbs, FLAGS, *_rows(), _title("Every verb"), *common]) + "\n"


def _title(text: str) -> str:
    return f"| **{text}** | | | |"


def _rows() -> list[str]:
    """A row for each meaning of a flag, below the title of its group."""
    groups: dict[str, dict[tuple[str, str], dict[str, Option]]] = defaultdict(lambda: defaultdict(dict))
    for verb in VERBS.values():
        for title, options in sections(verb, everything=True).items():
            for option in options:
                name = option.name.upper() if option.positional else option.flag
                groups[title][name, option.meaning][verb.name] = option
    rows: list[str] = []
    for title in (ARGUMENTS, *GROUPS[1:], GROUPS[0]):
        rows.append(_title(title))
        rows += [_row(name, text, verbs) for (name, text), verbs in groups[title].items()]
    return rows


def _row(name: str, text: str, verbs: Mapping[str, Option]) -> str:
    usual, *_ = words = list(dict.fromkeys(option.default_words for option in verbs.values()))
    others = [
        f"{', '.join(verb for verb, option in verbs.items() if option.default_words == other)}: {other}"
        for other in words[1:]
    ]
    default = "; ".join(filter(None, [usual, *others]))
    return " | ".join([f"| `{name}`", _plain(text), _plain(default), ", ".join(verbs), ""]).rstrip()


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    print(page(), end="")
