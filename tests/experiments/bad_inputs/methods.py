"""Names of methods, and their settings."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

METHODS = Topic(
    "Agents and methods",
    [
        BadInput(
            "unknown agent",
            "train … --agent ddgp",
            "Unknown method 'ddgp'. Did you mean 'ddpg'? Known: ….",
        ),
        BadInput(
            "unknown baseline",
            "train … --baselines randm",
            "Unknown baseline 'randm'. Did you mean 'random'? Known: ….",
        ),
        BadInput(
            "unknown method of search",
            "search … --method evolutionry",
            "Unknown method 'evolutionry'. Did you mean 'evolutionary'? Known: ….",
        ),
        BadInput(
            "uniform or filled, which do not search",
            "train … --agent uniform",
            "--agent must search; uniform does not, and is compared in every run. Choose ddpg or random.",
        ),
        BadInput(
            "unknown preset",
            "train … --preset no-shapng",
            "Unknown preset of ddpg 'no-shapng'. Did you mean 'no-shaping'? Known: ….",
        ),
        BadInput(
            "preset of what has none",
            "search … --method greedy --preset no-shaping",
            "greedy has no presets and no settings. Leave --preset and --setting out.",
        ),
        BadInput(
            "unknown setting of the agent",
            "train … --setting optimsm=2",
            "Unknown setting of ddpg 'optimsm'. Did you mean 'optimism'? Known: ….",
        ),
        BadInput(
            "setting of the agent that is no number",
            "train … --setting optimism=much",
            "Setting 'optimism' must be a number such as 0.5; 'much' came.",
        ),
        BadInput(
            "setting of the agent without a value",
            "train … --setting optimism",
            "--setting reads key=value, such as optimism=2; 'optimism' came.",
        ),
        BadInput(
            "setting of the agent that comes twice",
            "train … --setting walks=8 --setting walks=9",
            "--setting takes each key once; 'walks' came again.",
        ),
        BadInput(
            "setting of the agent out of range",
            "train … --setting walks=0",
            "Setting 'walks' must be at least 1; 0 came.",
        ),
        BadInput(
            "setting of a method that has none",
            "train … --agent random --setting optimism=2",
            "random has no presets and no settings. Leave --preset and --setting out.",
        ),
        BadInput(
            "step of the threshold loop out of range",
            "search … --method threshold --setting alpha=0",
            "Threshold loop: alpha must be above 0 and finite; 0.0 came.",
        ),
        BadInput(
            "unknown step rule of the threshold loop",
            "search … --method threshold --setting rule=proportionl",
            "Unknown step rule 'proportionl'. Did you mean 'proportional'? Known: fixed, proportional.",
        ),
        BadInput(
            "unknown reward",
            "train … --reward agrement",
            "Unknown reward 'agrement'. Did you mean 'agreement'? Known: accuracy, agreement, amc, amc-cost, weighted.",
        ),
    ],
)
