"""A real Chromium for tests and screenshots, driven by Playwright."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

#: Chromium refuses to sandbox as root; its background services must send nothing.
FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = (
    "no Chromium is found: install one (`apt-get install chromium`, or `playwright install chromium`), "
    "or name one by the variable CHROMIUM"
)


class NoBrowser(Exception):
    """There is no Chromium, and none could be installed."""


def find_browser(playwright: Playwright) -> str:
    """Return the program: CHROMIUM, one on the PATH, Playwright's own, or Debian's package. Raises NoBrowser."""
    named = os.environ.get("CHROMIUM")
    if named:
        if not shutil.which(named):
            raise NoBrowser(f"CHROMIUM names {named}, which is no program")
        return named
    found = next((path for name in ON_PATH if (path := shutil.which(name))), None)
    if found is None and Path(playwright.chromium.executable_path).exists():
        found = playwright.chromium.executable_path
    return found or _installed()


def _installed() -> str:
    if os.geteuid() == 0 and (apt := shutil.which("apt-get")):
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
            subprocess.run([apt, "--quiet", *arguments], check=False, capture_output=True, timeout=600)
    found = shutil.which("chromium")
    if found is None:
        raise NoBrowser(MISSING)
    return found


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run a browser without a window."""
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=find_browser(playwright), args=[*sandbox, *FLAGS])
        try:
            yield browser
        finally:
            browser.close()
