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
            "profile.json must have schema 'rlprune-plan/1'; 'rlprune-device-profile/2' came. Is it a plan?",
        ),
        BadInput(
            "no object",
            "apply array.json …",
            "array.json must hold a JSON object, not list. Is this the right file?",
        ),
        BadInput(
            "keep ratio 0",
            "apply plan-0.json …",
            "plan-0.json, group '0': keep_ratio must be a number in (0, 1]; 0 came. Use 1 to keep everything.",
        ),
        BadInput(
            "keep ratio 2",
            "apply plan-2.json …",
            "plan-2.json, group '0': keep_ratio must be a number in (0, 1]; 2 came. Use 1 to keep everything.",
        ),
        BadInput(
            "keep ratio below 0",
            "apply plan-negative.json …",
            "plan-negative.json, group '0': keep_ratio must be a number in (0, 1]; -0.5 came. Use 1 to keep "
            "everything.",
        ),
        BadInput(
            "keep ratio NaN",
            "apply plan-nan.json …",
            "plan-nan.json is not valid JSON (NaN is no finite number). Write it again.",
        ),
        BadInput(
            "keep ratio true",
            "apply plan-true.json …",
            "plan-true.json, group '0': keep_ratio must be a number in (0, 1]; True came. Use 1 to keep everything.",
        ),
        BadInput(
            "keep ratio as text",
            "apply plan-text.json …",
            "plan-text.json, group '0': keep_ratio must be a number in (0, 1]; 'half' came. Use 1 to keep everything.",
        ),
        BadInput(
            "decision without keep ratio",
            "apply plan-empty.json …",
            "plan-empty.json: the decision of '0' must be an object with 'keep_ratio'; {} came.",
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
            "The plan's note 'ignore' must be a list of layer names; 'head' came. Give --ignore.",
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
