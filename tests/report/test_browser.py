"""The page in a real browser: Chromium, without a network, from disk."""

import time
from itertools import combinations

import pytest
from browsing import HOSTILE, asked
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tamis.report import write_report

DESKTOP, PHONE = 1280, 390


@pytest.fixture
def browse(chromium, tmp_path):
    """Open the page of a run; dark or light, as wide as asked."""

    def opened(run, *, width=DESKTOP, scheme="light"):
        chromium.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE},
        )
        chromium.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        chromium.get_log("browser"), chromium.get_log("performance")
        chromium.get(write_report(run, tmp_path / "report.html").as_uri())
        return chromium

    return opened


@pytest.fixture
def hostile(view, step):
    rows = [{"prompt": text, "completion": text, "source": text[:60]} for text in HOSTILE]
    made = step([9.0, 8, 7, 6, 5, 4, 3, 2, 1], range(9))
    dropped = step([1.0] * 9, range(8), HOSTILE, method=HOSTILE[0])
    return view(rows, [made, dropped], name=HOSTILE[0], recipe="\n".join(HOSTILE[:6]))


def ranks(driver):
    cells = driver.find_elements(By.CSS_SELECTOR, "#rows tbody td:first-child")
    return [cell.text.split("\n")[0] for cell in cells]


def prompt_cells(driver):
    return driver.find_elements(By.CSS_SELECTOR, "#rows td:nth-child(3) .cell")


def press(driver, selector):
    driver.execute_script("arguments[0].click()", driver.find_element(By.CSS_SELECTOR, selector))


def heads(driver):
    return driver.find_elements(By.CSS_SELECTOR, "#rows thead th")


def sort_by(driver, name):
    head = next(head for head in heads(driver) if head.text.startswith(name))
    driver.execute_script("arguments[0].click()", head.find_element(By.TAG_NAME, "button"))


def test_opens_without_an_error_and_asks_the_network_for_nothing(browse, sieve):
    driver = browse(sieve)
    time.sleep(0.3)
    assert driver.get_log("browser") == []
    assert asked(driver) == [driver.current_url]


def test_search_narrows_the_table_and_gives_it_back(browse, sieve):
    driver = browse(sieve)
    assert driver.find_element(By.ID, "found").text == "25 of 25 rows"
    search = driver.find_element(By.ID, "search")
    search.send_keys("2 PROMPT source")  # every word somewhere in the row, in any case
    ids = sieve.steps[1].selection.ids
    found = [
        f"#{60 - n}" for n in range(59, 34, -1)
        if "2" in f"{n} {n % 3}" or "2" in bytes(ids[n - 10]).hex()
    ]  # fmt: skip
    assert 0 < len(found) < 25
    WebDriverWait(driver, 5).until(lambda d: ranks(d) == found[:20])
    assert driver.find_element(By.ID, "found").text == f"{len(found)} of 25 rows"
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys("no such words")
    WebDriverWait(driver, 5).until(lambda d: d.find_element(By.ID, "found").text == "0 of 25 rows")
    search.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    WebDriverWait(driver, 5).until(lambda d: d.find_element(By.ID, "found").text == "25 of 25 rows")


def test_search_finds_an_id(browse, sieve):
    driver = browse(sieve)
    row = bytes(sieve.steps[1].selection.ids[49]).hex()
    driver.find_element(By.ID, "search").send_keys(row)
    WebDriverWait(driver, 5).until(lambda d: d.find_element(By.ID, "found").text == "1 of 25 rows")
    assert ranks(driver) == ["#1"]
    press(driver, "#rows .more")
    assert driver.find_element(By.CSS_SELECTOR, "#rows .open .id").text == row


def test_columns_sort_both_ways_and_say_so(browse, sieve):
    driver = browse(sieve)
    assert ranks(driver)[:3] == ["#1", "#2", "#3"]
    sort_by(driver, "Score")  # the best first
    assert ranks(driver)[0] == "#1"
    sort_by(driver, "Score")
    assert ranks(driver)[0] == "#25"
    assert [head.get_attribute("aria-sort") for head in heads(driver)][1] == "ascending"
    sort_by(driver, "Prompt")  # 'prompt 35' comes before 'prompt 36' as text
    assert ranks(driver)[:2] == ["#25", "#24"]
    assert [head.get_attribute("aria-sort") for head in heads(driver)].count(None) == 4


def test_pages_turn_and_end(browse, sieve):
    driver = browse(sieve)
    back, forth = driver.find_element(By.ID, "back"), driver.find_element(By.ID, "next")
    assert (len(ranks(driver)), back.is_enabled(), forth.is_enabled()) == (20, False, True)
    press(driver, "#next")
    assert ranks(driver) == ["#21", "#22", "#23", "#24", "#25"]
    assert (back.is_enabled(), forth.is_enabled()) == (True, False)
    assert driver.find_element(By.ID, "page").text == "Page 2 of 2"


def test_hostile_rows_are_text_and_run_nothing(browse, hostile):
    driver = browse(hostile)
    for button in driver.find_elements(By.CSS_SELECTOR, "#rows .more"):
        driver.execute_script("arguments[0].click()", button)
    time.sleep(0.3)
    assert driver.execute_script("return window.pwned") is None
    assert driver.get_log("browser") == []
    assert driver.find_elements(By.CSS_SELECTOR, "img, iframe, main script:not(#data)") == []

    shown = driver.find_element(By.ID, "extremes").text
    assert all(text in shown for text in HOSTILE[:6])
    assert [cell.text for cell in prompt_cells(driver)][:6] == HOSTILE[:6]
    assert "cut: 98,800 more characters" in driver.find_element(By.ID, "misses").text


def test_text_from_right_to_left_is_set_so(browse, hostile):
    cells = prompt_cells(browse(hostile))
    directions = [cell.value_of_css_property("direction") for cell in cells]
    assert directions[:7] == ["ltr"] * 6 + ["rtl"]


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_nothing_is_wider_than_the_window(browse, sieve, hostile, width):
    for run in (sieve, hostile):
        driver = browse(run, width=width)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width


BOXES_OF_PLOTS = """
const box = (element) => {
  const { left, top, right, bottom } = element.getBoundingClientRect();
  return [left, top, right, bottom];
};
return [...document.querySelectorAll("svg.plot")]
  .map((plot) => [plot, ...plot.querySelectorAll("text")].map(box));
"""


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_labels_of_a_plot_do_not_touch_and_lie_inside_it(browse, sieve, hostile, width):
    plots = [
        plot
        for run in (sieve, hostile)
        for plot in browse(run, width=width).execute_script(BOXES_OF_PLOTS)
    ]
    assert len(plots) == 4  # three lengths and the one score that tells rows apart
    for plot, *labels in plots:
        assert len(labels) >= 5
        assert overlap(plot, union(*labels)) == area(union(*labels))
        for one, other in combinations(labels, 2):
            assert overlap(one, other) == 0, (one, other)


def area(box):
    left, top, right, bottom = box
    return max(right - left, 0) * max(bottom - top, 0)


def overlap(one, other):
    return area([*map(max, one[:2], other[:2]), *map(min, one[2:], other[2:])])


def union(*boxes):
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return [min(lefts), min(tops), max(rights), max(bottoms)]


def luminance(colour):
    """Return the relative luminance of 'rgb(r, g, b)' (WCAG 2.2)."""
    parts = [int(part) / 255 for part in colour.strip("rgba()").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


INK_AND_PAPER = """
const paper = (element) => {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor;
    if (colour !== "rgba(0, 0, 0, 0)") return colour;
  }
};
const speaks = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
return [...document.querySelectorAll("body *")]
  .filter((element) => speaks(element) && element.getClientRects().length && !element.disabled)
  .map((element) => [
    getComputedStyle(element)[element.tagName === "text" ? "fill" : "color"], paper(element),
  ]);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_on_its_ground(browse, sieve, hostile, scheme):
    pairs = [
        pair
        for run in (sieve, hostile)
        for pair in browse(run, scheme=scheme).execute_script(INK_AND_PAPER)
    ]
    assert len({tuple(pair) for pair in pairs}) > 5
    for ink, paper in pairs:
        dark, light = sorted([luminance(ink), luminance(paper)])
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper)
        assert (luminance(paper) < luminance(ink)) == (scheme == "dark")


def test_prints_on_paper_with_the_controls_left_out(browse, sieve):
    driver = browse(sieve, scheme="dark")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not driver.find_element(By.TAG_NAME, "nav").is_displayed()
    assert not driver.find_element(By.ID, "search").is_displayed()
    assert driver.find_element(By.ID, "rows").is_displayed()
    body = driver.find_element(By.TAG_NAME, "body")
    assert luminance(body.value_of_css_property("background-color")) > 0.9
