"""Plans, and ``apply``."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

PLANS = Topic(
    "Plans (`apply`)",
    [
        BadInput(
            "not there",
            "apply nowhere.json …",
            "Cannot read nowhere.json: No such file or directory. Is this the right path?",
        ),
        BadInput(
            "truncated",
            "apply cut-plan.json …",
            "cut-plan.json is not valid JSON (…). It may be truncated: write it again.",
        ),
        BadInput(
            "of another schema",
            "apply profile.json …",
            "profile.json must have schema 'rlprune-plan/2'; 'rlprune-device-profile/2' came. Is it a plan?",
        ),
        BadInput(
            "no object",
            "apply array.json …",
            "array.json must hold a JSON object, not list. Is this the right file?",
        ),
        BadInput(
            "keep ratio 0",
            "apply plan-0.json …",
            "plan-0.json, '0': keep_ratio must be a number in (0, 1]; 0 came. Use 1 to keep everything.",
        ),
        BadInput(
            "keep ratio 2",
            "apply plan-2.json …",
            "plan-2.json, '0': keep_ratio must be a number in (0, 1]; 2 came. Use 1 to keep everything.",
        ),
        BadInput(
            "keep ratio below 0",
            "apply plan-negative.json …",
            "plan-negative.json, '0': keep_ratio must be a number in (0, 1]; -0.5 came. Use 1 to keep everything.",
        ),
        BadInput(
            "keep ratio NaN",
            "apply plan-nan.json …",
            "plan-nan.json is not valid JSON (NaN is no finite number). Write it again.",
        ),
        BadInput(
            "keep ratio true",
            "apply plan-true.json …",
            "plan-true.json, '0': keep_ratio must be a number in (0, 1]; True came. Use 1 to keep everything.",
        ),
        BadInput(
            "keep ratio as text",
            "apply plan-text.json …",
            "plan-text.json, '0': keep_ratio must be a number in (0, 1]; 'half' came. Use 1 to keep everything.",
        ),
        BadInput(
            "decision without keep ratio",
            "apply plan-empty.json …",
            "plan-empty.json: the decision of '0' must be an object with 'keep_ratio' or others; {} came.",
        ),
        BadInput(
            "density over 1",
            "apply plan-dense.json …",
            "plan-dense.json, '9': density must be a number in (0, 1]; 1.5 came. Use 1 to keep everything; to keep "
            "nothing, drop the block, or let go of the channels.",
        ),
        BadInput(
            "density between two percents",
            "apply plan-fine.json …",
            "plan-fine.json, '9': density must be a whole percent, such as 0.35; 0.355 came. Round it.",
        ),
        BadInput(
            "bits that nothing has",
            "apply plan-bits.json …",
            "plan-bits.json, '9': bits must be 4, 8, 16 or 32; 5 came.",
        ),
        BadInput(
            "int8 without bits",
            "apply plan-int8.json …",
            "plan-int8.json, '9': A layer computes in int8 only where its weight has at most 8 bits; activations 8 "
            "came with bits None. Set bits to 8, or leave activations out.",
        ),
        BadInput(
            "dropped and pruned",
            "apply plan-both.json …",
            "plan-both.json, '9': What is dropped cannot be pruned or quantised as well. Leave one of the two out.",
        ),
        BadInput(
            "decision of another name",
            "apply plan-sparsity.json …",
            "plan-sparsity.json, '9': Unknown decision 'sparsity'. Did you mean 'density'? Known: activations, bits, "
            "density, drop, keep_ratio.",
        ),
        BadInput(
            "layer that the network has not",
            "apply plan-layer.json …",
            "Unknown layer to quantise 'hed'. Known: 0, 14, 3, 6, 9.",
        ),
        BadInput(
            "pattern the wrong way round",
            "apply plan-rule.json …",
            "plan-rule.json: A pattern must be N:M with 0 < N < M <= 32, such as '2:4'; '4:2' came. Leave it out to "
            "remove weights anywhere.",
        ),
        BadInput(
            "group that the network has not",
            "apply plan-other-group.json …",
            "A plan fits only the network it was made for; group 0 is 'head' in the plan and '0' in the "
            "network. Make a plan for this network, or replay the policy on it.",
        ),
        BadInput(
            "of another network",
            "apply run/plan.json … --network tiny_networks:wider --task tiny_networks:wider_task",
            "A plan fits only the network it was made for; the group names agree, but widths, layer shapes "
            "or the input size differ. Make a plan for this network, or replay the policy on it.",
        ),
        BadInput(
            "note on layers that is no list",
            "apply plan-note.json …",
            "The plan's note 'ignore' must be a list of names; 'head' came. Give --ignore.",
        ),
        BadInput(
            "note on BatchNorm that is no share",
            "apply plan-batchnorm.json …",
            "The plan's note 'batchnorm' must be a number from 0 to 1; 'own' came. Remove it.",
        ),
        BadInput(
            "device that only has a profile",
            "apply run/plan.json … --device profile.json",
            "The pruned network is timed here, which 'profile.json' cannot: the profile was measured on "
            "Invented processor with onnxruntime 0.0, InventedProvider, batch 1, float32, 1 thread(s), a "
            "runtime that this rlprune has not. Name cpu.",
        ),
        BadInput(
            "no timings",
            "apply run/plan.json … --samples 0",
            "--samples must be at least 1; 0 came.",
        ),
    ],
)
