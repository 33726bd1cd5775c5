"""Run the real server in a separate process, for tests and benchmarks."""

import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from source_api.errors import ServerDied

ADDRESS = re.compile(r"http://\S+")


@contextmanager
def serve(*options: str, seconds: float = 30) -> Iterator[str]:
    """Run `python -m source_api` with these options on a free port; yield its base URL.

    with serve("--limits", "50/2 second", "--items", "1000") as url:
        httpx.get(f"{url}/_stats").json()["rate_limited"]

    Waits at most `seconds` until it listens. Raises ServerDied with the server's own output if it does not.
    """
    arguments = [sys.executable, "-m", "source_api", "--port", "0", *options]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors, text=True) as process,  # noqa: S603 - this package
    ):
        try:
            yield _address(process, errors, seconds)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def _address(process: subprocess.Popen[str], errors: IO[str], seconds: float) -> str:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    readable, _, _ = select.select([process.stdout], [], [], seconds)
    line = process.stdout.readline() if readable else ""
    found = ADDRESS.search(line)
    if found is None:
        errors.seek(0)
        raise ServerDied(f"the demo API did not start: {errors.read().strip() or line.strip() or 'it printed nothing'}")
    return found[0]
