"""A headless Chromium, for the tests of the page and its pictures."""

from __future__ import annotations

import shutil
from typing import Any

FLAGS = (
    "headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-quic", "hide-scrollbars",
    "disable-background-networking", "disable-component-update", "disable-sync",
    "force-prefers-reduced-motion",
)  # fmt: skip


def chromium(width: int = 1280, height: int = 800) -> Any:
    """A selenium driver whose page area has this size; None where there is no Chromium."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        return None
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for word in (*FLAGS, f"window-size={width},{height}"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=driver)
    )
    lost = height - made.execute_script("return innerHeight")
    made.set_window_size(width, height + lost)
    return made
