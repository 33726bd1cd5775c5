"""The public face of the package: everything that users, their code or their monitoring may rely on.

`python -m import_pipeline_tests.support.public_face` reads it from the running code and prints it as YAML. With
`--write` it replaces unit/public_face.yaml. Write only intended changes, and name them in CHANGELOG.md.
"""

from pathlib import Path

STORED = Path(__file__).parents[2] / "unit" / "public_face.yaml"
