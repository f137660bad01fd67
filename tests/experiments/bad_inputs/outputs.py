"""Where things are written."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

OUTPUTS = Topic(
    "Output folders",
    [
        BadInput(
            "a file",
            "train … --out file",
            "The output must be a folder; file is a file. Choose another with --out.",
        ),
        BadInput(
            "below a file",
            "train … --out file/run",
            "Cannot write to file/run: Not a directory. Choose another folder with --out.",
        ),
        BadInput(
            "where nothing can be written",
            "train … --out /proc/run",
            "Cannot write to /proc/run: No such file or directory. Choose another folder with --out.",
        ),
        BadInput(
            "other files in it",
            "train … --out full",
            "The output folder must be new or empty; full holds other files. Choose another with --out.",
        ),
        BadInput(
            "another run in it",
            "train … --out run",
            "The output folder must be new or empty; run holds another run (complete). Choose another with --out.",
        ),
        BadInput(
            "of apply, not empty",
            "apply run/plan.json … --out full",
            "The output folder must be new or empty; full holds other files. Choose another with --out.",
        ),
        BadInput(
            "of replay, not empty",
            "replay run … --out full",
            "The output folder must be new or empty; full holds other files. Choose another with --out.",
        ),
        BadInput(
            "of compare, not empty",
            "compare run --out full",
            "The output folder must be new or empty; full holds other files. Choose another with --out.",
        ),
        BadInput(
            "of an inspection, a folder",
            "inspect … --out empty",
            "--out must be a file; empty is a folder. Choose empty/inspection.json, say.",
        ),
        BadInput(
            "of an inspection, another file",
            "inspect … --out profile.json",
            "profile.json exists and is no inspection. Choose another file with --out.",
        ),
        BadInput(
            "of a validation, inside the run",
            "validate run --out run/validation.json",
            "--out must lie outside the run, which is only read; run/validation.json came. Choose another place.",
        ),
        BadInput(
            "of a validation, another file",
            "validate run --out profile.json",
            "profile.json exists and is no validation. Choose another file with --out.",
        ),
    ],
)
