from __future__ import annotations

import json

from tenfold.telemetry.dashboards import PANELS, dashboard_json
from tenfold.telemetry.names import METRICS
from tenfold.telemetry.rules import metric_names

KNOWN = {entry.name for entry in METRICS}


def test_every_query_reads_metrics_of_the_table() -> None:
    for panel in PANELS:
        for expr in panel.queries:
            names = metric_names(expr)
            assert names and names <= KNOWN, f"{panel.title}: {expr}"


def test_every_metric_stands_on_the_board_or_in_a_difference() -> None:
    shown = set().union(*(metric_names(expr) for panel in PANELS for expr in panel.queries))
    assert KNOWN - shown == set()


def test_the_board_is_what_grafana_imports() -> None:
    board = json.loads(dashboard_json())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert board["uid"] == "tenfold" and board["schemaVersion"] >= 41
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in panels] == [spec.title for spec in PANELS]
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        refs = [target["refId"] for target in panel["targets"]]
        assert all(refs) and len(set(refs)) == len(refs)
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names == ["datasource", "project"]
