"""The explorer as a person meets it: `tamis ui`, in a real Chromium."""

import os
import re
import subprocess
import sys
import time

import pytest
from browsing import HOSTILE, asked
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

SMALL, HARM = "20260101-000000-small-0001", "20260103-000000-hostile-0003"


def started(home, *arguments):
    """Start `tamis ui`; return the process and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tamis.cli", "ui", "--port", "0", *arguments],
        env={**os.environ, "TAMIS_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().removeprefix("tamis ui: ").strip()


def stopped(process):
    process.terminate()
    process.wait(30)
    process.stdout.close()


@pytest.fixture(scope="module")
def address(home):
    process, where = started(home)
    yield where
    stopped(process)


@pytest.fixture
def browse(chromium, address):
    def opened(path):
        chromium.get_log("browser"), chromium.get_log("performance")
        chromium.get(address.rstrip("/") + path)
        return chromium

    return opened


def first(driver, selector):
    return driver.find_element(By.CSS_SELECTOR, selector)


def test_a_person_walks_from_the_runs_to_why_a_row_is_out(browse, address):
    driver = browse("/")
    driver.find_element(By.LINK_TEXT, SMALL).click()
    assert "30 of 61 rows kept" in first(driver, ".lead").text
    WebDriverWait(driver, 20).until(lambda d: d.find_elements(By.LINK_TEXT, "Rows"))[0].click()
    where = first(driver, "#where")
    where.send_keys("NOT kept AND step = 1", Keys.ENTER)
    WebDriverWait(driver, 30).until(lambda d: len(d.find_elements(By.CLASS_NAME, "example")) == 1)
    first(driver, ".example .id a").click()
    assert "dropped" in first(driver, ".lead").text
    assert "1 clean" in first(driver, "tbody").text
    assert driver.get_log("browser") == []
    assert {url[: len(address)] for url in asked(driver)} == {address}


def test_pointing_at_a_mark_of_the_map_shows_its_row_and_a_click_all_of_it(browse):
    driver = browse(f"/runs/{SMALL}/map")
    kept, dropped = (
        driver.find_elements(By.CSS_SELECTOR, f"#map .{c}") for c in ("kept", "dropped")
    )
    assert (len(kept), len(dropped)) == (30, 31)
    assert {mark.find_element(By.CSS_SELECTOR, "*").tag_name for mark in kept} == {"circle"}
    assert {mark.find_element(By.CSS_SELECTOR, "*").tag_name for mark in dropped} == {"path"}
    ActionChains(driver).move_to_element(kept[-1]).perform()
    assert re.match(r"kept, #\d+ · score .*\nsay \d+ aloud", first(driver, "#told").text)
    assert driver.find_elements(By.CSS_SELECTOR, "#map title") == []
    ActionChains(driver).click().perform()
    WebDriverWait(driver, 30).until(lambda d: "kept" in first(d, ".lead").text)
    assert "/rows/" in driver.current_url
    assert driver.get_log("browser") == []


def test_hostile_rows_are_text_and_run_nothing(browse, address):
    rows = f"/runs/{HARM}/rows"
    for path in ("/", f"/runs/{HARM}", rows, f"/runs/{HARM}/map", f"{rows}?where={HOSTILE[1]}"):
        driver = browse(path)
        time.sleep(0.2)
        assert driver.execute_script("return window.pwned") is None
        if "where" not in path:
            assert driver.get_log("browser") == []
        assert (
            driver.find_elements(By.CSS_SELECTOR, "img, iframe, script:not([src='/map.js'])") == []
        )
        assert {url[: len(address)] for url in asked(driver)} == {address}
    point = "arguments[0].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))"
    driver = browse(f"/runs/{HARM}/map")
    for mark in driver.find_elements(By.CSS_SELECTOR, "#map a"):
        driver.execute_script(point, mark)
        assert first(driver, "#told").find_elements(By.CSS_SELECTOR, "*") == []
    assert driver.execute_script("return window.pwned") is None
    shown = [cell.text for cell in browse(rows).find_elements(By.CSS_SELECTOR, ".example dd")]
    assert {text for text in HOSTILE[:6]} <= set(shown)


def test_the_policy_stops_what_would_be_written_into_a_page(browse):
    driver = browse("/")
    driver.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 1';"
        "document.body.append(s);"
    )
    assert driver.execute_script("return window.pwned") is None


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(browse, width):
    for path in ("/", f"/runs/{SMALL}", f"/runs/{SMALL}/rows", f"/runs/{HARM}/rows",
                 f"/runs/{SMALL}/map", "/compare"):  # fmt: skip
        driver = browse(path)
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        fits = f"return document.documentElement.scrollWidth <= {width}"
        WebDriverWait(driver, 20).until(lambda d: d.execute_script(fits), path)  # noqa: B023


def test_beyond_this_machine_it_asks_for_the_token_that_it_printed(home, chromium):
    process, where = started(home, "--host", "0.0.0.0")
    try:
        assert re.fullmatch(r"http://0\.0\.0\.0:\d+/\?token=[\w-]{32}", where)
        plain, _, token = where.partition("?")
        chromium.get(plain)
        assert "with its token" in chromium.page_source
        chromium.get(f"{plain}?{token}")
        assert chromium.current_url == plain
        assert SMALL in chromium.page_source
    finally:
        stopped(process)
