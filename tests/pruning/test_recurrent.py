"""Layers of one recurrent module lose their own least important units, and none is refitted to its harm."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.pruning.reconstruction import PrefixSolver
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.split import Split

HIDDEN, KEPT, LAYERS = 16, 8, 3
Read = Callable[[Tensor, Tensor], Tensor]
READS: dict[str, Read] = {
    "last step": lambda output, state: output[:, -1],
    "all steps": lambda output, state: output.flatten(1),
    "last state": lambda output, state: state[-1],
    "sum of states": lambda output, state: state.sum(0),
    "all states": lambda output, state: state.transpose(0, 1).flatten(1),
}
APART = ("last step", "all steps", "last state")


class Recurrent(nn.Module):
    def __init__(self, kind: str, both_ways: bool, read: str) -> None:
        super().__init__()
        self.read = READS[read]
        self.rnn = getattr(nn, kind)(5, HIDDEN, LAYERS, batch_first=True, bidirectional=both_ways)
        self.head = nn.LazyLinear(4)

    def forward(self, x: Tensor) -> Tensor:
        output, state = self.rnn(x)
        return self.head(self.read(output, state[0] if isinstance(self.rnn, nn.LSTM) else state))


def made(kind: str, both_ways: bool = False, read: str = "last step") -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = Recurrent(kind, both_ways, read), torch.randn(128, 7, 5)
        model(x[:2])
    return model.eval(), x


def remove(model: nn.Module, generator: torch.Generator) -> None:
    """Half of the units of each layer and direction, others in each, answer 0 and are read by nobody."""
    rnn: nn.RNNBase = model.rnn  # type: ignore[assignment]
    ways = ("", "_reverse") if rnn.bidirectional else ("",)
    for layer in range(LAYERS):
        gone = [torch.randperm(HIDDEN, generator=generator)[KEPT:] for _ in ways]
        for way, units in zip(ways, gone, strict=True):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                tensor = getattr(rnn, f"{name}_l{layer}{way}").data
                tensor.unflatten(0, (-1, HIDDEN))[:, units] = 0
            getattr(rnn, f"weight_hh_l{layer}{way}").data[:, units] = 0
        read = torch.cat([units + HIDDEN * place for place, units in enumerate(gone)])
        readers = [getattr(rnn, f"weight_ih_l{layer + 1}{way}") for way in ways] if layer + 1 < LAYERS else []
        for weight in readers or [model.head.weight]:  # type: ignore[union-attr]
            weight.data.unflatten(1, (-1, HIDDEN * len(ways)))[:, :, read] = 0


@pytest.mark.parametrize("read", APART)
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_each_layer_loses_units_of_its_own(kind: str, both_ways: bool, read: str) -> None:
    if both_ways and read == "last state":
        read = "last step"
    model, x = made(kind, both_ways, read)
    remove(model, torch.Generator().manual_seed(1))
    network = Network(model, x[:2])
    assert [group.width for group in network.groups] == [HIDDEN]
    with torch.no_grad():
        wanted = model(x)
        for pruned in (
            PruningTables(network, Split(x, torch.zeros(128))).pruned([KEPT]),
            PruningTables(network, Split(x, torch.zeros(128)), importance="l1").pruned([KEPT]),
            PruningPlan.from_widths(network, [KEPT]).apply(network),
        ):
            assert pruned.rnn.hidden_size == KEPT  # type: ignore[union-attr]
            torch.testing.assert_close(pruned.eval()(x), wanted, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("both_ways", [False, True])
def test_whatever_reads_the_states_the_dense_network_stays(read: str, both_ways: bool) -> None:
    model, x = made("GRU", both_ways, read)
    network = Network(model, x[:2])
    tables = PruningTables(network, Split(x, torch.zeros(128)))
    with torch.no_grad():
        torch.testing.assert_close(tables.pruned([HIDDEN]).eval()(x), model(x), atol=1e-5, rtol=1e-4)
        half, plain = tables.pruned([KEPT]).eval()(x), PruningPlan.from_widths(network, [KEPT]).apply(network).eval()(x)
        assert (half - model(x)).square().sum() < (plain - model(x)).square().sum()


def test_a_refit_that_runs_away_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose single steps are judged to be good, and which is not."""
    model, x = made("LSTM")
    network, right = Network(model, x[:2]), PrefixSolver.solve

    def wrong(solver: PrefixSolver, kept: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weight, bias = right(solver, kept)
        recurrent = weight is not None and weight.shape == (4 * HIDDEN, len(kept)) and len(kept) <= KEPT
        return (None if weight is None else 30 * weight, bias) if recurrent else (weight, bias)

    monkeypatch.setattr(PrefixSolver, "solve", wrong)
    tables = PruningTables(network, Split(x, torch.zeros(128)))
    layers = {f"rnn.weight_hh_l{layer}" for layer in range(LAYERS)} | {"rnn.weight_ih_l1", "rnn.weight_ih_l2"}
    assert set(tables.unrepaired) == layers
    for reason in tables.unrepaired.values():
        assert "at 2 of 3 smaller widths (4, 8)" in reason
        assert "after a whole run over samples held out" in reason
    cut = tables.without(layers).tensors([KEPT])
    assert all(torch.equal(tensor, cut[key]) for key, tensor in tables.tensors([KEPT]).items())
    assert not torch.equal(
        tables.tensors([12])["rnn.weight_hh_l0"], tables.without(layers).tensors([12])["rnn.weight_hh_l0"]
    )
