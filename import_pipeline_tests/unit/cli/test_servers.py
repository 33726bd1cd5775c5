"""The output of servers: stack traces of expected failures are left out."""

from import_pipeline.cli.servers import without_expected_traces

RUN = b"""2030-01-01 12:00:00 +0000 - dagster - ERROR - import_items - STEP_FAILURE - Execution of step "x" failed.

dagster._core.definitions.events.Failure: 1 item failed; `import-pipeline show 2` says why

Stack Trace:
  File "/x/execute_plan.py", line 243, in dagster_event_sequence_for_step
    yield from check.generator(step_events)
                  ^^^^^^^^^^^^^^

2030-01-01 12:00:00 +0000 - dagster - ERROR - import_items - RUN_FAILURE - Execution of run for "x" failed.
"""
CRASH = b"""dagster._core.errors.DagsterExecutionStepExecutionError: Error occurred while executing op "x":

Stack Trace:
  File "/x/execute_plan.py", line 243, in dagster_event_sequence_for_step
    yield from check.generator(step_events)

The above exception was caused by the following exception:
ZeroDivisionError: division by zero

Stack Trace:
  File "/x/mine.py", line 1, in populate
"""


def passed_on(text: bytes) -> str:
    return b"".join(without_expected_traces(text.splitlines(keepends=True))).decode()


def test_the_reason_of_an_end_is_printed_without_dagsters_trace():
    lines = passed_on(RUN).splitlines()
    assert [line.rpartition(" - ")[2] for line in lines] == [
        'Execution of step "x" failed.',
        "",
        "dagster._core.definitions.events.Failure: 1 item failed; `import-pipeline show 2` says why",
        'Execution of run for "x" failed.',
    ]


def test_a_crash_is_printed_with_all_of_its_traces():
    assert passed_on(CRASH) == CRASH.decode()
    assert passed_on(RUN + CRASH).endswith(CRASH.decode())
