"""A real browser without another package: Chromium's DevTools protocol over two pipes."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)
_KEYS = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    " ": (32, " "),
    "Backspace": (8, ""),
    "ArrowDown": (40, ""),
    "PageDown": (34, ""),
}
_KEYS |= {digit: (48 + int(digit), digit) for digit in "0123456789"}


class Page:
    """One page. `problems`: what the browser said of errors and of its policy; `requests`: addresses."""

    def __init__(self, read, write):
        self._read, self._write, self._buffer, self._count = read, write, b"", 0
        self.problems, self.requests = [], []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def _send(self, method, **params):
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if method.split(".")[0] != "Target":
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (found := self._next()).get("id") != self._count:
            self._note(found)
        assert "error" not in found, found
        return found["result"]

    def _next(self):
        while b"\0" not in self._buffer:
            piece = os.read(self._read, 1 << 16)
            assert piece, "the browser has ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, found):
        params = found.get("params", {})
        if found.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif found.get("method") == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"].get("exception", {}).get("description"))
        elif found.get("method") == "Log.entryAdded" and params["entry"]["source"] != "network":
            self.problems.append(params["entry"]["text"])

    def open(self, url, width=1280, height=800, dark=False, ready="document.activeElement.id === 'words'"):
        """Show `url` in a window of that size and scheme, and wait until the expression `ready` is true."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._send("Page.navigate", url=url)
        self.until(f"document.readyState === 'complete' && {ready}")

    def reload(self, ready):
        """Load the page anew, and wait until `ready` is true of the new document, not of the old one."""
        self.js("window.isOld = true")
        self._send("Page.reload")
        self.until(f"!window.isOld && document.readyState === 'complete' && {ready}")

    def js(self, code):
        """Return the value of an expression in the page; a promise is waited for."""
        found = self._send("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, condition, seconds=30):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self._now(condition):
            assert time.monotonic() < end, f"not true after {seconds} s: {condition}"
            time.sleep(0.03)

    def _now(self, condition):
        """Tell whether an expression is true; between two documents it is not."""
        found = self._send("Runtime.evaluate", expression=f"!!({condition})", returnByValue=True)
        return "exceptionDetails" not in found and found["result"].get("value", False)

    def text(self, selector):
        """Return the visible text of each element."""
        return self.js(f"[...document.querySelectorAll({selector!r})].map((e) => e.innerText)")

    def type(self, text):
        """Type into what has the focus."""
        self._send("Input.insertText", text=text)

    def key(self, name, shift=False):
        """Press a key."""
        code, text = _KEYS[name]
        common = {"key": name, "code": name, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self._send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self._send("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector):
        """Click the middle of an element, with the mouse."""
        rectangle = f"document.querySelector({selector!r}).getBoundingClientRect()"
        x, y = self.js(f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({rectangle})")
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path):
        """Keep what is seen."""
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def opened():
    """Yield a page of a browser of its own, which reaches nothing but this machine."""
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()

    def at_three_and_four():
        os.dup2(os.dup(to_browser), 3) if to_browser == 4 else os.dup2(to_browser, 3)
        os.dup2(from_browser, 4)
        os.set_inheritable(3, True)  # a descriptor that is 3 already was not made anew

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:  # its children end later
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += [
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "--no-first-run",
            "--hide-scrollbars",
        ]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank"]
        process = subprocess.Popen(
            command, close_fds=False, preexec_fn=at_three_and_four, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Page(to_us, from_us)
        finally:
            process.terminate()
            process.wait(20)
            os.close(from_us)
            os.close(to_us)
