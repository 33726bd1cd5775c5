"""The door of the command line, for its script and `python -m import_pipeline`.

Loading what the commands need takes a second. A Ctrl-C in it ends the process at once, as any other does: nothing is
open yet, and an exception would come out of whatever module was just being loaded.
"""

import os
import signal
from types import FrameType

INTERRUPTED = 130


def main() -> None:
    """Load the commands, and run the one that was given."""
    _occupy_standard_descriptors()
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # not where a shell has let it be ignored
        signal.signal(signal.SIGINT, _end)
    from import_pipeline.cli import main as run

    signal.signal(signal.SIGINT, usual)
    run()


def _occupy_standard_descriptors() -> None:
    """Keep files from getting the number of a standard stream that the shell has closed: output would go into them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # the lowest free number is this one; what is written there is lost


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"import-pipeline: interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
