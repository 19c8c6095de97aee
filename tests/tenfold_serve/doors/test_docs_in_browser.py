"""The docs page in a real Chromium: its example is sent and answered, all from this host."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from tests.chromium import open_page
from tests.tenfold_serve.doors.live import serving
from tests.tenfold_serve.support import Rig


class WithDriver:
    """The endpoint, and beside it a page that opens the docs, presses the button and reports."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.asked: list[str] = []
        self.told: dict[str, Any] = {}
        self._reported = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/driver"):
            self.asked.append(f"{scope['method']} {scope['path']}")
            await self._app(scope, receive, send)
            return
        if scope["path"] == "/driver/hold":  # the page has not loaded until the report is there
            await asyncio.wait_for(self._reported.wait(), 30)
        message = await receive()
        if scope["method"] == "POST":
            self.told = json.loads(message["body"])
            self._reported.set()
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": DRIVER})


DRIVER = b"""<!doctype html><iframe id=f src="/mixed/docs"></iframe><img src="/driver/hold"><script>
f.onload = async () => {
  const page = f.contentDocument;
  page.getElementById("warn").checked = true;
  const answer = page.getElementById("answer");
  const shown = new Promise((done) => new MutationObserver(done).observe(
    answer, {attributes: true}));
  page.getElementById("go").click();
  await shown;
  const body = JSON.stringify({
    status: page.getElementById("status").textContent, answer: answer.textContent,
    title: page.title,
    wide: page.documentElement.scrollWidth - page.documentElement.clientWidth});
  await fetch("/driver", {method: "POST", body});
};
</script>"""


def test_the_example_of_the_page_is_answered_in_a_browser(door_rig: Rig, tmp_path: Path) -> None:
    app = WithDriver(door_rig.app)
    with serving(app) as port:
        start = tmp_path / "start.html"
        start.write_text(
            f'<iframe src="http://127.0.0.1:{port}/driver" style="width:800px"></iframe>'
        )
        # This host alone is found.
        opened = open_page(
            start,
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        )
    assert app.told, (app.asked, opened.console)
    assert re.fullmatch(r"200 in \d+ ms", app.told["status"]), app.told
    (item,) = json.loads(app.told["answer"])["predictions"]
    assert item["value"] in {"no", "yes"}
    assert item["warnings"] == []
    assert app.told["title"] == "mixed"
    assert set(app.asked) <= {"GET /mixed/docs", "POST /mixed/predict", "GET /favicon.ico"}
    assert all(f"127.0.0.1:{port}" in address for address in opened.requests)
    assert [line for line in opened.console if "favicon" not in line] == []
