"""Tasks and the files of their data."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

TASKS = Topic(
    "Tasks and data",
    [
        BadInput(
            "unknown task",
            "train … --task digit",
            "Unknown task 'digit'. Did you mean 'digits'? Known: cifar10, digits, fashion-mnist, mnist. Or name "
            "your own as module:function.",
        ),
        BadInput(
            "function that returns a number",
            "train … --task tiny_networks:number",
            "tiny_networks:number() must return a rlprune.tasks.Task; it returned int.",
        ),
        BadInput(
            "images that the model cannot take",
            "train … --task tiny_networks:colour_task",
            "The network must accept the task's calibration samples; its forward failed: …. Is this the task "
            "for this network?",
        ),
        BadInput(
            "more classes than outputs",
            "train … --task digits --device cpu --budget macs=0.5",
            "Task 'digits' needs outputs of shape [N, 10, ...]; got float32 [16, 4]. Is this the network for "
            "this task?",
        ),
        BadInput(
            "labels out of range",
            "train … --task tiny_networks:bad_labels",
            "Labels must be in [0, 4); sample 0 of the calibration split of task 'tiny' has label 5. Correct "
            "the labels or the number of classes.",
        ),
        BadInput(
            "score that is NaN",
            "train … --task tiny_networks:undefined_task",
            "The score of task 'fragile' must be a finite number; nan came. Correct Task.score.",
        ),
        BadInput(
            "NaN in the images",
            "train … --task tiny_networks:bad_images",
            "Data must be finite; sample 0 of the validation split of task 'blank' holds NaN or infinity. "
            "Clean the data.",
        ),
        BadInput(
            "validation images that are those of the test",
            "train … --task tiny_networks:leaking_task",
            "The validation and test splits must share no sample; 40 of 40 test samples stand among the "
            "validation samples too. Cut the data without overlap.",
        ),
        BadInput(
            "no images in the folder",
            "train … --task fashion-mnist --data-dir empty",
            "Task 'fashion-mnist' needs train-images-idx3-ubyte, train-labels-idx1-ubyte, "
            "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte in one folder; not found in empty, "
            "empty/FashionMNIST/raw, empty/fashion-mnist. Get them with `apt install dataset-fashion-mnist`, "
            "or torchvision.datasets.FashionMNIST('data', download=True), or state the folder (--data-dir, "
            "or the environment variable RLPRUNE_DATA).",
        ),
        BadInput(
            "folder that is not there",
            "train … --task fashion-mnist --data-dir nowhere",
            "Task 'fashion-mnist' needs train-images-idx3-ubyte, train-labels-idx1-ubyte, "
            "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte in one folder; not found in nowhere, "
            "nowhere/FashionMNIST/raw, nowhere/fashion-mnist. Get them with `apt install "
            "dataset-fashion-mnist`, or torchvision.datasets.FashionMNIST('data', download=True), or state "
            "the folder (--data-dir, or the environment variable RLPRUNE_DATA).",
        ),
        BadInput(
            "folder of JPEG images",
            "train … --task cifar10 --data-dir photos",
            "Task 'cifar10' needs data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, "
            "data_batch_5.bin, test_batch.bin in one folder; not found in photos, "
            "photos/cifar-10-batches-bin. Unpack the binary version (cifar-10-binary.tar.gz of "
            "www.cs.toronto.edu/~kriz/cifar.html) into ./data, or state its folder (--data-dir, or the "
            "environment variable RLPRUNE_DATA).",
        ),
        BadInput(
            "idx file that is truncated",
            "train … --task fashion-mnist --data-dir cut-idx",
            "cut-idx/train-images-idx3-ubyte is truncated or damaged: its header promises 7056 bytes of "
            "shape [9, 28, 28], 7055 follow. Get the file again.",
        ),
        BadInput(
            "idx file of another kind",
            "train … --task fashion-mnist --data-dir other-idx",
            "An idx file of 3-d bytes starts with 00000803; other-idx/train-images-idx3-ubyte starts with "
            "00000d03. Is it the right file?",
        ),
        BadInput(
            "idx file whose header promises too much",
            "train … --task fashion-mnist --data-dir large-idx",
            "large-idx/train-images-idx3-ubyte promises 9903520314283042199192993792 bytes; at most "
            "268435456 are read. Is it the right file?",
        ),
        BadInput(
            "idx labels that are not one an image",
            "train … --task fashion-mnist --data-dir fewer-labels",
            "Fashion-MNIST has one label per image of 28x28; fewer-labels holds train images [9, 28, 28] and "
            "8 labels. Get the files again.",
        ),
        BadInput(
            "CIFAR-10 file that is truncated",
            "train … --task cifar10 --data-dir cut-cifar",
            "cut-cifar/data_batch_1.bin must hold whole records of 3073 bytes; it has 1000 bytes, so it is "
            "truncated or another file. Get it again.",
        ),
    ],
)
