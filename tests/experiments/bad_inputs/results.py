"""``compare``, ``front`` and ``validate``."""

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
            "The run in interrupted is not complete (interrupted). Continue it: rlprune train --resume "
            "interrupted --network tiny_networks:network --task tiny_networks:task",
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

FRONTS = Topic(
    "`front`",
    [
        BadInput(
            "nothing",
            "front",
            "There is nothing to compare: no run came. Name run folders, or a folder of runs.",
        ),
        BadInput(
            "a run that is not complete",
            "front run interrupted",
            "The run in interrupted is not complete (interrupted). Continue it: rlprune train --resume "
            "interrupted --network tiny_networks:network --task tiny_networks:task",
        ),
        BadInput(
            "a run without episodes",
            "front without-episodes",
            "The run in without-episodes cannot be read: Cannot read without-episodes/episodes-ddpg.csv: No such file "
            "or directory. Is this the right path?",
        ),
        BadInput(
            "a run of another network",
            "front run other-network",
            "A front is of one network, data and device; run and other-network differ in the layers of the "
            "network, which has the same name. Name runs that agree, or name objectives that need no device.",
        ),
        BadInput(
            "unknown objective",
            "front run --objective acuracy --objective latency",
            "Unknown objective 'acuracy'. Did you mean 'accuracy'? Known: ….",
        ),
        BadInput(
            "one objective",
            "front run --objective accuracy",
            "A front has 2 to 5 objectives; 1 came. Repeat --objective.",
        ),
        BadInput(
            "an objective twice",
            "front run --objective macs --objective macs",
            "--objective takes each objective once; 'macs' came again.",
        ),
        BadInput(
            "unknown kind of plans",
            "front run --among mesured",
            "Unknown kind of plans 'mesured'. Did you mean 'measured'? Known: measured, searched.",
        ),
        BadInput(
            "unknown way to choose",
            "front run --choose knees",
            "Unknown way to choose 'knees'. Did you mean 'knee'? Known: ….",
        ),
        BadInput(
            "two ways to choose",
            "front run --choose knee --prefer accuracy=1",
            "--prefer and --choose both say which plan is taken. Leave one out.",
        ),
        BadInput(
            "chosen by no objective of the front",
            "front run --choose macs",
            "What is chosen by must be an objective of the front (accuracy, latency, energy); 'macs' came. Add "
            "--objective macs.",
        ),
        BadInput(
            "a limit that no plan keeps to",
            "front run --within latency=1us",
            "None of the … measured plans keeps to latency=1us. The nearest, …, has latency … ms (…% of the dense "
            "network's) where latency=1us is asked. Loosen the limit, or search within it.",
        ),
        BadInput(
            "a limit that is none",
            "front run --within latency",
            "A budget reads metric=value, such as latency=0.5 or macs=20M, not 'latency'.",
        ),
        BadInput(
            "a limit twice",
            "front run --within macs=0.5 --within macs=0.4",
            "--within takes each objective once; 'macs' came again.",
        ),
        BadInput(
            "a score over that of the dense network",
            "front run --within accuracy=1.5",
            "--within accuracy reads accuracy=0.98, at least that share of the dense network's, or accuracy=90%; "
            "'accuracy=1.5' came.",
        ),
        BadInput(
            "of front, not empty",
            "front run --out full",
            "The output folder must be new or empty; full holds other files. Choose another with --out.",
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
            "The run in interrupted is not complete (interrupted). Continue it: rlprune train --resume "
            "interrupted --network tiny_networks:network --task tiny_networks:task",
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
            "The network and the task of the run in run are code of its user, and a run folder may come from "
            "anyone. If you trust that code, add --network tiny_networks:network --task tiny_networks:task",
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
