"""Makes the screenshots in the README: the demo's page after a node was killed, and the simulator in a terminal.

Chromium renders both: the page, and the last frame that the simulator draws in a pseudo-terminal.
"""

import os
import pty
import re
import select
import socket
import subprocess
import tempfile
import termios
import time
from contextlib import ExitStack
from io import StringIO
from pathlib import Path

from browse_page import Page, open_browser
from lab import PROGRAM, demo, free_port
from rich.console import Console
from rich.text import Text
from selenium import webdriver
from selenium.webdriver.common.by import By

PICTURES = Path(__file__).with_name("shown")
WIDTH, HEIGHT = 72, 23
"""The size of the terminal in characters."""
TERMINAL = """\
<body style="margin:0;background:#0d1117;display:inline-block"><pre style="margin:0;padding:18px 22px;color:#d5dbe4;
font:15px/1.25 'DejaVu Sans Mono',monospace">{code}</pre>"""


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    browser = open_browser()
    try:
        picture_page(browser)
        picture_terminal(browser)
    finally:
        browser.quit()


def picture_page(browser: webdriver.Chrome) -> None:
    size = {"width": 1280, "height": 790, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    with demo("--seed", "11", "--rate", "24") as (_, address):
        browser.get(address)
        page = Page(browser)
        time.sleep(45)  # The chart is empty until some passengers have been served.
        page.named("Kill node, car 1").click()
        page.wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".claim"), "a call is claimed")
        page.wait(
            lambda: page.condition(1) == "Node killed" and browser.find_elements(By.CSS_SELECTOR, ".open"),
            "a door opens",
        )
        time.sleep(0.6)  # Wait for the end of the opening animation.
        browser.save_screenshot(PICTURES / "page.png")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def picture_terminal(browser: webdriver.Chrome) -> None:
    """Run a simulator in a pseudo-terminal, with a node for each elevator. Render the simulator's last frame."""
    net_port = free_port(socket.SOCK_DGRAM)
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        pid, master = pty.fork()
        if not pid:
            os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": str(HEIGHT)}
            os.execvp(PROGRAM[0], [*PROGRAM, "sim", "--cars", "2", "--port", "0", "--rate", "40", "--seed", "7"])
        stack.callback(os.waitpid, pid, 0)
        stack.callback(os.close, master)
        os.set_blocking(master, False)
        termios.tcsetwinsize(master, (HEIGHT, WIDTH))
        painted = read_terminal(master, 2)
        ports = re.findall(r"port (\d+)", painted)[:2]
        for id, port in enumerate(ports):
            arguments = ["--id", id, "--port", port, "--net-port", net_port, "--broadcast", "127.255.255.255"]
            node = subprocess.Popen(
                [*PROGRAM, *map(str, arguments), "--state-dir", f"{directory}/{id}"], stderr=subprocess.DEVNULL
            )
            stack.callback(node.wait)
            stack.callback(node.terminate)
        painted = read_terminal(master, 12)
    frame = painted.rpartition("\x1b[H")[2].replace("\x1b[K", "").replace("\x1b[J", "").replace("\r", "")
    console = Console(record=True, width=WIDTH, file=StringIO())
    console.print(Text.from_ansi(frame), soft_wrap=True)
    html = console.export_html(inline_styles=True, code_format=TERMINAL)
    browser.get("data:text/html;charset=utf-8," + html.replace("%", "%25").replace("#", "%23"))
    browser.find_element(By.TAG_NAME, "body").screenshot(str(PICTURES / "terminal.png"))


def read_terminal(master: int, seconds: float) -> str:
    """Return what a program writes to its terminal during the next *seconds*."""
    output, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            output += os.read(master, 65536)
    return output.decode(errors="replace")


if __name__ == "__main__":
    main()
