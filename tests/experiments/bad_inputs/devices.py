"""Devices and profiles."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

DEVICES = Topic(
    "Devices and profiles",
    [
        BadInput(
            "unknown device",
            "train … --device cpus",
            "Unknown device 'cpus'. Did you mean 'cpu'? Known: …. Or give the path of a profile (*.json).",
        ),
        BadInput(
            "unknown runtime",
            "train … --device cpu:onnx",
            "Unknown device 'cpu:onnx'. Did you mean 'cpu:openvino'? Known: …. Or give the path of a profile (*.json).",
        ),
        BadInput(
            "no GPU",
            "train … --device cuda",
            "Device 'cuda' cannot be used here: …. To get it: install a CUDA build of torch and the NVIDIA driver.",
            without="cuda",
        ),
        BadInput(
            "unknown ready profile",
            "train … --device ready:epic-onnxruntime",
            "Unknown ready profile 'epic-onnxruntime'. Did you mean 'epyc-onnxruntime'? Known: "
            "epyc-onnxruntime, epyc-openvino.",
        ),
        BadInput(
            "profile that is not there",
            "train … --device missing.json",
            "Cannot read missing.json: No such file or directory. Is this the right path?",
        ),
        BadInput(
            "profile that is truncated",
            "train … --device truncated.json",
            "truncated.json is not valid JSON (…). It may be truncated: write it again.",
        ),
        BadInput(
            "profile that was edited",
            "train … --device edited.json",
            "edited.json must be as it was written, its 'digest' does not fit: it was edited or damaged. "
            "Measure it again.",
        ),
        BadInput(
            "profile of another schema",
            "train … --device schema.json",
            "schema.json must have the schema 'rlprune-device-profile/2'; 'rlprune-profile/1' came. Is it a "
            "profile? Measure it again.",
        ),
        BadInput(
            "profile of a newer rlprune",
            "train … --device newer.json",
            "newer.json is of a newer rlprune (rlprune-device-profile/99; this one reads "
            "rlprune-device-profile/2). Update rlprune.",
        ),
        BadInput(
            "a plan in place of a profile",
            "train … --device run/plan.json",
            "run/plan.json must have the schema 'rlprune-device-profile/2'; 'rlprune-plan/2' came. Is it a "
            "profile? Measure it again.",
        ),
        BadInput(
            "profile of another network",
            "train … --network tiny_networks:wider --task tiny_networks:wider_task",
            "The profile is of another network: it has group '3' with 16 channels where this network has '3' "
            "with 32. Profile this network: rlprune profile.",
        ),
        BadInput(
            "plans to measure: none",
            "profile … --plans 0",
            "--plans must be at least 1; 0 came.",
        ),
        BadInput(
            "fewer plans than a fit needs",
            "profile … --plans 3",
            "A profile needs at least 8 plans, 1 check and 5 samples; 3, 16 and 300 came.",
        ),
        BadInput(
            "no samples in one inference",
            "profile … --batch 0",
            "--batch must be at least 1; 0 came.",
        ),
        BadInput(
            "unknown precision",
            "profile … --precision int4",
            "The precision of ONNX Runtime must be float32; 'int4' came. Change --precision or the runtime: "
            "rlprune devices lists them.",
        ),
        BadInput(
            "precision that the runtime has not",
            "profile … --precision float16",
            "The precision of ONNX Runtime must be float32; 'float16' came. Change --precision or the "
            "runtime: rlprune devices lists them.",
        ),
        BadInput(
            "a profile as the device to measure",
            "profile … --device profile.json",
            "--device must be measured here; 'profile.json' is a profile already. Name a device.",
        ),
        BadInput(
            "a folder as the profile to write",
            "profile … --out empty",
            "--out must be a file; empty is a folder. Choose empty/profile.json, say.",
        ),
        BadInput(
            "a file that is no profile would be replaced",
            "profile … --out run/plan.json",
            "run/plan.json exists and is no device profile. Choose another file with --out.",
        ),
        BadInput(
            "a truncated profile would be replaced",
            "profile … --out truncated.json",
            "truncated.json is not valid JSON (…). It may be truncated: write it again.",
        ),
        BadInput(
            "the profile of another network would be replaced",
            "profile … --network tiny_networks:wider --out profile.json",
            "The profile is of another network: it has group '3' with 16 channels where this network has '3' "
            "with 32. Profile this network: rlprune profile.",
        ),
        BadInput(
            "more plans for a profile that is not there",
            "profile … --extend",
            "--extend needs the profile in --out; there is no new.json. Measure one first.",
        ),
        BadInput(
            "more plans for kinds of layers",
            "profile … --extend --any-network",
            "--extend is for the profile of one network; it cannot go with --any-network.",
        ),
    ],
)
