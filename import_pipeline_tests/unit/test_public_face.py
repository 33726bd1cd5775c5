"""The public face stays as it is: what users, their code and their monitoring rely on.

unit/public_face.yaml holds it. A change that is meant is recorded with
`python -m import_pipeline_tests.support.public_face --write`, and named in CHANGELOG.md.
"""

import difflib
import subprocess
import sys
from pathlib import Path

from import_pipeline_tests.support.public_face import STORED


def test_the_public_face_is_the_stored_one():
    """A child process reads it: it runs commands, imports with Dagster and serves the panel."""
    done = subprocess.run(
        [sys.executable, "-m", "import_pipeline_tests.support.public_face"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = difflib.unified_diff(
        STORED.read_text().splitlines(), done.stdout.splitlines(), "stored", "found", n=8, lineterm=""
    )
    assert not (changed := "\n".join(lines)), f"the public face has changed:\n{changed}"
