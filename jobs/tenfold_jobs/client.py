"""A small client of the endpoint: predictions and labels over HTTP, every failure counted."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from tenfold.errors import ClusterError, DataError

__all__ = ["EndpointClient", "Traffic"]

KEY_VARIABLE = "TENFOLD_KEY"
"""Environment variable with the key that commands use; needed where the project has keys."""

REQUEST_TIMEOUT_S = 30.0
"""Longer than any answer of a healthy endpoint by three orders of magnitude."""


@dataclass
class Traffic:
    """What went over the wire: latencies in seconds of the answered requests, and failures."""

    latencies_s: list[float] = field(default_factory=list)
    n_failed: int = 0
    first_failure: str = ""

    def quantile_ms(self, q: float) -> float:
        """A latency quantile in milliseconds; 0.0 before the first answer.

        >>> Traffic(latencies_s=[0.001, 0.002, 0.009]).quantile_ms(0.5)
        2.0
        """
        if not self.latencies_s:
            return 0.0
        ordered = sorted(self.latencies_s)
        return 1000.0 * ordered[min(int(q * len(ordered)), len(ordered) - 1)]

    def fail(self, reason: str) -> None:
        """Count one failed request; the first reason is kept."""
        self.n_failed += 1
        self.first_failure = self.first_failure or reason


class EndpointClient:
    """One project's endpoint. Not shared between threads.

    Args:
        url: base URL with the project, ``http://127.0.0.1:8000/adult``.

    Attributes:
        traffic: what this client has sent so far.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.traffic = Traffic()
        key = os.environ.get(KEY_VARIABLE)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(timeout=REQUEST_TIMEOUT_S, trust_env=False, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def predict(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """Ask for predictions; None if the request failed (it is counted)."""
        return self._post("predict", {"rows": list(rows)}, expected=200)

    def feedback(self, labels: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """Send labels; None if the request failed (it is counted)."""
        return self._post("feedback", {"labels": list(labels)}, expected=202)

    def require_feedback(self, labels: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Send labels for a user who waits for the answer.

        Raises:
            DataError: the endpoint refused them; the message is its own.
            ClusterError: the endpoint does not answer.
        """
        try:
            answer = self._http.post(f"{self.url}/feedback", json={"labels": list(labels)})
        except httpx.HTTPError as error:
            raise ClusterError(
                f"{self.url}/feedback does not answer ({error}); is it up? see `tenfold status`"
            ) from error
        if answer.status_code != 202:
            raise DataError(f"the endpoint refused the labels: {answer.status_code} {answer.text}")
        document: dict[str, Any] = answer.json()
        return document

    def get_json(self, path: str) -> dict[str, Any]:
        """A JSON page of the endpoint.

        Raises:
            ClusterError: it does not answer with 200.
        """
        try:
            answer = self._http.get(f"{self.url}/{path}")
            answer.raise_for_status()
            document: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ClusterError(f"{self.url}/{path} does not answer: {error}") from error
        return document

    def _post(self, path: str, body: dict[str, Any], *, expected: int) -> dict[str, Any] | None:
        start = time.perf_counter()
        try:
            answer = self._http.post(f"{self.url}/{path}", json=body)
        except httpx.HTTPError as error:
            self.traffic.fail(f"{path}: {type(error).__name__}: {error}")
            return None
        self.traffic.latencies_s.append(time.perf_counter() - start)
        if answer.status_code != expected:
            self.traffic.fail(f"{path}: {answer.status_code} {answer.text[:200]}")
            return None
        document: dict[str, Any] = answer.json()
        return document
