"""Write docs/images/terminal.svg: a terminal in which an import of the demo API runs, and its summary.

    python scripts/terminal_picture.py

The lines are those of `import-pipeline run`, drawn by the same code from a real import.
"""

import io
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console

from import_pipeline import run_import
from import_pipeline.cli.demo import LIMITS
from import_pipeline.cli.output.tables import print_summary
from import_pipeline.cli.progress_display import ProgressLines, remark
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_progress
from import_pipeline.settings import load_settings
from source_api.process import serve

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "terminal.svg"
SHARE = 60.0  #: percent of the import at which the bar is drawn
COLUMNS = 92


def take() -> str:
    """Import, and return the picture as SVG."""
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True, highlight=False)
    with tempfile.TemporaryDirectory() as home, serve("--limits", LIMITS) as url:
        environment = {"IMPORT_PIPELINE_HOME": home, "ITEMS_BASE_URL": url, "ITEMS_LIMITS": LIMITS}
        settings = load_settings(environment)
        with open_installation(settings) as installation:
            usage = UsageReader(settings=settings, clock=installation.clock)
            worker = threading.Thread(target=run_import, args=("items",), kwargs={"settings": settings})
            worker.start()
            try:
                console.print("$ import-pipeline run items", style="bold")
                draw(console, installation, usage)
            finally:
                worker.join()
                usage.close()
            console.print("\n$ import-pipeline show 1", style="bold")
            print_summary(console, import_progress(installation, 1, usage)[0].figures, ())
    # Without fonts from the web: a picture loads nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="import-pipeline"), flags=re.DOTALL)


def draw(console: Console, installation: Installation, usage: UsageReader) -> None:
    """Print the progress once that share of the import is done."""
    while True:
        time.sleep(0.2)
        try:
            view, forecast = import_progress(installation, 1, usage)
        except Exception:  # noqa: BLE001, S112 - the import does not exist yet
            continue
        if view.percent is not None and view.percent >= SHARE:
            break
    progress = ProgressLines(Console(file=io.StringIO(), width=COLUMNS))
    progress.show(view, remark(view, forecast, installation))
    console.print(progress.get_renderable())


if __name__ == "__main__":
    PICTURE.write_text(take())
    sys.stdout.write(f"{PICTURE}\n")
