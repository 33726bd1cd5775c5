"""The folder that holds the state of an installation."""

from pathlib import Path


def create_folder(folder: Path) -> None:
    """Create the folder unless it exists. A new one has a `.gitignore`, since it often lies in a user's project.

    An existing folder stays unchanged: it may be the project itself. Raises OSError.
    """
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
