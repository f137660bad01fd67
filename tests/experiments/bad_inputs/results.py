"""``compare`` and ``validate``."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

COMPARED = Topic(
    "`compare`",
    [
        BadInput(
            "nothing",
            "compare",
            "There is nothing to compare: no run came. Name run folders, or a folder of runs.",
        ),
        BadInput(
            "no run",
            "compare full",
            "full is no run folder: it has no status.json. Give the folder that `rlprune train` wrote.",
        ),
        BadInput(
            "not there",
            "compare nowhere",
            "nowhere is no run folder: it is not there. Give the folder that `rlprune train` wrote.",
        ),
        BadInput(
            "a folder without runs",
            "compare empty",
            "empty is no run folder: it has no status.json. Give the folder that `rlprune train` wrote.",
        ),
        BadInput(
            "a run that is not complete",
            "compare run interrupted",
            "The run in interrupted is not complete (interrupted). Continue it: rlprune train --resume interrupted",
        ),
        BadInput(
            "a run without result",
            "compare run without-result",
            "The run in without-result has no result.json, which is needed here. Train again.",
        ),
        BadInput(
            "a run with a malformed result",
            "compare poor-result",
            "poor-result/result.json does not hold the result of a run: network is missing. Train again.",
        ),
    ],
)

VALIDATED = Topic(
    "`validate`",
    [
        BadInput(
            "no run",
            "validate full",
            "full is no run folder: it has no status.json. Give the folder that `rlprune train` wrote.",
        ),
        BadInput(
            "interrupted",
            "validate interrupted",
            "The run in interrupted is not complete (interrupted). Continue it: rlprune train --resume interrupted",
        ),
        BadInput(
            "no versions",
            "validate without-versions",
            "The run in without-versions has no versions.json, which is needed here. Train again.",
        ),
        BadInput(
            "evaluations below 0",
            "validate run --evaluations -1",
            "--evaluations must be at least 0; -1 came.",
        ),
        BadInput(
            "no timings",
            "validate run --samples 0",
            "--samples must be at least 1; 0 came.",
        ),
        BadInput(
            "a network that is code, and is not named",
            "validate run",
            "The network of the run in run is code of its user, and a run folder may come from anyone. If you trust "
            "that code, add --network tiny_networks:network",
        ),
        BadInput(
            "network that is not here",
            "validate lost-network --network lost_networks:network --task tiny_networks:task",
            "'lost_networks:network' must name a function as module:function; importing 'lost_networks' "
            "failed: No module named 'lost_networks'. Name a network of another library as hf:CONFIG, "
            "torchvision:NAME or timm:NAME.",
        ),
    ],
)
