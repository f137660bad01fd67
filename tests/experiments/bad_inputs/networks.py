"""Networks."""

from __future__ import annotations

from tests.experiments.bad_inputs.table import BadInput, Topic

NETWORKS = Topic(
    "Networks",
    [
        BadInput(
            "unknown name",
            "train --network digit-resnet",
            "Unknown network 'digit-resnet'. Did you mean 'digits-resnet'? Known: digits-resnet, "
            "fashion-dense, fashion-mobilenet, fashion-resnet20, fashion-vgg. Or name your own as module:function, "
            "or one of another library as hf:CONFIG, torchvision:NAME or timm:NAME.",
        ),
        BadInput(
            "unknown library",
            "inspect --network pytorch:resnet-18",
            "Networks come from hf, torchvision, timm or a module; 'pytorch' came in 'pytorch:resnet-18'. Or "
            "name your own as module:function, or one of another library as hf:CONFIG, torchvision:NAME or "
            "timm:NAME.",
        ),
        BadInput(
            "module that is not there",
            "train --network no_such_module:network",
            "'no_such_module:network' must name a function as module:function; importing 'no_such_module' "
            "failed: No module named 'no_such_module'. Name a network of another library as hf:CONFIG, "
            "torchvision:NAME or timm:NAME.",
        ),
        BadInput(
            "function that is not there",
            "train --network tiny_networks:netwrk",
            "Module 'tiny_networks' has no function 'netwrk'. Did you mean 'network'? Check the name after the colon.",
        ),
        BadInput(
            "function that returns a number",
            "train --network tiny_networks:number",
            "tiny_networks:number() must return an nn.Module, a pair (nn.Module, example inputs) or a "
            "rlprune.zoo.LoadedNetwork, where example inputs are a tensor, a tuple of forward's arguments or "
            "a dict of its keyword arguments; it returned int.",
        ),
        BadInput(
            "function that fails",
            "train --network tiny_networks:fails",
            "Calling tiny_networks:fails() failed: OSError: the disk is on fire.",
        ),
        BadInput(
            "function that ends the program",
            "train --network tiny_networks:leaves",
            "Calling tiny_networks:leaves() failed: SystemExit: 0.",
        ),
        BadInput(
            "function that is interrupted (Ctrl-C)",
            "train --network tiny_networks:interrupts",
            "interrupted.",
            code=130,
        ),
        BadInput(
            "module with an error in its code",
            "train --network broken_module:network",
            "'broken_module:network' must name a function as module:function; importing 'broken_module' failed: ….",
        ),
        BadInput(
            "no task known",
            "train --network tiny_networks:network",
            "Network 'tiny_networks:network' does not say which task it was trained for. Name one with --task.",
        ),
        BadInput(
            "inputs that the model cannot take",
            "train … --network tiny_networks:bad_inputs",
            "The network must accept its example inputs ((1, 3, 8, 8)); its forward failed in 0: …. Give "
            "inputs that it takes.",
        ),
        BadInput(
            "nothing to prune",
            "train … --network tiny_networks:nothing_to_prune",
            "A network needs at least one group of channels that can be pruned; there is none (1: its "
            "channels are an output of the network). Ignore less, or choose another network.",
        ),
        BadInput(
            "NaN in the weights",
            "train … --network tiny_networks:bad_weights",
            "0.weight holds NaN. Train or load the network again.",
        ),
        BadInput(
            "NaN in the outputs",
            "train … --network tiny_networks:bad_outputs",
            "The network's outputs must be finite; NaN or infinity came out for the example inputs. Check "
            "its weights, and these inputs.",
        ),
        BadInput(
            "random numbers in the outputs",
            "train … --network tiny_networks:random_outputs",
            "A network must answer the same inputs alike each time; the second answer of this one is another. "
            "Let its evaluation mode draw no random numbers, and keep nothing of an earlier call.",
        ),
        BadInput(
            "network that cannot be exported to ONNX",
            "train … --network tiny_networks:not_exportable --device cpu --budget macs=0.5",
            "The network cannot be exported to ONNX: …. Write that part with other operations.",
        ),
        BadInput(
            "input shape that is none",
            "inspect … --input-shape 1,3,x",
            "--input-shape must be positive whole numbers, batch first, such as 1,3,224,224; '1,3,x' came.",
        ),
        BadInput(
            "input shape that the network cannot take",
            "inspect … --input-shape 1,3,8,8",
            "The network must accept its example inputs ((1, 3, 8, 8)); its forward failed in 0: …. Give "
            "inputs that it takes.",
        ),
        BadInput(
            "network without example inputs",
            "inspect --network tiny_networks:without_inputs",
            "Network 'tiny_networks:without_inputs' gives no example inputs. Give --input-shape 1,3,224,224, "
            "say, where it takes a single tensor of numbers; or return (model, example inputs) from the "
            "function; or name a --task that has samples.",
        ),
        BadInput(
            "library that is not installed",
            "inspect --network torchvision:resnet18",
            "This network needs torchvision, which does not import: No module named 'torchvision'. Install "
            "it with: pip install 'rlprune[torchvision]'.",
            without="torchvision",
        ),
        BadInput(
            "torchvision without a name",
            "inspect --network torchvision:",
            "'torchvision:' must name a network behind the colon, such as torchvision:NAME?option=value.",
        ),
        BadInput(
            "option without a value",
            "inspect --network torchvision:resnet18?classes",
            "Options must read option=value, each once, with & between them; 'classes' in "
            "'torchvision:resnet18?classes'.",
        ),
        BadInput(
            "configuration of Hugging Face that is not there",
            "inspect --network hf:nowhere",
            "'nowhere' is no folder with a config.json, no file, and no model type of transformers. Did you "
            "mean '…'? Nothing is downloaded: write a model of the hub to a folder with its save_pretrained, "
            "and name the folder.",
        ),
    ],
)
