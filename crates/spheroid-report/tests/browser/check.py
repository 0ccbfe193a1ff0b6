#!/usr/bin/env python3
"""Opens pages and SVG files in headless Chromium and fails when one does not look after itself.

    check.py FILE.html [FILE.svg ...] --out FOLDER
    check.py --self-test --out FOLDER

Each file is opened at 390 x 844 and at 1280 x 900. It fails (exit 1, with the message) on an error or a
warning in the console, an exception, a request that is not for the file itself, a page wider than the window, or a
blank picture. A picture of the whole page at each size, and one PDF a page, go to FOLDER. Every tab (radio button) of a
page is chosen once, and must show a panel that was hidden.

Python's standard library and `chromium` are all it needs. The two talk over a pipe (file descriptors 3
and 4 of Chromium) in JSON separated by zero bytes: the Chrome DevTools protocol.
"""

import argparse
import base64
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

SIZES = [(390, 844), (1280, 900)]
# Seconds that Chromium has for an answer: it starts slowly on a busy machine.
PATIENCE = 90


class Browser:
    """A Chromium that lives as long as the `with` block."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="report-check-")
        to_read, self.to = os.pipe()
        self.back, to_write = os.pipe()

        def wire():
            # Beyond 3 and 4 first, so that neither of the two closes the other.
            ends = [os.dup(to_read), os.dup(to_write)]
            ends = [fd if fd > 4 else os.dup(fd) for fd in ends]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            [
                program,
                "--headless",
                "--no-sandbox",
                "--remote-debugging-pipe",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--hide-scrollbars",
                f"--user-data-dir={self.profile}",
                "about:blank",
            ],
            preexec_fn=wire,
            pass_fds=(3, 4),
            close_fds=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self.buffer = b""
        self.number = 0
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.profile, ignore_errors=True)

    def message(self, until):
        """The next message, or None when none comes in time."""
        while b"\0" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                return None
            data = os.read(self.back, 1 << 20)
            if not data:
                raise RuntimeError("Chromium has ended")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **parameters):
        """What `method` answers; events that come first are kept."""
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if session:
            request["sessionId"] = session
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data) :]
        until = time.monotonic() + PATIENCE
        while (message := self.message(until)) is not None:
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            if "method" in message:
                self.events.append(message)
        raise RuntimeError(f"{method}: no answer within {PATIENCE} s")

    def wait(self, method, session):
        """Collects events until `method` has come."""
        until = time.monotonic() + PATIENCE
        while not any(e["method"] == method and e.get("sessionId") == session for e in self.events):
            message = self.message(until)
            if message is None:
                raise RuntimeError(f"{method} did not come within {PATIENCE} s")
            if "method" in message:
                self.events.append(message)


class Page:
    """One file in one tab of its own."""

    def __init__(self, browser, size):
        self.browser = browser
        browser.events = []
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")
        self.resize(*size)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def resize(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def open(self, path):
        self.url = path.resolve().as_uri()
        self.browser.events = []
        self.call("Page.navigate", url=self.url)
        self.browser.wait("Page.loadEventFired", self.session)
        # Two frames later everything is laid out, and what a page does by itself has begun.
        self.ask("new Promise(done => requestAnimationFrame(() => setTimeout(done, 200)))")

    def ask(self, expression):
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']['text']}")
        return answer["result"].get("value")

    def picture(self):
        return base64.b64decode(
            self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        )

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)


def complaints(events, session, url):
    """What the events of one page say against it."""
    found = []
    requested = {}
    for event in events:
        if event.get("sessionId") != session:
            continue
        method, of = event["method"], event["params"]
        if method == "Runtime.exceptionThrown":
            details = of["exceptionDetails"]
            thrown = details.get("exception", {}).get("description", "")
            found.append(f"exception: {details['text']} {thrown}".strip())
        elif method == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
            said = " ".join(str(a.get("value", a.get("description", ""))) for a in of["args"])
            found.append(f"console {of['type']}: {said}")
        elif method == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
            found.append(f"console {of['entry']['level']}: {of['entry']['text']}")
        elif method == "Page.javascriptDialogOpening":
            found.append(f"dialog: {of['message']}")
        elif method == "Network.requestWillBeSent":
            asked = of["request"]["url"]
            requested[of["requestId"]] = asked
            if asked != url and not asked.startswith("data:"):
                found.append(f"request: {asked}")
        elif method == "Network.loadingFailed":
            reason = of.get("blockedReason") or of["errorText"]
            found.append(f"failed request: {requested.get(of['requestId'], '?')} ({reason})")
    return found


def rows_of(png):
    """Yields width, height and bytes a pixel, then the rows of an 8-bit PNG without interlacing."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert depth == 8 and not interlaced
        elif kind == b"IDAT":
            data += body
        at += 12 + length
    step = {0: 1, 2: 3, 6: 4}[colour]
    data = zlib.decompress(data)
    stride, before = width * step, bytes(width * step)
    yield width, height, step
    for row in range(height):
        start = row * (stride + 1)
        kind, line = data[start], bytearray(data[start + 1 : start + 1 + stride])
        for i in range(stride if kind else 0):
            left = line[i - step] if i >= step else 0
            above = before[i]
            corner = before[i - step] if i >= step else 0
            if kind == 1:
                line[i] = (line[i] + left) & 255
            elif kind == 2:
                line[i] = (line[i] + above) & 255
            elif kind == 3:
                line[i] = (line[i] + (left + above) // 2) & 255
            else:
                guess = left + above - corner
                near = min((abs(guess - v), order, v) for order, v in enumerate((left, above, corner)))
                line[i] = (line[i] + near[2]) & 255
        before = bytes(line)
        yield before


def is_blank(png):
    """Whether fewer than one pixel in a thousand differs from the first one."""
    rows = rows_of(png)
    width, height, step = next(rows)
    plain, differing = None, 0
    for row in rows:
        plain = plain or row[:step] * width
        if row != plain:
            differing += sum(row[i : i + step] != plain[:step] for i in range(0, len(row), step))
        # Undoing the filters is slow, and a page with content shows it soon.
        if differing * 1000 >= width * height:
            return False
    return True


def choose_tabs(page):
    """Chooses every radio button once; what is wrong with the panels."""
    return page.ask(
        """(() => {
            const wrong = [];
            const shown = set => [...set.querySelectorAll(':scope > .panel')]
                .map((panel, i) => panel.getBoundingClientRect().height > 0 ? i : -1)
                .filter(i => i >= 0);
            for (const set of document.querySelectorAll('.tabs')) {
                const inputs = [...set.querySelectorAll('input[type=radio]')];
                inputs.forEach((input, i) => {
                    input.checked = true;
                    if (shown(set).join() !== String(i)) {
                        wrong.push(`tab ${input.id} shows panels ${shown(set).join() || 'none'}`);
                    }
                });
                if (inputs.length) inputs[0].checked = true;
            }
            return wrong;
        })()"""
    )


def check(browser, path, out):
    """What is wrong with the file at any size; pictures go to `out`."""
    wrong = []
    for width, height in SIZES:
        page = Page(browser, (width, height))
        page.open(path)
        found = []
        if path.suffix == ".html":
            reach = page.ask("document.scrollingElement.scrollWidth")
            window = page.ask("innerWidth")
            if reach > width or window > width:
                found.append(f"the page is {max(reach, window)} wide")
            found += choose_tabs(page)
        picture = page.picture()
        (out / f"{path.stem}-{width}.png").write_bytes(picture)
        if is_blank(picture):
            found.append("the picture is blank")
        if path.suffix == ".html" and (width, height) == SIZES[-1]:
            (out / f"{path.stem}.pdf").write_bytes(page.pdf())
        found += complaints(browser.events, page.session, page.url)
        page.close()
        wrong += [f"{path} at {width} x {height}: {what}" for what in found]
    return wrong


SELF_TEST = {
    # Name: (body, part of the message that must come, or None when the page is fine)
    "fine": ("<h1>Fine</h1><p>" + "words " * 200, None),
    "script-error": ("<h1>Words</h1><script>undefined_name()</script>", "undefined_name"),
    "warning": ("<h1>Words</h1><script>console.warn('careful')</script>", "careful"),
    "fetched": ("<h1>Words</h1><img src='http://127.0.0.1:9/x.png' alt='x'>", "x.png"),
    "wide": ("<h1>Words</h1><div style='width:1500px;height:9px;background:red'></div>", "wide"),
    "blank": ("", "blank"),
    "tabs": (
        "<h1>Words</h1><div class='tabs'><input type='radio' id='one'><div class='panel'></div></div>",
        "tab one shows panels none",
    ),
}


def self_test(browser, out):
    """Pages that must fail do, for the right reason, and one that must not does not."""
    wrong = []
    for name, (body, expected) in SELF_TEST.items():
        path = out / f"self-test-{name}.html"
        path.write_text(
            "<!DOCTYPE html><html lang=en><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width, initial-scale=1'>"
            f"<title>{name}</title><body>{body}</body></html>",
            encoding="utf-8",
        )
        found = check(browser, path, out)
        if expected is None and found:
            wrong.append(f"self-test `{name}` failed: {found}")
        if expected is not None and not any(expected in what for what in found):
            wrong.append(f"self-test `{name}` did not fail with `{expected}`: {found}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures")
    parser.add_argument("--self-test", action="store_true", help="check the check itself")
    parser.add_argument("--browser", default="chromium", help="Chromium's program")
    options = parser.parse_args()
    if not options.files and not options.self_test:
        parser.error("name a file, or --self-test")
    program = shutil.which(options.browser)
    if program is None:
        parser.error(f"there is no `{options.browser}`: install Chromium")
    options.out.mkdir(parents=True, exist_ok=True)
    wrong = []
    with Browser(program) as browser:
        if options.self_test:
            wrong += self_test(browser, options.out)
        for path in options.files:
            wrong += check(browser, path, options.out)
    for what in wrong:
        print(what, file=sys.stderr)
    checked = len(options.files) + (len(SELF_TEST) if options.self_test else 0)
    print(f"{checked} files checked, {len(wrong)} complaints")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
