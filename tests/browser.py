"""A headless Chromium, spoken to over a pipe in its DevTools protocol."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import threading

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
    --disable-dev-shm-usage --remote-debugging-pipe""".split()


class Browser:
    """One page of a browser.

    Args:
        process: The browser's process, which reads from `write` and writes to `read`.
        read: File, binary.
        write: File, binary.
    """

    def __init__(self, process, read, write):
        self._process, self._read, self._write = process, read, write
        self._count, self._session = 0, None
        self.requests, self.errors = [], []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """Sends a command and returns its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        return self._wait(lambda found: found.get("id") == message["id"])["result"]

    def open(self, path, width=375, height=740, dark=False):
        """Opens a file as a phone would show it."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 2}
        self.send("Emulation.setDeviceMetricsOverride", **screen, mobile=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.requests, self.errors = [], []
        self.send("Page.navigate", url=f"file://{path}")
        self._wait(lambda found: found.get("method") == "Page.loadEventFired")

    def run(self, expression):
        """Returns the value of a JavaScript expression."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path):
        """Writes the whole page to a PNG file."""
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    def _wait(self, is_wanted):
        while True:
            found = self._receive()
            if found.get("method") == "Network.requestWillBeSent":
                self.requests.append(found["params"]["request"]["url"])
            if found.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.errors.append(found["params"])
            if is_wanted(found):
                assert "error" not in found, found
                return found

    def _receive(self):
        received = bytearray()
        while True:
            byte = self._read.read(1)
            assert byte, "Chromium has ended"
            if byte == b"\0":
                return json.loads(received)
            received += byte


@contextlib.contextmanager
def open_browser(folder):
    """Starts a Chromium; skips the test if there is none.

    Args:
        folder: Path, where its profile goes.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {NAMES} is on the PATH")
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()

    def place_pipes():  # the protocol's pipes are the descriptors 3 and 4
        kept = os.dup(theirs_in), os.dup(theirs_out)
        os.dup2(kept[0], 3)
        os.dup2(kept[1], 4)
        for descriptor in (3, 4):
            os.set_inheritable(descriptor, True)

    process = subprocess.Popen(
        [found, *FLAGS, f"--user-data-dir={folder}"],
        preexec_fn=place_pipes,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        with os.fdopen(ours_in, "rb") as read, os.fdopen(ours_out, "wb") as write:
            yield Browser(process, read, write)
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait()
