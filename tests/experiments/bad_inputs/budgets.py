"""Budgets and preferences."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

BUDGETS = Topic(
    "Budgets",
    [
        BadInput(
            "unknown metric",
            "train … --budget latencies=0.5",
            "Unknown budget metric 'latencies'. Did you mean 'latency'? Known: energy, latency, latency_p50, "
            "latency_p95, latency_p99, macs, params, size, weights.",
        ),
        BadInput(
            "no value",
            "train … --budget latency",
            "A budget reads metric=value, such as latency=0.5 or macs=20M, not 'latency'.",
        ),
        BadInput(
            "no number",
            "train … --budget latency=fast",
            "'fast' in 'latency=fast' is not a number with an optional unit. Write latency=0.5 for half the "
            "dense network, or latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "zero",
            "train … --budget latency=0",
            "A budget must be a finite number over 0, not latency=0.0. Write latency=0.5 for half the dense "
            "network, or latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "negative",
            "train … --budget macs=-5",
            "A budget must be a finite number over 0, not macs=-5.0. Write macs=0.5 for half the dense "
            "network, or macs=20M (units: k, K, M, G).",
        ),
        BadInput(
            "NaN",
            "train … --budget latency=nan",
            "A budget must be a finite number over 0, not latency=nan. Write latency=0.5 for half the dense "
            "network, or latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "infinite",
            "train … --budget macs=inf",
            "A budget must be a finite number over 0, not macs=inf. Write macs=0.5 for half the dense "
            "network, or macs=20M (units: k, K, M, G).",
        ),
        BadInput(
            "fraction over 1",
            "train … --budget latency=1.5",
            "A budget without a unit is a fraction of the dense network, at most 1, not latency=1.5. Write "
            "latency=0.5 for half the dense network, or latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "unit of another metric",
            "train … --budget latency=5mJ",
            "latency has no unit 'mJ' (in 'latency=5mJ'). Write latency=0.5 for half the dense network, or "
            "latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "unknown unit",
            "train … --budget macs=5T",
            "macs has no unit 'T' (in 'macs=5T'). Write macs=0.5 for half the dense network, or macs=20M "
            "(units: k, K, M, G).",
        ),
        BadInput(
            "none",
            "train … --budget []",
            "A search needs a budget; none came. Use --budget latency=0.5, say.",
        ),
        BadInput(
            "two of one metric",
            "train … --budget latency=0.5 --budget latency=0.6",
            "Each metric takes one budget; latency has 2. Keep one.",
        ),
        BadInput(
            "impossible latency",
            "train … --budget latency=0.0001",
            "Budget latency=0.0001 cannot be met: it allows 0.105 us, and the smallest plan needs 18.1 us (25% "
            "of it in `6`), 1.7% of the dense network's … us. Ask for latency=0.0172 or more.",
        ),
        BadInput(
            "impossible latency, before a profile is measured",
            "train … --device cpu --budget latency=0.0001",
            "Budget latency=0.0001 cannot be met: it allows …, and the smallest plan needs … (measured quickly), …% of "
            "the dense network's …. Ask for latency=… or more.",
        ),
        BadInput(
            "impossible MACs, before anything is measured",
            "train … --device cpu --budget latency=0.5 --budget macs=10",
            "Budget macs=10 cannot be met: it allows 10, and the smallest plan needs 66.8 k (83% of it in `6`), "
            "6.4% of the dense network's 1.0 M. Ask for macs=66.9k or more.",
        ),
        BadInput(
            "range upside down",
            "train … --budget latency=0.8..0.4",
            "A range of budgets goes from the smaller to the larger; latency=0.8..0.4 came. Turn its ends round.",
        ),
        BadInput(
            "range that is a point",
            "train … --budget latency=0.5..0.5",
            "A range of budgets goes from the smaller to the larger; latency=0.5..0.5 came. Turn its ends round.",
        ),
        BadInput(
            "range without an end",
            "train … --budget latency=0.5..",
            "A range of budgets reads metric=low..high, such as latency=0.3..0.8, not 'latency=0.5..'.",
        ),
        BadInput(
            "range with a word at one end",
            "train … --budget latency=0.5..high",
            "'high' in 'latency=high' is not a number with an optional unit. Write latency=0.5 for half the "
            "dense network, or latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "range on a unit of another metric",
            "train … --budget latency=2..8mJ",
            "latency has no unit 'mJ' (in 'latency=8mJ'). Write latency=0.5 for half the dense network, or "
            "latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "range of words",
            "train … --budget latency=low..high",
            "'high' in 'latency=high' is not a number with an optional unit. Write latency=0.5 for half the "
            "dense network, or latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "range over the dense network",
            "train … --budget latency=0.5..1.5",
            "A budget without a unit is a fraction of the dense network, at most 1, not latency=1.5. Write "
            "latency=0.5 for half the dense network, or latency=8ms (units: us, ms, s).",
        ),
        BadInput(
            "ends in two units",
            "train … --budget latency=0.5ms..0.9",
            "Both ends of a range are on one cost and in one unit, not latency=0.5ms and latency=0.9. Write "
            "latency=0.3..0.8, say.",
        ),
        BadInput(
            "two ranges",
            "train … --budget latency=0.4..0.8 --budget macs=0.2..0.9",
            "One budget may be a range; latency=0.4..0.8 and macs=0.2..0.9 came. Give single values for the others.",
        ),
        BadInput(
            "range whose lower end is impossible",
            "train … --budget latency=0.0001..0.9",
            "Budget latency=0.0001 cannot be met: it allows 0.105 us, and the smallest plan needs 18.1 us (25% "
            "of it in `6`), 1.7% of the dense network's … us. Ask for latency=0.0172 or more.",
        ),
        BadInput(
            "range of one level",
            "train … --budget latency=0.5..0.9 --levels 1",
            "--levels must be at least 2; 1 came.",
        ),
        BadInput(
            "range with fewer episodes than its warm-up needs",
            "train … --budget latency=0.6..0.9 --episodes 12 --baselines []",
            "ddpg needs at least 22 episodes here; 12 came. Use --episodes 300, say.",
        ),
        BadInput(
            "range for a verb that takes single budgets",
            "replay run … --budget latency=0.4..0.8",
            "A policy is replayed at single budgets; 'latency=0.4..0.8' came. Choose one of that range.",
        ),
        BadInput(
            "preference without a range",
            "train … --prefer accuracy=1",
            "--prefer chooses on a front: it needs a range, such as --budget latency=0.3..0.8.",
        ),
        BadInput(
            "unknown preference",
            "train … --budget latency=0.6..0.9 --prefer acuracy=1",
            "Unknown objective 'acuracy'. Did you mean 'accuracy'? Known: ….",
        ),
        BadInput(
            "preference below 0",
            "train … --budget latency=0.6..0.9 --prefer accuracy=-1",
            "--prefer accuracy must be a number of at least 0; '-1' came.",
        ),
        BadInput(
            "preference without a value",
            "train … --budget latency=0.6..0.9 --prefer accuracy",
            "--prefer reads key=value, such as accuracy=2; 'accuracy' came.",
        ),
        BadInput(
            "preferences of 0",
            "train … --budget latency=0.6..0.9 --prefer accuracy=0",
            "--prefer needs one weight over 0; all are 0. Use --prefer accuracy=1, say.",
        ),
    ],
)
