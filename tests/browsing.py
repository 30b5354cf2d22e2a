"""A real Chromium for tests of pages, and rows that would do harm in one."""

import json
import os
import shutil

import pytest
from selenium import webdriver

__all__ = ["HOSTILE", "asked", "browser", "chromium"]

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

HOSTILE = [
    "<script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=2">',
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "</script><script>window.pwned=3</script>",
    "</textarea></style><svg/onload=window.pwned=4>",
    "javascript:window.pwned=5 http://127.0.0.1:9/pixel.png",
    "مرحبا بالعالم \u202e reversed \u2066",
    "a\u0300" * 600,
    "x" * 100_000,
]


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if not (BROWSER and DRIVER):
        missing = "no chromium or google-chrome with a chromedriver on PATH"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def chromium(browser):
    """The browser of all tests; no test sees the width, the print or the cookies of another."""
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.delete_all_cookies()


def asked(driver):
    """Return the addresses that were asked for since the last time, in order."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    urls = [params["request"]["url"] for params in sent]
    return [url for url in urls if not url.startswith("data:")]
