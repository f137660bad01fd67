"""Which layers are pruned, and how far."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

WIDTHS = Topic(
    "Widths and layers",
    [
        BadInput(
            "ignored layer that is not there",
            "train … --ignore 'head*'",
            "What ignore names must be layers of the network; nothing matches 'head*'. `rlprune inspect` lists them.",
        ),
        BadInput(
            "output that is not there",
            "train … --outputs logits",
            "Outputs must be some that the network gives; 'logits' is none of: a single tensor, which has no name.",
        ),
        BadInput(
            "layer to prune that is not there",
            "inspect … --only head",
            "What only names must be layers of the network; nothing matches 'head'. `rlprune inspect` lists them.",
        ),
        BadInput(
            "layer of nearly this name",
            "inspect --network digits-resnet --ignore stem.1.0",
            "What ignore names must be layers of the network; nothing matches 'stem.1.0'. Did you mean "
            "'stem.1'? `rlprune inspect` lists them.",
        ),
        BadInput(
            "everything is ignored",
            "train … --ignore '*'",
            "A network needs at least one group of channels that can be pruned; there is none (0: 0 is "
            "ignored, as asked; 3: 3 is ignored, as asked; 6: 6 is ignored, as asked; 9: 9 is ignored, as "
            "asked; 14: its channels are an output of the network). Ignore less, or choose another network.",
        ),
        BadInput(
            "multiple of 0",
            "train … --multiple 0",
            "--multiple must be at least 1; 0 came.",
        ),
        BadInput(
            "keep ratio over 1",
            "inspect … --minimum 1.5",
            "--minimum must be a keep ratio in [0, 1]; 1.5 came.",
        ),
        BadInput(
            "rule without settings",
            "inspect … --rule layer3",
            "--rule must read 'PATTERN: multiple=N minimum=RATIO', such as 'layer3.*: multiple=16 "
            "minimum=0.5'; 'layer3' came.",
        ),
        BadInput(
            "rule for every layer",
            "inspect … --rule '*: multiple=2'",
            "--rule is for some layers; '*: multiple=2' came. Use --multiple and --minimum for all.",
        ),
        BadInput(
            "rule with an unknown setting",
            "inspect … --rule '0: multiples=2'",
            "--rule must read 'PATTERN: multiple=N minimum=RATIO', such as 'layer3.*: multiple=16 "
            "minimum=0.5'; 'multiples=2' came in '0: multiples=2'.",
        ),
        BadInput(
            "rule with a word for a number",
            "inspect … --rule '0: multiple=few'",
            "The multiple of --rule '0: multiple=few' must be a whole number; 'few' came.",
        ),
        BadInput(
            "rule for a layer that is not there",
            "inspect … --rule 'layer3.*: multiple=2'",
            "What multiple names must be layers of the network; nothing matches 'layer3.*'. `rlprune "
            "inspect` lists them.",
        ),
    ],
)
