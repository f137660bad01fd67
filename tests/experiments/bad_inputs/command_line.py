"""Words of the command line."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

COMMAND_LINE = Topic(
    "The command line",
    [
        BadInput(
            "no verb of that name",
            "trian",
            "Unknown verb 'trian'. Did you mean 'train'? Known: ….",
        ),
        BadInput(
            "unknown flag",
            "train … --episode-count 3",
            "rlprune train has no flag --episode-count. Did you mean '--episodes'? See rlprune train --help.",
        ),
        BadInput(
            "flag of train beside replay",
            "replay run --decide bits",
            "A policy is replayed with the settings of its run; --decide came. Leave it out, or train with it.",
        ),
        BadInput(
            "flag without a value",
            "train … --seed",
            "--seed needs a value; none came.",
        ),
        BadInput(
            "list flag without a value",
            "train … --budget",
            "--budget needs a value; none came.",
        ),
        BadInput(
            "value that is no number",
            "train … --episodes many",
            "--episodes must be a whole number; 'many' came.",
        ),
        BadInput(
            "value that is no whole number",
            "train … --episodes 2.5",
            "--episodes must be a whole number; '2.5' came.",
        ),
        BadInput(
            "switch with a value",
            "inspect … --json=yes",
            "--json takes no value; 'yes' came.",
        ),
        BadInput(
            "argument that nothing takes",
            "train … stray",
            "rlprune train has no use for 'stray'. Did you forget the flag before it? See rlprune train --help.",
        ),
        BadInput(
            "no run named",
            "report",
            "rlprune report needs RUN (run folder of `rlprune train`); none came. See rlprune report --help.",
        ),
        BadInput(
            "unknown flag of compare",
            "compare run --output comparison",
            "rlprune compare has no flag --output. Did you mean '--out'? See rlprune compare --help.",
        ),
        BadInput(
            "abbreviated flag",
            "train … --epis 3",
            "rlprune train has no flag --epis. Did you mean '--episodes'? See rlprune train --help.",
        ),
        BadInput(
            "flag that another verb has",
            "report run --seed 3",
            "rlprune report has no flag --seed. See rlprune report --help.",
        ),
        BadInput(
            "a device verb with a setting",
            "devices --device cpu",
            "rlprune devices has no flag --device. See rlprune devices --help.",
        ),
    ],
)
