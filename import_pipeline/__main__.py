"""The door of the command line, for its script and `python -m import_pipeline`."""

import os

from import_pipeline.loading import ending_at_interrupts


def main() -> None:
    """Load the command line, and run the command that was given."""
    _occupy_standard_descriptors()
    with ending_at_interrupts():
        from import_pipeline.cli import main as run
    run()


def _occupy_standard_descriptors() -> None:
    """Keep files from getting the number of a standard stream that the shell has closed: output would go into them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # the lowest free number is this one; what is written there is lost


if __name__ == "__main__":
    main()
