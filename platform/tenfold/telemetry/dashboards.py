"""The Grafana board, made from the table of names.

grafana-foundation-sdk is a development dependency: the board's JSON is committed, and an endpoint
needs only that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["PANELS", "PanelSpec", "dashboard_json"]

_SELECT = 'project=~"$project"'


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """One panel.

    Attributes:
        row: heading that it stands under.
        title: what it shows.
        queries: PromQL → legend.
        unit: Grafana's unit.
        kind: ``timeseries``, ``stat`` or ``table``.
        description: how to read it.
    """

    row: str
    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    description: str = ""


def _sel(name: str, more: str = "") -> str:
    return f"{name}{{{_SELECT}{more}}}"


_LATENCY = _sel("tenfold_request_latency_seconds_bucket")

PANELS: tuple[PanelSpec, ...] = (
    PanelSpec(
        "Fleet",
        "Models that answer",
        {_sel("tenfold_model_info"): "{{project}} v{{version}} {{arm}}"},
        kind="table",
        description="One line per arm: project, version, digest.",
    ),
    PanelSpec(
        "Fleet",
        "Alarms now",
        {f"sum by (project) ({_sel('tenfold_drift_alarm')})": "{{project}}"},
        kind="stat",
        description="Channels whose evidence is at its threshold.",
    ),
    PanelSpec(
        "Fleet",
        "Traffic share",
        {_sel("tenfold_model_traffic_ratio"): "{{project}} v{{version}} {{arm}}"},
        unit="percentunit",
    ),
    PanelSpec(
        "Fleet",
        "Versions refused",
        {_sel("tenfold_version_refused"): "{{project}} v{{version}} {{reason}}"},
        kind="stat",
        description="Promoted or given a share, and not let answer: tenfold status says why.",
    ),
    PanelSpec(
        "Endpoint",
        "Requests by status",
        {
            f"sum by (project, status) (rate({_sel('tenfold_requests_total')}[1m]))": (
                "{{project}} {{status}}"
            )
        },
        unit="reqps",
    ),
    PanelSpec(
        "Endpoint",
        "Rows predicted",
        {f"rate({_sel('tenfold_predictions_total')}[1m])": "{{project}} v{{version}}"},
        unit="rowsps",
    ),
    PanelSpec(
        "Endpoint",
        "Rows refused, by reason",
        {f"rate({_sel('tenfold_prediction_errors_total')}[5m])": "{{project}} {{reason}}"},
        unit="rowsps",
    ),
    PanelSpec(
        "Endpoint",
        "Latency",
        {
            f"histogram_quantile({q}, sum by (project, le) (rate({_LATENCY}[5m])))": (
                f"{{{{project}}}} p{int(100 * q)}"
            )
            for q in (0.5, 0.95, 0.99)
        },
        unit="s",
        description="In the replica; the proxy and the network come on top.",
    ),
    PanelSpec(
        "Drift",
        "Evidence against its threshold",
        {
            f"{_sel('tenfold_drift_evidence_log')} - on (project, version, channel) "
            "tenfold_drift_alarm_threshold_log": "{{project}} v{{version}} {{channel}}"
        },
        description="Nats over the threshold. 0 and above is an alarm; its false-alarm bound "
        "holds however often you look.",
    ),
    PanelSpec(
        "Drift",
        "Estimated start of the change",
        {
            f"1000 * {_sel('tenfold_drift_change_point_timestamp_seconds')}": (
                "{{project}} v{{version}} {{channel}}"
            )
        },
        unit="dateTimeFromNow",
        kind="stat",
        description="Only while a channel alarms.",
    ),
    PanelSpec(
        "Drift",
        "Features with the strongest evidence",
        {f"topk(20, {_sel('tenfold_feature_drift_evidence_log')})": "{{feature}} v{{version}}"},
    ),
    PanelSpec(
        "Drift",
        "Largest effects (PSI)",
        {f"topk(20, {_sel('tenfold_feature_drift_psi')})": "{{feature}} v{{version}}"},
        description="How large, not how sure: bias removed, so healthy traffic is near 0.",
    ),
    PanelSpec(
        "Drift",
        "Largest effects (KS)",
        {f"topk(20, {_sel('tenfold_feature_drift_ks')})": "{{feature}} v{{version}}"},
    ),
    PanelSpec(
        "Drift",
        "Missing, unseen and out-of-range values",
        {
            f"topk(10, {_sel(f'tenfold_feature_{kind}_ratio')})": f"{{{{feature}}}} {kind}"
            for kind in ("missing", "unseen", "out_of_range")
        },
        unit="percentunit",
    ),
    PanelSpec(
        "Quality",
        "Live quality, 95 % interval",
        {
            _sel("tenfold_performance"): "{{project}} v{{version}} {{measure}}",
            _sel("tenfold_performance_lower"): "{{project}} v{{version}} {{measure}} lower",
            _sel("tenfold_performance_upper"): "{{project}} v{{version}} {{measure}} upper",
        },
        description="On the newest labelled predictions.",
    ),
    PanelSpec(
        "Quality",
        "Loss: reference and bound of harm",
        {
            _sel("tenfold_loss_reference_ratio"): "{{project}} v{{version}} reference",
            _sel("tenfold_loss_bound_ratio"): "{{project}} v{{version}} bound",
        },
        unit="percentunit",
    ),
    PanelSpec(
        "Quality",
        "Labels joined",
        {f"rate({_sel('tenfold_labels_total')}[5m])": "{{project}} v{{version}}"},
        unit="cps",
    ),
    PanelSpec(
        "Quality",
        "Labels by fate",
        {
            f"sum by (project, status) (rate({_sel('tenfold_feedback_total')}[5m]))": (
                "{{project}} {{status}}"
            )
        },
        unit="cps",
    ),
    PanelSpec(
        "Canary",
        "Requests by arm",
        {
            f"rate({_sel('tenfold_arm_requests_total')}[1m])": "{{project}} v{{version}} {{arm}}",
        },
        unit="reqps",
    ),
    PanelSpec(
        "Canary",
        "Failures by arm and reason",
        {
            f"rate({_sel('tenfold_arm_failures_total')}[1m])": (
                "{{project}} v{{version}} {{arm}} {{reason}}"
            ),
        },
        unit="reqps",
        description="The model's own: it raised, refused, answered no number or was late. What a "
        "canary fails the champion answers.",
    ),
    PanelSpec(
        "Canary",
        "Seconds of the model, 95th percentile",
        {
            "histogram_quantile(0.95, sum by (project, version, arm, le) "
            f"(rate({_sel('tenfold_arm_latency_seconds_bucket')}[5m])))": (
                "{{project}} v{{version}} {{arm}}"
            ),
        },
        unit="s",
        description="Reading and scoring, not waiting: arms of a replica wait for each other.",
    ),
    PanelSpec(
        "Canary",
        "Mean rank of the scores",
        {
            f"rate({_sel('tenfold_arm_score_rank_sum')}[5m]) "
            f"/ rate({_sel('tenfold_arm_score_rank_count')}[5m])": "{{project}} v{{version}}",
        },
        unit="percentunit",
        description="Among the model's own scores at training: one half is no shift.",
    ),
    PanelSpec(
        "Canary",
        "Evidence that it is worse, in nats",
        {
            _sel("tenfold_canary_evidence_log"): "{{project}} v{{version}} {{channel}}",
            _sel("tenfold_canary_threshold_log"): "{{project}} v{{version}} {{channel}} level",
        },
        description="At the level the canary is taken back.",
    ),
    PanelSpec(
        "Canary",
        "Taken back",
        {
            f"1000 * {_sel('tenfold_canary_withdrawn_timestamp_seconds')}": (
                "{{project}} v{{version}} {{reason}}"
            ),
        },
        unit="dateTimeFromNow",
        kind="stat",
    ),
    PanelSpec(
        "Shadow",
        "Rows in shadow",
        {
            f"rate({_sel('tenfold_shadow_rows_total')}[5m])": "{{project}} v{{version}} scored",
            f"rate({_sel('tenfold_shadow_dropped_rows_total')}[5m])": (
                "{{project}} v{{version}} dropped"
            ),
            f"rate({_sel('tenfold_shadow_refused_rows_total')}[5m])": (
                "{{project}} v{{version}} refused"
            ),
        },
        unit="rowsps",
        description="Dropped rows are those that it skipped to keep up: it looks at a sample.",
    ),
    PanelSpec(
        "Shadow",
        "Would it have answered otherwise?",
        {
            _sel("tenfold_shadow_changed_ratio"): "{{project}} v{{version}} decided otherwise",
            _sel("tenfold_shadow_score_gap"): "{{project}} v{{version}} distance of scores",
        },
        description="On the newest rows. Of numbers the distance is in the target's unit.",
    ),
    PanelSpec(
        "Shadow",
        "Loss saved, 95 % interval",
        {
            _sel("tenfold_shadow_loss_difference"): "{{project}} v{{version}}",
            _sel("tenfold_shadow_loss_difference_lower"): "{{project}} v{{version}} lower",
            _sel("tenfold_shadow_loss_difference_upper"): "{{project}} v{{version}} upper",
            _sel("tenfold_shadow_labeled_rows"): "{{project}} v{{version}} labeled rows",
        },
        description="Champion's loss less the shadow's on the same labeled rows: better where the "
        "lower end is above 0.",
    ),
    PanelSpec(
        "Shadow",
        "CPU time of one row",
        {_sel("tenfold_shadow_row_seconds"): "{{project}} v{{version}} {{quantile}}"},
        unit="s",
    ),
    PanelSpec(
        "Shadow",
        "Its process",
        {
            _sel("tenfold_shadow_running"): "{{project}} v{{version}} running",
            f"increase({_sel('tenfold_shadow_failures_total')}[1h])": (
                "{{project}} v{{version}} failures"
            ),
        },
    ),
    PanelSpec(
        "Loop",
        "Decisions",
        {f"increase({_sel('tenfold_decisions_total')}[1h])": "{{project}} {{action}}"},
    ),
    PanelSpec(
        "Loop",
        "Retrains",
        {
            f"increase({_sel('tenfold_retrain_total')}[1d])": "{{project}} {{result}}",
            _sel("tenfold_retrain_running"): "{{project}} running",
        },
    ),
    PanelSpec(
        "Data",
        "Records in quarantine, and records twice",
        {
            _sel("tenfold_snapshot_quarantine_ratio"): "{{project}} in quarantine",
            _sel("tenfold_snapshot_duplicate_ratio"): "{{project}} equal to an earlier one",
        },
        unit="percentunit",
        description="Shares of the newest snapshot's records.",
    ),
    PanelSpec(
        "Data",
        "Quarantined records by cause",
        {_sel("tenfold_snapshot_quarantined_by_cause"): "{{project}} {{cause}}"},
        description="Of the newest snapshot; a record with several causes counts under each.",
    ),
    PanelSpec(
        "Data",
        "Quarantined and repeated in the newest snapshot",
        {
            _sel("tenfold_snapshot_quarantined_records"): "{{project}} in quarantine",
            _sel("tenfold_snapshot_quarantined_files"): "{{project}} files in quarantine",
            _sel("tenfold_snapshot_duplicate_records"): "{{project}} equal to an earlier one",
        },
        kind="stat",
    ),
    PanelSpec(
        "Data",
        "Records of the newest snapshot",
        {_sel("tenfold_snapshot_records"): "{{project}}"},
        kind="stat",
    ),
    PanelSpec(
        "Data",
        "Age of the newest snapshot",
        {f"time() - {_sel('tenfold_snapshot_timestamp_seconds')}": "{{project}}"},
        unit="s",
        kind="stat",
    ),
    PanelSpec(
        "Monitor",
        "Seconds since the last update",
        {
            f"time() - {_sel('tenfold_monitor_last_update_timestamp_seconds')}": (
                "{{project}} v{{version}}"
            )
        },
        unit="s",
    ),
    PanelSpec(
        "Monitor",
        "Blocks judged",
        {f"increase({_sel('tenfold_monitor_blocks_total')}[10m])": "{{project}} v{{version}}"},
    ),
    PanelSpec(
        "Monitor",
        "Lost and repeated",
        {
            f"increase({_sel('tenfold_monitor_dropped_rows_total')}[10m])": "{{project}} rows lost",
            _sel("tenfold_monitor_missing_messages"): "{{project}} messages missing",
            f"increase({_sel('tenfold_monitor_duplicate_messages_total')}[10m])": (
                "{{project}} messages repeated"
            ),
        },
    ),
    PanelSpec(
        "Monitor",
        "Counting time",
        {
            f"rate({_sel('tenfold_monitor_overhead_seconds_total')}[5m])": (
                "{{project}} v{{version}}"
            )
        },
        unit="percentunit",
        description="Seconds of replica time per second.",
    ),
)
"""All panels, in order."""

_WIDTH, _HEIGHT = 8, 8

_ROW_IDS = 1000
"""Headings are numbered apart from panels: Grafana wants every id once."""


def dashboard_json() -> str:
    """The board as Grafana imports it, with a final newline.

    Raises:
        ModuleNotFoundError: grafana-foundation-sdk is not installed (extra ``dev``).
    """
    from grafana_foundation_sdk.builders import dashboard
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    board = (
        dashboard.Dashboard("Tenfold")
        .uid("tenfold")
        .tags(["tenfold"])
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .with_variable(
            dashboard.QueryVariable("project")
            .label("Project")
            .datasource(_source())
            .query("label_values(tenfold_model_info, project)")
            .multi(multi=True)
            .include_all(include_all=True)
            .all_value(".+")
        )
    )
    heading = ""
    for number, spec in enumerate(PANELS, start=1):
        if spec.row != heading:
            heading = spec.row
            board = board.with_row(dashboard.Row(heading).id(_ROW_IDS + number))
        board = board.with_panel(_panel(spec).id(number))
    return str(JSONEncoder(sort_keys=True, indent=2).encode(board.build())) + "\n"


def _source() -> Any:
    from grafana_foundation_sdk.models.dashboard import DataSourceRef

    return DataSourceRef(type_val="prometheus", uid="${datasource}")


def _panel(spec: PanelSpec) -> Any:
    from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries

    made = {"timeseries": timeseries, "stat": stat, "table": table}[spec.kind].Panel()
    made = made.title(spec.title).description(spec.description).unit(spec.unit)
    made = made.datasource(_source()).height(_HEIGHT).span(_WIDTH)
    for index, (expr, legend) in enumerate(spec.queries.items()):
        query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(65 + index))
        if spec.kind != "timeseries":
            query = query.instant()
        made = made.with_target(query)
    return made
