"""Settings in a file."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

CONFIG_FILES = Topic(
    "Settings in a file (`--config`)",
    [
        BadInput(
            "file that is not there",
            "train --config missing.yaml",
            "Cannot read missing.yaml: No such file or directory. Is this the right path?",
        ),
        BadInput(
            "unknown setting",
            "train --config unknown.yaml",
            "unknown.yaml: Unknown setting 'episods'. Did you mean 'episodes'? Known: ….",
        ),
        BadInput(
            "value of the wrong kind",
            "train --config wrong.yaml",
            "wrong.yaml: Setting 'episodes' must be a whole number; [3] came.",
        ),
        BadInput(
            "value out of range",
            "train --config negative.yaml",
            "--seed must be at least 0; -1 came.",
        ),
        BadInput(
            "settings that run code",
            "train --config code.yaml",
            "code.yaml must be plain YAML, such as 'episodes: 300'; line 1: could not determine a "
            "constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.mkdir'.",
        ),
        BadInput(
            "aliases, which can stand for more than any memory holds",
            "train --config aliases.yaml",
            "aliases.yaml must be plain YAML, such as 'episodes: 300'; it has an alias (*name): write the value out.",
        ),
        BadInput(
            "no YAML",
            "train --config broken.yaml",
            "broken.yaml must be plain YAML, such as 'episodes: 300'; line 2: ….",
        ),
        BadInput(
            "a list in place of settings",
            "train --config list.yaml",
            "list.yaml must hold settings by name, such as 'episodes: 300'. Is it a file of settings?",
        ),
        BadInput(
            "a folder",
            "train --config empty",
            "Cannot read empty: it must be a file, not a folder or a device. Is this the right path?",
        ),
    ],
)
