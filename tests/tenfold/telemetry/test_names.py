from __future__ import annotations

import re

import pytest

from tenfold.telemetry.names import METRICS, MetricType, base_name, metric


def test_every_name_follows_prometheus_habits() -> None:
    for entry in METRICS:
        assert re.fullmatch(r"tenfold_[a-z][a-z_]*", entry.name)
        assert entry.name.endswith("_total") == (entry.type is MetricType.COUNTER)
        assert entry.help.endswith(".") and "TODO" not in entry.help
        assert entry.labels[0] == "project"
        assert entry.bounded
        assert not {"id", "value", "category"} & set(entry.labels)


def test_names_are_unique() -> None:
    assert len({entry.name for entry in METRICS}) == len(METRICS)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError):
        metric("tenfold_made_up")


def test_base_name_strips_only_what_a_histogram_adds() -> None:
    assert base_name("tenfold_request_latency_seconds_sum") == "tenfold_request_latency_seconds"
    assert base_name("tenfold_row_count") == "tenfold_row_count"
