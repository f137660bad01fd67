"""A process that does one piece of work of a study: a program, whose argument is the order as JSON.

It ends cleanly, as by Ctrl-C, when its stdin is closed: so it does not outlive the sweep that started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from rlprune.experiments.runs.ending import OK, guarded
from rlprune.experiments.sweeping.orders import Order
from rlprune.experiments.sweeping.turns import PoliteProgress, Turns

STDIN = 0


def main() -> int:
    """Do what the argument says, and return the exit code of the command line."""
    order = Order(**json.loads(sys.argv[1]))
    return guarded(lambda: _work(order))


def _end_with_stdin() -> None:
    while os.read(STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _work(order: Order) -> int:
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    turns = Turns(order.turns)
    with turns.shared():  # before anything that takes time is imported
        if order.work == "profile":
            with turns.alone():
                _measure(order)
        else:
            _train(order, PoliteProgress(turns))
    return OK


def _measure(order: Order) -> None:
    from rlprune.experiments.settings.options import from_dict
    from rlprune.experiments.settings.verb_configs import ProfileConfig
    from rlprune.experiments.surveys.profiling import measure_profile

    measure_profile(from_dict(ProfileConfig, order.settings))


def _train(order: Order, progress: PoliteProgress) -> None:
    from rlprune.experiments.pipeline.training import train
    from rlprune.experiments.settings.options import from_dict
    from rlprune.experiments.settings.verb_configs import TrainConfig

    settings = from_dict(TrainConfig, order.settings)
    if order.work == "resume":
        settings = TrainConfig(
            resume=settings.out, workers=settings.workers, network=settings.network, task=settings.task
        )
    train(settings, order.command, progress)


if __name__ == "__main__":
    sys.exit(main())
