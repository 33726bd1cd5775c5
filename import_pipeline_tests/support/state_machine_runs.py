"""Runs of Hypothesis state machines on a tracking database."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test


def run_state_machine(machine, database, examples, steps):
    """Run that many examples of `machine(database)`; a failure prints the steps that lead to it."""
    run_state_machine_as_test(
        lambda: machine(database),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
