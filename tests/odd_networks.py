"""Networks that are built, called or kept in unusual ways; each computes what its name says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from tests.architectures.examples import normal, token_ids
from tests.sandwich import CHANNELS, SHAPES, Sandwich

IMAGE = normal(*SHAPES["image"])
Change = Callable[[nn.Module], nn.Module]


def plain() -> Sandwich:
    """Convolution, ReLU, convolution, ReLU, convolution; no dropout, no normalisation."""
    return Sandwich(functional.relu)


def with_second(change: Change) -> nn.Module:
    """The plain network with its second layer changed."""
    model = plain()
    model.second = change(model.second)
    return model


class Halved(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight / 2


def registered_parametrization(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", Halved())


COMPUTED_WEIGHTS: dict[str, Change] = {
    "weight_norm, by hooks": weight_norm,
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm, by hooks": spectral_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "own parametrization": registered_parametrization,
    "mask": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
}


class Tied(nn.Module):
    """Token embedding and output share one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 20, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        return self.head(x + self.down(torch.relu(self.up(x))))


class TiedLayers(nn.Module):
    """Two linear layers share a weight, and two buffers are one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.third.weight = self.second.weight
        self.register_buffer("scale", torch.rand(16) + 0.5)
        self.register_buffer("again", self.scale)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(self.first(x)) * self.scale)
        return self.head(torch.relu(self.third(x)) * self.again)


class SharedModule(nn.Module):
    """One module under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.again = self.second
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.again(torch.relu(self.second(self.first(x))))))


class Pooled(nn.Module):
    """Means over the tokens that are not masked; asks first whether any is."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.up, self.head = nn.Embedding(20, 16), nn.Linear(16, 24), nn.Linear(24, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = torch.relu(self.up(self.embed(ids)))
        if mask is None or bool(mask.all()):
            return self.head(x.mean(1))
        return self.head((x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))


class Dropping(nn.Module):
    """BatchNorm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.ReLU(), nn.Conv2d(8, 4, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Counting(Sandwich):
    """Counts its calls in a number, in a buffer and in a list."""

    def __init__(self) -> None:
        super().__init__(functional.relu)
        self.number, self.seen = 0, []
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.number += 1
        self.calls += 1
        self.seen.append(x.shape)
        return super().forward(x)


class Caching(Sandwich):
    """Keeps a tensor of its first call, as large as what it computes."""

    def __init__(self) -> None:
        super().__init__(functional.relu)
        self.ones: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        if self.ones is None:
            self.ones = torch.ones_like(x[:1])
        return self.head(torch.relu(self.second(x * self.ones)))


class Louder(Sandwich):
    """Answers more with every call."""

    def __init__(self) -> None:
        super().__init__(functional.relu)
        self.register_buffer("volume", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.volume += 1
        return super().forward(x) * self.volume


class Unregistered(nn.Module):
    """Weights in a list that torch does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 8), nn.Linear(8, 12), nn.Linear(12, 3)
        self.weights = [torch.rand(8), nn.Parameter(torch.rand(8))]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(self.first(x) * self.weights[0] * self.weights[1])))


class Unused(Sandwich):
    """Has a layer and a parameter that it does not use."""

    def __init__(self) -> None:
        super().__init__(functional.relu)
        self.spare, self.number = nn.Linear(8, 8), nn.Parameter(torch.zeros(4, 4))


class Idle(nn.Module):
    """Uses weights without biases, statistics without scales, and a bias without its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.third = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Linear(16, 16)
        self.head = nn.Conv2d(16, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.conv2d(x, self.first.weight) + functional.conv2d(x.flip(-1), self.first.weight)
        x = functional.batch_norm(x, self.norm.running_mean, self.norm.running_var)
        return self.head(torch.relu(x + self.third.bias[:, None, None]))


class Complex(Sandwich):
    """Multiplies frequencies with complex parameters."""

    def __init__(self) -> None:
        super().__init__(functional.relu)
        self.filter = nn.ParameterList([nn.Parameter(torch.randn(CHANNELS, 6, 4, dtype=torch.cfloat))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.fft.irfft2(torch.fft.rfft2(self.first(x)) * self.filter[0], s=(6, 6))
        return self.head(torch.relu(self.second(x)))


class Graph(nn.Module):
    """Sums over neighbours with a sparse matrix."""

    def __init__(self, adjacency: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency)
        self.first, self.second, self.head = nn.Linear(6, 16), nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(self.adjacency @ torch.relu(self.first(x)))))


class SparseProduct(Graph):
    """The sparse matrix is multiplied with the input only."""

    def __init__(self) -> None:
        super().__init__(torch.eye(5).to_sparse())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(self.adjacency @ x)))))


class GivenGraph(Graph):
    """The same, where the matrix is an input."""

    def __init__(self) -> None:
        super().__init__(torch.eye(5))

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(adjacency @ torch.relu(self.first(x)))))


class Sampling(nn.Module):
    """A variational autoencoder that draws its code."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.mean, self.spread = nn.Linear(6, 16), nn.Linear(16, 8), nn.Linear(16, 8)
        self.decode, self.head = nn.Linear(8, 16), nn.Linear(16, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.encode(x))
        code = self.mean(x) + torch.randn_like(self.mean(x)) * self.spread(x).exp()
        return self.head(torch.relu(self.decode(code)))


class InPlace(Sandwich):
    """Changes its input."""

    def __init__(self) -> None:
        super().__init__(functional.relu)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.mul_(2).add_(1))


class Deciding(Sandwich):
    """Takes another layer where the mean is low."""

    def __init__(self, threshold: float) -> None:
        super().__init__(functional.relu)
        self.threshold = threshold
        self.other = nn.Conv2d(CHANNELS, 6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        layer = self.second if x.mean() > self.threshold else self.other
        return self.head(torch.relu(layer(x)))


class NumpyTanh(torch.autograd.Function):
    """Leaves torch."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.tanh(x.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


class Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return 2 * ctx.saved_tensors[0] * gradients[0]


@dataclass
class Rich:
    """An answer of many parts."""

    logits: torch.Tensor
    hidden: tuple[Any, ...] = ()
    loss: torch.Tensor | None = None
    name: str = "answer"
    scale: float = 1.0


class Answering(Sandwich):
    """Answers with what a function makes of the logits and of what the second layer answers."""

    def __init__(self, answer: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__(functional.relu)
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        hidden = torch.relu(self.second(self.between(x)))
        return self.answer(self.head(hidden), hidden)


class Named(Sandwich):
    """Takes its arguments by name only."""

    def __init__(self) -> None:
        super().__init__(functional.relu)

    def forward(self, *, image: torch.Tensor, scale: torch.Tensor | None = None, mode: str = "none") -> torch.Tensor:
        answer: torch.Tensor = super().forward(image)
        return answer if scale is None else answer * scale


def hooked() -> nn.Module:
    """Forward, pre-forward and backward hooks."""
    model = plain()
    model.first.register_forward_hook(lambda module, inputs, output: output * 2)
    model.second.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
    model.head.register_full_backward_hook(lambda module, inputs, outputs: None)
    model.first.weight.register_hook(lambda gradient: gradient)
    return model


def frozen() -> nn.Module:
    model = plain()
    model.first.requires_grad_(False)
    return model


def data_parallel() -> nn.Module:
    return nn.DataParallel(plain())


def compiled_inside() -> nn.Module:
    """Compiled modules in a compiled module; nothing is compiled before the first call."""
    inner = nn.Sequential(nn.ReLU(), torch.compile(nn.Conv2d(8, 8, 1)))
    return torch.compile(nn.Sequential(nn.Conv2d(3, 8, 3), torch.compile(inner), nn.Conv2d(8, 4, 1)))


def compiled_forward() -> nn.Module:
    model = plain()
    model.forward = torch.compile(model.forward, backend="eager")
    return model


def graph_module() -> nn.Module:
    return torch.fx.symbolic_trace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)))


def made_in_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return plain()


def quantized() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Flatten(), nn.Linear(108, 8)), {nn.Linear})


def being_quantized() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).train()
    model.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    return torch.ao.quantization.prepare_qat(model)


def holding(name: str, value: Any) -> nn.Module:
    """The plain network with a buffer, a parameter, or any other attribute."""
    model = plain()
    if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter):
        model.register_buffer(name, value)
    else:
        setattr(model, name, value)
    return model


def with_infinite_bias() -> nn.Module:
    model = plain()
    with torch.no_grad():
        model.first.bias[0] = float("inf")
    return model


def masked_attention() -> nn.Module:
    """Scores plus a buffer of -inf."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.value, self.head = nn.Embedding(20, 16), nn.Linear(16, 16), nn.Linear(16, 3)
            self.register_buffer("mask", torch.full((5, 5), float("-inf")).triu(1))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.embed(ids)
            return self.head((x @ x.transpose(1, 2) / 4 + self.mask).softmax(-1) @ self.value(x))

    return Attention()


IDS = token_ids(5, 20)
