"""A real Prometheus scrapes the exporter's page from loopback and evaluates the real rules."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tenfold.cluster.ports import free_port
from tenfold.telemetry import CONTENT_TYPE, render
from tenfold.telemetry.dashboards import PANELS

DEADLINE_S = 60.0

MAX_SCRAPES = 60
"""One a second; the rules need two or three."""


class Endpoint(ThreadingHTTPServer):
    """Serves one page at /metrics; `scrapes` is released with every request."""

    def __init__(self, page: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = page
        self.scrapes = threading.Semaphore(0)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(self.server.page)))
        self.end_headers()
        self.wfile.write(self.server.page)
        self.server.scrapes.release()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@contextmanager
def _running(program: str, folder: Path, *, target: int, rules: Path) -> Iterator[str]:
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": "tenfold", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _ask(base: str, path: str, **query: str) -> Any:
    url = f"{base}{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        return json.load(answer)["data"]


@pytest.mark.e2e
def test_prometheus_scrapes_the_page_and_fires_the_harm_alert(
    prometheus: str, monitoring_folder: Path, tmp_path: Path, views: ModuleType
) -> None:
    endpoint = Endpoint(render([views.full_view()]))
    thread = threading.Thread(target=endpoint.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    rules = monitoring_folder / "tenfold-rules.yaml"
    try:
        with _running(prometheus, tmp_path, target=endpoint.server_port, rules=rules) as base:
            expected = {"TenfoldHarm", "TenfoldQuarantineHigh", "TenfoldFilesQuarantined"}
            firing: set[str] = set()
            for _ in range(MAX_SCRAPES):
                # a scrape is the event that moves things on; each group of rules follows at a
                # moment of its own within a second
                assert endpoint.scrapes.acquire(timeout=DEADLINE_S), (tmp_path / "log").read_text()
                alerts = _ask(base, "/api/v1/alerts")["alerts"]
                firing = {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}
                if expected <= firing:
                    break
            assert expected <= firing
            assert "TenfoldFeatureDrift" not in firing
            query = "sum(tenfold_snapshot_quarantined_by_cause)"
            (whole,) = _ask(base, "/api/v1/query", query=query)["result"]
            assert whole["value"][1] == "80"
            found = _ask(base, "/api/v1/query", query="tenfold_labels_total")["result"]
            assert [series["value"][1] for series in found] == ["400"]
            health = {
                rule["health"]
                for group in _ask(base, "/api/v1/rules")["groups"]
                for rule in group["rules"]
            }
            assert health <= {"ok", "unknown"}
            for panel in PANELS:
                for expr in panel.queries:
                    _ask(base, "/api/v1/query", query=expr.replace("$project", ".+"))
    finally:
        endpoint.shutdown()
        endpoint.server_close()
        thread.join(timeout=10)
