"""What `make picture` takes: the page of an order that waits for a person, in a browser.

Orders a release in batches of the demo's application, waits until its second batch needs
somebody, opens the page in Chromium and writes what it shows as a PNG. Chromium is driven
through chromedriver, in WebDriver's own words. The settings come from the environment
(see scripts/demo): DEMO_APP_FILE, DEMO_IMAGE_V2, DEMO_LINK, DEMO_ORDER_PAGE, DEMO_PICTURE.
"""

import base64
import json
import os
import re
import subprocess
import time
import urllib.request

from edas import call, client_from_environment

WITHIN = 60  # seconds, for each thing that is waited for
WIDTH, HEIGHT = 1200, 1120  # px
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
STRATEGY = {"type": "BatchUpdate", "batchUpdate": {"batch": 3, "releaseType": "manual"}}


def until(what, look):
    deadline = time.monotonic() + WITHIN
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SystemExit(f"picture: {what} did not happen within {WITHIN} s")
        time.sleep(0.1)
    return found


def order():
    """A release of which one batch is done and the next needs somebody."""
    client = client_from_environment()
    with open(os.environ["DEMO_APP_FILE"]) as file:
        app = file.read().strip()
    reply = call(
        client,
        "DeployK8sApplication",
        AppId=app,
        Image=os.environ["DEMO_IMAGE_V2"],
        PackageVersion="2026.2",
        ChangeOrderDesc="New prices",
        UpdateStrategy=json.dumps(STRATEGY),
    )
    if reply.code != 200:
        raise SystemExit(f"picture: the release was refused: {reply.message}")

    def waits():
        info = call(client, "GetChangeOrderInfo", ChangeOrderId=reply.change_order_id).change_order_info
        return info.status == 8

    until("a batch that waits", waits)
    return reply.change_order_id


class Browser:
    def __init__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port = next(found[1] for line in self.driver.stdout if (found := re.search(r"started successfully on port (\d+)", line)))
        self.base = f"http://127.0.0.1:{port}/session"

    def begin(self):
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": FLAGS}}}
        self.base += "/" + self.send("", {"capabilities": wanted})["sessionId"]

    def send(self, path, body):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), {"content-type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=WITHIN) as reply:
            return json.load(reply)["value"]

    def open(self, address):
        self.send("/url", {"url": address})

    def script(self, text):
        return self.send("/execute/sync", {"script": text, "args": []})

    def picture(self):
        taken = self.send("/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": {}})
        return base64.b64decode(taken["data"])

    def end(self):
        self.driver.terminate()
        self.driver.wait(timeout=WITHIN)


def main():
    shown = order()
    browser = Browser()
    try:
        browser.begin()
        browser.open(os.environ["DEMO_LINK"])
        browser.script("document.querySelector('form button').click()")
        until("signing in", lambda: browser.script("return document.querySelector('h1')?.textContent == 'Applications'"))
        browser.open(os.environ["DEMO_ORDER_PAGE"] + shown)
        until("the page", lambda: "Needs you" in (browser.script("return document.getElementById('said')?.textContent") or ""))
        with open(os.environ["DEMO_PICTURE"], "wb") as file:
            file.write(browser.picture())
    finally:
        browser.end()


main()
