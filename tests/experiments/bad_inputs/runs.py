"""Run folders, and how they go on."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

RUN_FOLDERS = Topic(
    "Run folders",
    [
        BadInput(
            "no run",
            "report full",
            "full is no run folder: it has no status.json. Give the folder that `rlprune train` wrote.",
        ),
        BadInput(
            "not there",
            "report nowhere",
            "nowhere is no run folder: it is not there. Give the folder that `rlprune train` wrote.",
        ),
        BadInput(
            "interrupted",
            "report interrupted",
            "The run in interrupted is not complete (interrupted). Continue it: rlprune train --resume "
            "interrupted --network tiny_networks:network --task tiny_networks:task",
        ),
        BadInput(
            "still running, or killed",
            "replay running …",
            "The run in running is not complete (still running, or was killed). Continue it: rlprune train "
            "--resume running --network tiny_networks:network --task tiny_networks:task",
        ),
        BadInput(
            "status of another schema",
            "report foreign",
            "foreign/status.json must have schema 'rlprune-run/1'; 'rlprune-run/9' came. Another version of "
            "rlprune wrote it: use that one.",
        ),
        BadInput(
            "status that is none",
            "report odd-status",
            "odd-status/status.json must hold one of running, interrupted, failed, complete; 'fine' came. Train again.",
        ),
        BadInput(
            "truncated status",
            "report cut-status",
            "cut-status/status.json is not valid JSON (…). It may be truncated: write it again.",
        ),
        BadInput(
            "no result",
            "report without-result",
            "The run in without-result has no result.json, which is needed here. Train again.",
        ),
        BadInput(
            "truncated result",
            "report cut-result",
            "cut-result/result.json is not valid JSON (…). It may be truncated: write it again.",
        ),
        BadInput(
            "result in which a part is missing",
            "report poor-result",
            "poor-result/result.json does not hold the result of a run: network is missing. Train again.",
        ),
        BadInput(
            "result whose details are of other networks",
            "report other-details",
            "other-details/result.json does not hold the result of a run: details must be of every network in rows. "
            "Train again.",
        ),
        BadInput(
            "result of another schema",
            "report other-result",
            "other-result/result.json must have schema 'rlprune-result/1'; 'rlprune-result/99' came. Train again.",
        ),
        BadInput(
            "no episodes of a method",
            "report without-episodes",
            "Cannot read without-episodes/episodes-ddpg.csv: No such file or directory. Is this the right path?",
        ),
        BadInput(
            "episodes with a word for a number",
            "report odd-episodes",
            "odd-episodes/episodes-ddpg.csv is not a table of episodes (could not convert string to float: "
            "'many'). Train again.",
        ),
        BadInput(
            "links in it",
            "report linked",
            "A run folder must hold no links; linked/plan.json is one. Put the file itself there.",
        ),
        BadInput(
            "settings that run code",
            "replay code-config …",
            "code-config/config.yaml must be plain YAML, such as 'episodes: 300'; line 1: could not "
            "determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.mkdir'.",
        ),
        BadInput(
            "unknown setting",
            "validate odd-config",
            "odd-config/config.yaml: Unknown setting 'episods'. Did you mean 'episodes'? Known: ….",
        ),
    ],
)

RESUMED = Topic(
    "Going on (`train --resume`)",
    [
        BadInput(
            "no run",
            "train --resume full",
            "full is no run folder: it has no status.json. Give the folder that `rlprune train` wrote.",
        ),
        BadInput(
            "complete",
            "train --resume run",
            "The run in run is complete: nothing is left to do. See run/report.md.",
        ),
        BadInput(
            "in use by another process",
            "train --resume in-use --network tiny_networks:network --task tiny_networks:task",
            "One process at a time works on a run; in-use is in use by process 4711 on elsewhere since "
            "2026-01-01T00:00:00+00:00. Wait for it.",
        ),
        BadInput(
            "another setting beside it",
            "train --resume interrupted --episodes 100",
            "A run is continued with its own settings; --episodes came beside --resume. Leave them out, or "
            "start a new run.",
        ),
        BadInput(
            "a network that is code, and is not named",
            "train --resume interrupted",
            "The network and the task of the run in interrupted are code of its user, and a run folder may come "
            "from anyone. If you trust that code, add --network tiny_networks:network --task tiny_networks:task",
        ),
        BadInput(
            "another network than its own",
            "train --resume interrupted --network fashion-vgg",
            "A run is continued with its own settings; its network is tiny_networks:network, fashion-vgg came. Leave "
            "it out.",
        ),
        BadInput(
            "journal that is none",
            "train --resume odd-journal --network tiny_networks:network --task tiny_networks:task",
            "odd-journal/evaluations.jsonl is not the journal of a run (…). Start a new run.",
        ),
    ],
)
