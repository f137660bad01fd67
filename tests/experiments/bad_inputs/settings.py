"""Settings out of range."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

SETTINGS = Topic(
    "Settings out of range",
    [
        BadInput(
            "no episodes",
            "train … --episodes 0",
            "--episodes must be at least 1; 0 came.",
        ),
        BadInput(
            "fewer episodes than a warm-up needs",
            "train … --episodes 1",
            "ddpg needs at least 2 episodes here; 1 came. Use --episodes 300, say.",
        ),
        BadInput(
            "fewer episodes than a baseline needs",
            "train … --baselines greedy",
            "greedy needs at least 6 episodes here; 2 came. Use --episodes 300, say.",
        ),
        BadInput(
            "a pattern where no weights are decided",
            "train … --pattern 2:4",
            "--pattern needs weights among what is decided; --decide has channels. Add it, or leave --pattern out.",
        ),
        BadInput(
            "bits where none are decided",
            "train … --decide channels,weights --bits 4,8",
            "--bits needs bits among what is decided; --decide has channels, weights. Add it, or leave --bits out.",
        ),
        BadInput(
            "no density but the full one",
            "train … --decide weights --density 100",
            "Some density must be below 100, at which all of a weight remains; [100] came. Name lower ones, or leave "
            "weights out of --decide.",
        ),
        BadInput(
            "density zero",
            "train … --decide weights --density 0,50",
            "Densities are whole percents of a weight that remain, from 1 to 100; [0, 50] came. To remove all of a "
            "layer, decide depth or channels.",
        ),
        BadInput(
            "no samples",
            "train … --samples 0",
            "--samples must be at least 1; 0 came.",
        ),
        BadInput(
            "no workers",
            "train … --workers 0",
            "--workers must be at least 1; 0 came.",
        ),
        BadInput(
            "more workers than any machine holds",
            "train … --workers 100000",
            "--workers must be at most 1024; 100000 came.",
        ),
        BadInput(
            "no finalists",
            "train … --finalists 0",
            "--finalists must be at least 1; 0 came.",
        ),
        BadInput(
            "no threads",
            "train … --threads 0",
            "--threads must be at least 1; 0 came.",
        ),
        BadInput(
            "more threads than any machine has",
            "train … --threads 99999",
            "--threads must be at most 1024; 99999 came.",
        ),
        BadInput(
            "negative seed",
            "train … --seed -1",
            "--seed must be at least 0; -1 came.",
        ),
        BadInput(
            "seed that NumPy cannot take",
            "train … --seed 4294967296",
            "--seed must be below 2**32; 4294967296 came.",
        ),
        BadInput(
            "no watts",
            "train … --watts 0",
            "--watts must be a positive number; 0.0 came.",
        ),
        BadInput(
            "watts that are no number",
            "train … --watts nan",
            "--watts must be a number; 'nan' came.",
        ),
        BadInput(
            "bound that is no fraction",
            "train … --profile-bound 2",
            "--profile-bound must lie between 0 and 1 (0.03 is 3%); 2.0 came.",
        ),
        BadInput(
            "no time",
            "train … --profile-minutes 0",
            "--profile-minutes must be a positive number; 0.0 came.",
        ),
        BadInput(
            "no plans for a profile",
            "train … --profile-plans 0",
            "--profile-plans must be at least 1; 0 came.",
        ),
        BadInput(
            "unknown answer to NaN",
            "train … --on-nan stopp",
            "Unknown answer to --on-nan 'stopp'. Did you mean 'stop'? Known: skip, stop.",
        ),
        BadInput(
            "seed of the demo",
            "demo --seed -1",
            "--seed must be at least 0; -1 came.",
        ),
        BadInput(
            "episodes of the demo",
            "demo --episodes 0",
            "--episodes must be at least 1; 0 came.",
        ),
    ],
)
