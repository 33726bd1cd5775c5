"""The entry point of the command line: its script and `python -m import_pipeline`."""

import os

from import_pipeline.loading import ending_at_interrupts


def main() -> None:
    """Import the command line and run the given command."""
    _occupy_standard_descriptors()
    with ending_at_interrupts():
        from import_pipeline.cli import main as run
    run()


def _occupy_standard_descriptors() -> None:
    """Occupy the standard streams that the shell closed: a file opened later would receive their output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest free number, which is this one


if __name__ == "__main__":
    main()
