"""Policies, and ``replay``."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

POLICIES = Topic(
    "`replay` and policies",
    [
        BadInput(
            "budget below 0",
            "replay run … --budget latency=-1",
            "A budget must be a finite number over 0, not latency=-1.0. Write latency=0.5 for half the dense "
            "network, or latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "no samples",
            "replay run … --samples 0",
            "--samples must be at least 1; 0 came.",
        ),
        BadInput(
            "no time to measure",
            "replay run … --profile-minutes 0",
            "--profile-minutes must be a positive number; 0.0 came.",
        ),
        BadInput(
            "code that only the run names",
            "replay run",
            "The network and the task of the run in run are code of its user, and a run folder may come from "
            "anyone. If you trust that code, add --network tiny_networks:network --task tiny_networks:task",
        ),
        BadInput(
            "task that only the run names",
            "replay run --network tiny_networks:network",
            "The task of the run in run is code of its user, and a run folder may come from anyone. If you "
            "trust that code, add --task tiny_networks:task",
        ),
        BadInput(
            "unknown network",
            "replay run --network fashion-resnet2",
            "Unknown network 'fashion-resnet2'. Did you mean 'fashion-resnet20'? Known: digits-resnet, "
            "fashion-dense, fashion-mobilenet, fashion-resnet20, fashion-vgg. Or name your own as module:function, "
            "or one of another library as hf:CONFIG, torchvision:NAME or timm:NAME.",
        ),
        BadInput(
            "run of a method that learns no policy",
            "replay without-policy …",
            "The run in without-policy has no policy (policy.json); it is a run of random. Replay a run of "
            "an agent that learns, such as ddpg or ppo.",
        ),
        BadInput(
            "policy of another observation version",
            "replay old-policy …",
            "old-policy/policy.json was trained on observation version 0; this rlprune has version 2. Train "
            "the policy again.",
        ),
        BadInput(
            "policy of other actions",
            "replay other-actions …",
            "other-actions/policy.json decides ['sparsity']; this rlprune has the actions ['keep_block', "
            "'keep_ratio', 'density', 'precision', 'price_of_depth', 'price_of_channels', 'price_of_weights', "
            "'price_of_bits']. Train the policy again.",
        ),
        BadInput(
            "policy with layers that do not fit",
            "replay other-sizes …",
            "other-sizes/policy.json: A policy maps 38 observation slots to 1 actions; its layers are (3, "
            "2). Train again.",
        ),
        BadInput(
            "truncated weights",
            "replay cut-weights …",
            "cut-weights/policy.safetensors does not hold the weights that policy.json describes (…). Train again.",
        ),
        BadInput(
            "weights of another shape",
            "replay other-weights …",
            "other-weights/policy.safetensors does not hold the weights that policy.json describes (…). Train again.",
        ),
        BadInput(
            "NaN in the weights",
            "replay nan-weights …",
            "The weights of a policy must be finite float32; those in nan-weights/policy.safetensors are "
            "not. Train again.",
        ),
    ],
)
