"""The demo's page in a real browser, headless chromium. `just test-page` runs these tests.

The tests find most elements by accessible name, so a missing name fails a test. Screenshots are stored in .cache/page/.
"""

import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import PATIENCE_S, PROGRAM, WITHOUT_NAMESPACES, demo, free_port
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from elevator.exam.sandbox import obstacle

PICTURES = Path(__file__).parents[2] / ".cache" / "page"
CARS = range(3)
FLOORS = 9
"""More floors than cars, so that `Page.far_floor` always finds one at which no car is parked."""
PARKED_S = 1.0
"""The cars count as parked once all of them have been at rest for this long."""
AT_WORK = ("At rest", "Door open", "Going up", "Going down")
"""What `Page.condition` returns for a car without a fault."""
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
    """The demo's page, as shown in a browser."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def named(self, name: str) -> WebElement:
        """Return the first element whose accessible name starts with *name*."""
        return self.browser.find_element(By.CSS_SELECTOR, f'[aria-label^="{name}"]')

    def call(self, kind: str, floor: int, panel: int) -> WebElement:
        return self.named(f"Floor {floor}: call {kind}, panel of car {panel}")

    def is_pressed(self, element: WebElement) -> bool:
        return element.get_attribute("aria-pressed") == "true"

    def condition(self, car: int) -> str:
        """Return the text below a car's title, such as "At rest" or "Node killed"."""
        return self.named(f"Car {car}").find_element(By.CSS_SELECTOR, ".alive").text

    def is_open_at(self, car: int, floor: int) -> bool:
        return re.fullmatch(rf"Floor indicator {floor}\b.*door open", self.floor_indicator(car)) is not None

    def floor_indicator(self, car: int) -> str:
        """Return the accessible name of a car's floor indicator, such as "Floor indicator 3, up, door open"."""
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
            assert time.monotonic() < deadline, f"timed out waiting until {what}"
            time.sleep(0.02)

    def far_floor(self) -> int:
        """Wait until all cars are parked at different floors. Return the floor whose nearest car is farthest away."""

        def at() -> list[int]:
            found = [re.match(r"Floor indicator (\d+)", self.floor_indicator(car)) for car in CARS]
            return [int(each.group(1)) for each in found if each]

        since, old = time.monotonic(), [0]
        deadline = since + PATIENCE_S
        while time.monotonic() < since + PARKED_S:
            assert time.monotonic() < deadline, "the cars were never parked"
            if at() != old or len(set(old)) < len(CARS) or any(self.condition(car) != "At rest" for car in CARS):
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
        page.wait(lambda: all(page.condition(car) in AT_WORK for car in CARS), "all cars were in service")
        yield page
        log = browser.get_log("browser")  # type: ignore[no-untyped-call]
        assert [line for line in log if line["level"] == "SEVERE"] == []
        browser.get("about:blank")


def test_press_lights_the_lamp_on_every_panel_and_a_car_serves_the_call(page: Page) -> None:
    floor = page.far_floor()
    kind = "up" if floor == 0 else "down"
    before = [page.height(car) for car in CARS]
    page.call(kind, floor, panel=0).click()
    page.wait(lambda: page.is_pressed(page.call(kind, floor, panel=0)), "the lamp was lit")
    page.wait(lambda: all(page.is_pressed(page.call(kind, floor, panel=car)) for car in CARS), "all lamps were lit")
    page.wait(lambda: any(page.is_open_at(car, floor) for car in CARS), "a car came")
    assert [page.height(car) for car in CARS] != before
    page.wait(lambda: not any(page.is_pressed(page.call(kind, floor, panel=car)) for car in CARS), "the lamps went out")


def test_page_shows_a_killed_node_and_another_car_serves_its_call(page: Page) -> None:
    floor = page.far_floor()
    kind = "up" if floor == 0 else "down"

    def label() -> str:
        return page.call(kind, floor, panel=1).get_attribute("aria-label") or ""

    page.call(kind, floor, panel=0).click()
    page.wait(lambda: "assigned to car" in label(), "the call was assigned")
    victim = int(label().rpartition(" ")[2])
    page.named(f"Kill node, car {victim}").click()
    page.wait(lambda: page.condition(victim) == "Node killed", "the node was shown as killed")
    assert page.is_pressed(page.named(f"Kill node, car {victim}"))
    others = set(CARS) - {victim}
    page.wait(lambda: any(page.condition(car) in ("Going up", "Going down") for car in others), "another car started")
    page.picture("taken-over")
    page.wait(lambda: any(page.is_open_at(car, floor) for car in others), "another car came")
    page.browser.find_element(By.ID, "mend").click()
    page.wait(lambda: page.condition(victim) in AT_WORK, "the node was back")


def test_page_shows_faults_caused_and_repaired_by_its_buttons(page: Page) -> None:
    for switch, words in (
        ("Hold stop", "Out of service: stop button"),
        ("Unplug network", "Network unplugged"),
        ("Freeze node", "Node frozen"),
        ("Stop server", "Elevator server stopped"),
    ):
        button = page.named(f"{switch}, car 1")
        button.click()
        page.wait(lambda: page.is_pressed(button) and page.condition(1) == words, f"{switch} was shown")  # noqa: B023
        button.click()
        page.wait(lambda: not page.is_pressed(button) and page.condition(1) == "At rest", "the fault was repaired")  # noqa: B023


def test_passengers_arrive_and_their_waits_are_shown(page: Page) -> None:
    slider = page.browser.find_element(By.ID, "rate")
    slider.send_keys(Keys.END)
    page.wait(lambda: page.browser.find_elements(By.CSS_SELECTOR, "#chart circle"), "a wait was drawn")
    page.wait(lambda: page.browser.find_element(By.ID, "mean").text.endswith(" s"), "a mean was shown")
    page.wait(lambda: page.browser.find_elements(By.CSS_SELECTOR, ".queue svg"), "a passenger waited")
    slider.send_keys(Keys.HOME)


def test_page_can_be_used_with_the_keyboard(page: Page) -> None:
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


def test_every_button_of_a_car_has_an_accessible_name_and_state(page: Page) -> None:
    nameless = page.browser.execute_script(
        "return [...document.querySelectorAll('#building button:not([hidden])')]"
        ".filter((each) => !each.getAttribute('aria-label') || !/^(true|false)$/.test(each.ariaPressed))"
        ".map((each) => each.outerHTML)"
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_page_fits_the_width_has_large_buttons_and_follows_the_colour_scheme(
    page: Page, size: str, scheme: str
) -> None:
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
        time.sleep(0.3)  # Wait for the transition of the colours.
        page.picture(f"{size}-{scheme}")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_page_reports_a_lost_connection_and_reconnects(browser: webdriver.Chrome) -> None:
    page = Page(browser)
    with demo("--rate", "0") as (_, address):
        port = address.rstrip("/").rpartition(":")[2]
        browser.get(address)
        page.wait(lambda: page.browser.find_element(By.ID, "link").text == "live", "the connection was live")
    page.wait(lambda: "lost" in page.browser.find_element(By.ID, "link").text, "the connection was lost")
    with demo("--rate", "0", "--cars", "2", "--web", port):
        page.wait(lambda: page.browser.find_element(By.ID, "link").text == "live", "the connection was live again")
        page.wait(
            lambda: len(page.browser.find_elements(By.CSS_SELECTOR, "article")) == 2, "the page showed the new building"
        )
    browser.get("about:blank")


def test_page_of_other_controllers_offers_faults_but_lacks_what_only_nodes_report(browser: webdriver.Chrome) -> None:
    if reason := obstacle():
        pytest.skip(reason)
    page = Page(browser)
    browser.set_window_size(*SIZES["laptop"])
    command = (*PROGRAM, "--id", "{id}", "--port", "{port}", "--state-dir", "{dir}", "--park", "none")
    with demo("--rate", "0", "--", *command) as (_, address):
        browser.get(address)
        page.wait(lambda: all(page.condition(car) in AT_WORK for car in CARS), "all cars were in service")
        page.call("up", 0, panel=0).click()
        page.wait(lambda: any(page.is_open_at(car, 0) for car in CARS), "a car came")
        page.named("Kill controller, car 1").click()
        page.wait(lambda: page.condition(1) == "Controller killed", "the controller was shown as killed")
        page.named("Freeze controller, car 0").click()
        page.wait(lambda: page.condition(0) == "Controller frozen", "the controller was shown as frozen")
        page.named("Unplug network, car 2").click()
        page.wait(lambda: page.condition(2) == "Network unplugged", "the network was shown as unplugged")
        floor = 2 if page.floor_indicator(2).startswith("Floor indicator 0") else 0
        page.call("up", floor, panel=2).click()
        page.wait(lambda: page.is_pressed(page.call("up", floor, panel=2)), "the lamp was lit")
        assert "assigned" not in browser.find_element(By.ID, "legend").text
        assert " node" not in browser.find_element(By.ID, "building").text
        assert not browser.find_elements(By.CSS_SELECTOR, ".claim")
        assert browser.find_element(By.ID, "loss").is_displayed()
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        page.picture("controllers")
        browser.find_element(By.ID, "mend").click()
        page.wait(lambda: all(page.condition(car) in AT_WORK for car in CARS), "all controllers were back")
    ports = str(free_port(socket.SOCK_STREAM, len(CARS)))
    with demo("--rate", "0", "--port", ports, "--", *command, prefix=WITHOUT_NAMESPACES) as (_, address):
        browser.get(address)
        page.wait(lambda: page.condition(0) in AT_WORK, "the cars were ready")
        assert page.named("Kill controller, car 0").is_displayed()
        assert not browser.find_element(By.ID, "loss").is_displayed()
        assert not browser.find_elements(By.CSS_SELECTOR, '[aria-label^="Unplug network"]')
    browser.get("about:blank")
