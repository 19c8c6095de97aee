"""``tenfold status``: versions, aliases, traffic, drift, live quality, the last decisions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from tenfold.canonical import read_json
from tenfold.cluster.keeper import read_keeper, running_keeper
from tenfold.cluster.sessions import SessionRecord, members
from tenfold.errors import StoreError, UserError
from tenfold.registry import CHALLENGER, CHAMPION, Registry
from tenfold.settings import Settings
from tenfold.state import tables
from tenfold.traffic import read_canary, read_shadow

__all__ = ["collect_status", "status_lines"]

N_DECISIONS = 8
"""The newest journal rows that are shown."""


def collect_status(settings: Settings, *, project: str | None) -> dict[str, Any]:
    """Everything that is known, as JSON values.

    Args:
        settings: where the registry and the keeper's record are.
        project: one project's name, or None for all that have a version.

    Returns:
        ``keeper`` (``running``, and what it wrote down) and ``projects`` by name, each with
        ``champion``, ``challenger``, ``canary_percent``, ``shadow``, ``versions``, ``decisions``,
        ``url`` and ``live`` (what the supervisor last knew; None where nothing runs).

    Raises:
        UserError: the named project has no version yet.
    """
    registry = Registry(settings)
    keeper = running_keeper(settings)
    names = [project] if project is not None else _projects(registry)
    if project is not None and not registry.versions(project):
        raise UserError(f"project {project!r} has no trained model yet; run `tenfold run` first")
    live = _live(settings) if keeper is not None else {}
    shown = ("pid", "port", "urls", "dashboard_url", "mlflow_url", "ready")
    return {
        "keeper": {"running": keeper is not None, "left_over": _left_over(settings, keeper)}
        | {name: keeper[name] for name in shown if keeper is not None and name in keeper},
        "projects": {name: _project(registry, name, keeper, live.get(name)) for name in names},
    }


def status_lines(document: dict[str, Any]) -> list[str]:
    """The same for people."""
    keeper = document["keeper"]
    words = f"running, pid {keeper['pid']}" if keeper["running"] else "down"
    if keeper["left_over"]:
        words = (
            f"killed, and {keeper['left_over']} of its processes are left; run `tenfold down`, or "
            "`tenfold up` to start again"
        )
    lines = [f"endpoint: {words}"]
    for name, facts in document["projects"].items():
        lines.append(
            f"{name}: champion {facts['champion'] or 'none'}, "
            f"challenger {facts['challenger'] or 'none'}, "
            f"canary {facts['canary_percent']} %, shadow {'on' if facts['shadow'] else 'off'}, "
            f"{len(facts['versions'])} versions"
        )
        if facts["url"]:
            lines.append(f"  url: {facts['url']}")
        lines += [f"  {line}" for line in _live_lines(facts["live"])]
        lines += [
            f"  {row['at'][:19]} {row['kind']}: {row['reason']}".rstrip(": ")
            for row in facts["decisions"]
        ]
    if not document["projects"]:
        lines.append("no project has a trained model yet; run `tenfold run PROJECT`")
    return lines


def _left_over(settings: Settings, keeper: dict[str, Any] | None) -> int:
    """Processes that a killed keeper left behind."""
    record = read_keeper(settings)
    if keeper is not None or record is None:
        return 0
    return len(members(SessionRecord.from_dict(record)))


def _projects(registry: Registry) -> list[str]:
    query = select(tables.versions.c.project).distinct().order_by(tables.versions.c.project)
    with registry.state.engine.connect() as connection:
        return [str(name) for name in connection.execute(query).scalars()]


def _project(
    registry: Registry, name: str, keeper: dict[str, Any] | None, live: dict[str, Any] | None
) -> dict[str, Any]:
    aliases = registry.aliases(name)
    canary = read_canary(registry.state, name)
    shadow = read_shadow(registry.state, name)
    return {
        "champion": aliases[CHAMPION],
        "challenger": aliases[CHALLENGER],
        "canary_percent": 0 if canary is None else canary.share_of(aliases[CHALLENGER]),
        "shadow": shadow is not None and shadow.of(aliases[CHALLENGER]) is not None,
        "versions": [
            {"version": v.version, "digest": v.model_digest, "created": v.created}
            for v in registry.versions(name)
        ],
        "decisions": [
            {"at": e.at, "kind": e.kind, "reason": e.body.get("reason", "")}
            for e in registry.state.journal.tail(name, N_DECISIONS)
        ],
        "url": None if keeper is None else keeper["urls"].get(name),
        "live": live,
    }


def _live(settings: Settings) -> dict[str, Any]:
    path = settings.keeper / "status.json"
    try:
        document: dict[str, Any] = read_json(path) if path.exists() else {}
    except StoreError:  # it is being replaced, or the disk is full: the rest is still worth showing
        return {}
    return document


def _live_lines(live: dict[str, Any] | None) -> list[str]:
    if live is None:
        return []
    lines = [f"answers: {', '.join(_arm(arm) for arm in live.get('arms', []))}"]
    replicas = live.get("replicas") or {}
    if replicas.get("device") == "cuda":
        lines.append(replicas["why"])
    parts = (
        "aliases_trouble",
        "logs_trouble",
        "policy_trouble",
        "shadow_trouble",
        "guard_trouble",
        "refused",
    )
    # One trouble may be that of several parts: an aggregator that hangs, above all.
    troubles = dict.fromkeys(live[part] for part in parts if live.get(part))
    lines += [f"trouble: {text}" for text in troubles]
    models = live.get("monitor", {}).get("models", {})
    for version, model in models.items():
        alarms = [name for name, channel in model["channels"].items() if channel["active"]]
        lines.append(
            f"version {version}: {model['rows']} rows, {model['labels']} labels, "
            f"alarms: {', '.join(alarms) or 'none'}"
        )
        lines += [
            f"  live {name} {found['value']:.4g} [{found['lower']:.4g}, {found['upper']:.4g}]"
            for name, found in model["quality"].items()
            if None not in (found["value"], found["lower"], found["upper"])
        ]
    lines += _guard_lines(live.get("guard"))
    lines += _shadow_lines(live.get("shadow"))
    dropped = live.get("monitor", {}).get("dropped_rows", 0)
    if dropped:
        lines.append(f"trouble: {dropped} rows were answered and not logged: see the keeper's log")
    if live.get("decision"):
        lines.append(f"policy: {live['decision']['action']}: {live['decision']['reason']}")
    return lines


def _guard_lines(guard: dict[str, Any] | None) -> list[str]:
    """How a canary stands, and why the last one was taken back."""
    if not guard:
        return []
    lines = []
    evidence = guard.get("evidence")
    if evidence:
        champion, canary = evidence["requests"]
        lines.append(
            f"canary version {evidence['challenger']} beside {evidence['champion']}: "
            f"{canary} requests beside {champion}"
        )
        lines += [
            f"  {found['named'].rstrip(',')}: {found['challenger']:.2%} against "
            f"{found['champion']:.2%} "
            f"({name}: {found['evidence']:.1f} of {found['level']:.1f} nats)"
            for name, found in evidence["channels"].items()
        ]
    gone = guard.get("withdrawn")
    if gone:
        lines.append(f"canary taken back at {gone['at'][:19]}: {gone['reason']}")
    return lines


def _shadow_lines(shadow: dict[str, Any] | None) -> list[str]:
    if not shadow:
        return []
    counts = {name: shadow.get(name, 0) for name in ("rows", "dropped_rows", "refused_rows")}
    lines = [
        f"shadow version {shadow['version']} beside {shadow['champion']}: {shadow['state']}, "
        f"{counts['rows']} rows, {counts['dropped_rows']} dropped, "
        f"{counts['refused_rows']} refused, {shadow['failures']} failures"
    ]
    found = shadow.get("disagreement") or {}
    if found.get("score_gap") is not None:
        told = f"  scores differ by {found['score_gap']:.4g} on average"
        if found["changed_ratio"] is not None:
            told += f", {found['changed_ratio']:.2%} decided otherwise"
        lines.append(f"{told} (newest {found['rows']} rows)")
    times = shadow.get("row_s") or {}
    if times.get("p50") is not None:
        lines.append(
            f"  a row costs {1e6 * times['p50']:.0f} us, p99 {1e6 * times['p99']:.0f} us of CPU"
        )
    paired = shadow.get("paired")
    if paired and paired["n_rows"]:
        lines.append(
            f"  loss {paired['old']:.4g} -> {paired['new']:.4g} on {paired['n_rows']} labels, "
            f"saved {paired['old'] - paired['new']:.4g} "
            f"[{paired['lower']:.4g}, {paired['upper']:.4g}]"
        )
    if shadow.get("trouble"):
        lines.append(f"trouble: {shadow['trouble']}")
    return lines


def _arm(arm: dict[str, Any]) -> str:
    return f"{arm['arm']} version {arm['version']} ({arm['weight']:.0%})"
