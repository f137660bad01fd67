"""Bad input of every kind, by topic. To add a topic, write a module with a ``Topic`` and name it here."""

from __future__ import annotations

from tests.experiments.bad_inputs.api import CALLS
from tests.experiments.bad_inputs.budgets import BUDGETS
from tests.experiments.bad_inputs.command_line import COMMAND_LINE
from tests.experiments.bad_inputs.config_files import CONFIG_FILES
from tests.experiments.bad_inputs.devices import DEVICES
from tests.experiments.bad_inputs.methods import METHODS
from tests.experiments.bad_inputs.networks import NETWORKS
from tests.experiments.bad_inputs.outputs import OUTPUTS
from tests.experiments.bad_inputs.plans import PLANS
from tests.experiments.bad_inputs.policies import POLICIES
from tests.experiments.bad_inputs.results import COMPARED, VALIDATED
from tests.experiments.bad_inputs.runs import RESUMED, RUN_FOLDERS
from tests.experiments.bad_inputs.scores import SCORED
from tests.experiments.bad_inputs.settings import SETTINGS
from tests.experiments.bad_inputs.tasks import TASKS
from tests.experiments.bad_inputs.widths import WIDTHS

TOPICS = (
    COMMAND_LINE,
    CONFIG_FILES,
    SETTINGS,
    METHODS,
    BUDGETS,
    WIDTHS,
    NETWORKS,
    TASKS,
    SCORED,
    DEVICES,
    OUTPUTS,
    PLANS,
    RUN_FOLDERS,
    RESUMED,
    POLICIES,
    COMPARED,
    VALIDATED,
    CALLS,
)
