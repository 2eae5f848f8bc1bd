"""The page in a real browser, as somebody uses it who has never seen it; run by `just test-page`.

The browser is Debian's chromium, headless. Elements are found by what a screen reader says of them, so a name that is
lost is a test that fails. Pictures of what was seen are left in .cache/page/.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import PATIENCE_S, demo
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

PICTURES = Path(__file__).parents[2] / ".cache" / "page"
CARS = range(3)
FLOORS = 9
"""So many that a parked car has a way to go to some of them."""
PARKED_S = 1.0
"""A car that stands for so long has been parked."""
SIZES = {"laptop": (1366, 900), "projector": (1920, 1080), "phone": (390, 844)}


def open_browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    assert None not in programs, "build/browser.sh says what is missing"
    options.binary_location = str(programs[0])
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, Service(programs[1]))


class Page:
    """The page as it is seen and clicked."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def named(self, name: str) -> WebElement:
        """Return the element that a screen reader calls *name*; for buttons that say more, the start of it."""
        return self.browser.find_element(By.CSS_SELECTOR, f'[aria-label^="{name}"]')

    def call(self, kind: str, floor: int, panel: int) -> WebElement:
        return self.named(f"Floor {floor}: call {kind}, panel of car {panel}")

    def is_pressed(self, element: WebElement) -> bool:
        return element.get_attribute("aria-pressed") == "true"

    def says(self, car: int) -> str:
        """Return how a car and its node are, in words."""
        return self.named(f"Car {car}").find_element(By.CSS_SELECTOR, ".alive").text

    def is_open_at(self, car: int, floor: int) -> bool:
        return re.fullmatch(rf"Floor indicator {floor}\b.*door open", self.screen(car)) is not None

    def screen(self, car: int) -> str:
        """Return what the display of a car says."""
        return self.named(f"Car {car}").find_element(By.CSS_SELECTOR, ".screen").get_attribute("aria-label") or ""

    def height(self, car: int) -> float:
        return float(self.named(f"Car {car}").find_element(By.CSS_SELECTOR, ".cabin").rect["y"])

    def wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if condition():
                    return
            except (NoSuchElementException, StaleElementReferenceException):
                pass
            assert time.monotonic() < deadline, f"it was never seen that {what}"
            time.sleep(0.02)

    def far_floor(self) -> int:
        """Wait until the cars are parked, apart from each other; return the floor that is farthest from all of them."""

        def at() -> list[int]:
            found = [re.match(r"Floor indicator (\d+)", self.screen(car)) for car in CARS]
            return [int(each.group(1)) for each in found if each]

        since, old = time.monotonic(), [0]
        deadline = since + PATIENCE_S
        while time.monotonic() < since + PARKED_S:
            assert time.monotonic() < deadline, "the cars were never parked"
            if at() != old or len(set(old)) < len(CARS) or any(self.says(car) != "At rest" for car in CARS):
                since, old = time.monotonic(), at()
        return max(range(FLOORS), key=lambda floor: min(abs(floor - other) for other in old))

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        assert self.browser.save_screenshot(PICTURES / f"{name}.png")


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    browser = open_browser()
    yield browser
    browser.quit()


@pytest.fixture
def page(browser: webdriver.Chrome) -> Iterator[Page]:
    browser.set_window_size(*SIZES["laptop"])
    with demo("--rate", "0", "--seed", "3", "--floors", str(FLOORS)) as (_, address):
        browser.get(address)
        page = Page(browser)
        page.wait(lambda: all(page.says(car) == "At rest" for car in CARS), "all cars were ready")
        yield page
        log = browser.get_log("browser")  # type: ignore[no-untyped-call]
        assert [line for line in log if line["level"] == "SEVERE"] == []
        browser.get("about:blank")


def test_a_press_lights_the_lamp_on_every_panel_and_a_car_comes(page: Page) -> None:
    floor = page.far_floor()
    kind = "up" if floor == 0 else "down"
    before = [page.height(car) for car in CARS]
    page.call(kind, floor, panel=0).click()
    page.wait(lambda: page.is_pressed(page.call(kind, floor, panel=0)), "the lamp was lit")
    page.wait(lambda: all(page.is_pressed(page.call(kind, floor, panel=car)) for car in CARS), "all lamps were lit")
    page.wait(lambda: any(page.is_open_at(car, floor) for car in CARS), "a car came")
    assert [page.height(car) for car in CARS] != before
    page.wait(lambda: not any(page.is_pressed(page.call(kind, floor, panel=car)) for car in CARS), "the lamps went out")


def test_a_killed_node_is_seen_and_another_takes_over(page: Page) -> None:
    floor = page.far_floor()
    kind = "up" if floor == 0 else "down"

    def label() -> str:
        return page.call(kind, floor, panel=1).get_attribute("aria-label") or ""

    page.call(kind, floor, panel=0).click()
    page.wait(lambda: "assigned to car" in label(), "it was said who comes")
    victim = int(label().rpartition(" ")[2])
    page.named(f"Kill node, car {victim}").click()
    page.wait(lambda: page.says(victim) == "Node killed", "the node was seen to be dead")
    assert page.is_pressed(page.named(f"Kill node, car {victim}"))
    others = set(CARS) - {victim}
    page.wait(lambda: any(page.says(car) in ("Going up", "Going down") for car in others), "another set out")
    page.picture("taken-over")
    page.wait(lambda: any(page.is_open_at(car, floor) for car in others), "another car came")
    page.browser.find_element(By.ID, "mend").click()
    page.wait(lambda: page.says(victim) in ("At rest", "Door open", "Going up", "Going down"), "the node was back")


def test_switches_show_what_they_did(page: Page) -> None:
    for switch, words in (
        ("Hold stop", "Out of service: stop button"),
        ("Unplug network", "Network unplugged"),
        ("Freeze node", "Node frozen"),
    ):
        button = page.named(f"{switch}, car 1")
        button.click()
        page.wait(lambda: page.is_pressed(button) and page.says(1) == words, f"{switch} did that")  # noqa: B023
        button.click()
        page.wait(lambda: not page.is_pressed(button) and page.says(1) == "At rest", "it was mended")  # noqa: B023


def test_people_come_and_their_waits_are_shown(page: Page) -> None:
    slider = page.browser.find_element(By.ID, "rate")
    slider.send_keys(Keys.END)
    page.wait(lambda: page.browser.find_elements(By.CSS_SELECTOR, "#chart circle"), "a wait was drawn")
    page.wait(lambda: page.browser.find_element(By.ID, "mean").text.endswith(" s"), "a mean was shown")
    page.wait(lambda: page.browser.find_elements(By.CSS_SELECTOR, ".queue svg"), "somebody waited")
    slider.send_keys(Keys.HOME)


def test_the_keyboard_is_enough(page: Page) -> None:
    page.browser.execute_script("document.activeElement.blur()")
    keys = ActionChains(page.browser)
    seen = []
    for _ in range(60):
        keys.send_keys(Keys.TAB).perform()
        name = page.browser.switch_to.active_element.get_attribute("aria-label") or ""
        seen.append(name)
        if name == "Car 0: go to floor 3":
            break
    assert seen[-1] == "Car 0: go to floor 3"
    keys.send_keys(Keys.ARROW_DOWN).perform()
    assert page.browser.switch_to.active_element.get_attribute("aria-label") == "Car 0: go to floor 2"
    keys.send_keys(Keys.SPACE).perform()
    page.wait(lambda: page.is_open_at(0, 2), "the car came")


def test_every_button_has_a_name_and_a_state(page: Page) -> None:
    nameless = page.browser.execute_script(
        "return [...document.querySelectorAll('#building button:not([hidden])')]"
        ".filter((each) => !each.getAttribute('aria-label') || !/^(true|false)$/.test(each.ariaPressed))"
        ".map((each) => each.outerHTML)"
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_the_screen(page: Page, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    browser = page.browser
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        red = int(re.findall(r"\d+", ground)[0])
        assert (red < 100) == (scheme == "dark")
        small = browser.execute_script(
            "return [...document.querySelectorAll('button, select')].map((each) => each.getBoundingClientRect())"
            ".filter((box) => box.width && (box.width < 24 || box.height < 24)).length"
        )
        assert small == 0
        time.sleep(0.3)  # Colours change smoothly.
        page.picture(f"{size}-{scheme}")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_page_says_when_the_demo_is_gone_and_comes_back_by_itself(browser: webdriver.Chrome) -> None:
    page = Page(browser)
    with demo("--rate", "0") as (_, address):
        port = address.rstrip("/").rpartition(":")[2]
        browser.get(address)
        page.wait(lambda: page.browser.find_element(By.ID, "link").text == "live", "it was live")
    page.wait(lambda: "lost" in page.browser.find_element(By.ID, "link").text, "it was lost")
    with demo("--rate", "0", "--cars", "2", "--web", port):
        page.wait(lambda: page.browser.find_element(By.ID, "link").text == "live", "it was live again")
        page.wait(
            lambda: len(page.browser.find_elements(By.CSS_SELECTOR, "article")) == 2, "it showed the new building"
        )
    browser.get("about:blank")
