"""Runs ``rlprune`` in forked processes that may be made to die at a chosen write: a program, told what to do by lines.

Each line on stdin is a JSON object: ``arguments``, ``stderr`` (a file), and perhaps ``die``, the number of the write at
which the process kills itself with SIGKILL: before it, after it, or halfway through. Answers a line with the process
number, then one with its exit status and how many writes it made. Everything is imported once, which makes fifty
processes affordable; forking is safe here, because nothing has computed yet.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot  # noqa: F401
import onnxruntime  # noqa: F401
import onnxscript  # noqa: F401
import optuna  # noqa: F401
import torch._dynamo
import torch.onnx._internal.exporter._core  # noqa: F401
from torch.utils.tensorboard import SummaryWriter  # noqa: F401

import rlprune.experiments.pipeline.training  # noqa: F401
from rlprune.devices import catalogue, simulated
from rlprune.experiments.cli import main
from rlprune.experiments.runs import journal


class Writes:
    """Counts what reaches the disk, and kills the process at one of these moments.

    Args:
        die: the number of the write, from 1; None where the process lives.
        where: ``before``, ``after`` or ``half``.
    """

    def __init__(self, die: int | None, where: str) -> None:
        self._die, self._where = die, where
        self.count = 0

    def watch(self, call: Callable[..., Any], half: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """``call``, counted; ``half`` is what a process does that dies halfway."""

        def watched(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count != self._die:
                return call(*arguments, **named)
            if self._where == "after":
                call(*arguments, **named)
            elif self._where == "half" and half is not None:
                half(*arguments, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        return watched


def half_a_line(self: journal.Journal, line: str) -> None:
    """What is left of a line where the process dies while it writes."""
    self._file.write(line.encode()[: len(line) // 2])
    self._file.flush()


def exact_gpu() -> None:
    """Let the synthetic GPU take the same time always, so that a profile is the same however often it was begun."""
    simulated.OUT_TILE = simulated.IN_TILE = 2
    formula = simulated.GpuFormula(flops=1e9, launch_ms=0.0, jitter=0.0, stall_share=0.0)
    entry = catalogue.CATALOGUE["synthetic:gpu"]
    catalogue.CATALOGUE["synthetic:gpu"] = dataclasses.replace(
        entry, make=lambda _threads, batch, _precision: simulated.SimulatedGpu(batch, formula=formula)
    )


def child(order: dict[str, Any], answer: int) -> int:
    """What a forked process does."""
    stderr = os.open(order["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stderr, 1)
    os.dup2(stderr, 2)
    writes = Writes(order.get("die"), order.get("where", "before"))
    os.replace, os.fsync, os.mkdir = map(writes.watch, (os.replace, os.fsync, os.mkdir))
    journal.Journal._append = writes.watch(journal.Journal._append, half_a_line)  # type: ignore[method-assign]
    code = main(order["arguments"])
    os.write(answer, str(writes.count).encode())
    return code


def serve() -> None:
    """Fork a process for every line."""
    exact_gpu()
    for line in sys.stdin:
        order = json.loads(line)
        ours, theirs = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(ours)
            os._exit(child(order, theirs))
        os.close(theirs)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        with os.fdopen(ours) as counted:
            print(os.waitstatus_to_exitcode(status), counted.read() or 0, flush=True)


if __name__ == "__main__":
    serve()
