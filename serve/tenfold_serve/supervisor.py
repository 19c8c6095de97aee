"""The supervisor: follows the registry, commits the logs, weighs the evidence, acts, journals.

One thread of the keeper calls `Supervisor.step` about once a second. Every part of a step may fail
(a full disk, a killed aggregator, a broken artifact) without stopping the others: the failure is
logged, shown in the status, and tried again in the next step. An aggregator that hangs costs a step
seconds (`tenfold_serve.asking`). It keeps nothing that cannot be read
again from the registry, the journal, the logs and the aggregator, so it may be killed anywhere.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from tenfold.artifact import ProbeResult, probe
from tenfold.cluster.seats import ON_CPU_SEAT, Seat
from tenfold.errors import ClusterError
from tenfold.live import log_tables, shadow_table
from tenfold.monitor import Action, Decision, Evidence, Rules, decide
from tenfold.project import Project
from tenfold.registry import CHALLENGER, CHAMPION, Registry, Version
from tenfold.settings import Settings
from tenfold.traffic import read_canary, read_shadow
from tenfold_serve.asking import WAIT_S, Asking, NoAnswer
from tenfold_serve.committer import Committer
from tenfold_serve.compaction import Compactor
from tenfold_serve.feeder import Feeder, LogReader
from tenfold_serve.flight import flights_folder
from tenfold_serve.guarding import Guarding
from tenfold_serve.lineups import Wanted, application, arm_of, arms_of
from tenfold_serve.process import Breaths
from tenfold_serve.retraining import Retraining
from tenfold_serve.seating import refusal
from tenfold_serve.shadowing import Shadowing
from tenfold_serve.snapshots import NewestSnapshot

__all__ = ["AggregatorClient", "Host", "Supervisor"]

log = logging.getLogger("tenfold.serve")

_RETRY_S: Final = 30.0
"""A version whose probe failed is tried again after this long, or when the aliases move."""


class Host(Protocol):
    """Takes the whole declarative config (`tenfold_serve.ray_rim.ServeHost`)."""

    def apply(self, applications: Sequence[Mapping[str, Any]]) -> None:
        """Send it."""


class AggregatorClient(LogReader, Protocol):
    """The aggregator's methods, each called and waited for."""

    def watch(self, project: str, version: int) -> None:
        """Start a monitor."""

    def snapshot(self, project: str) -> dict[str, Any]:
        """What is known."""

    def arms(self, project: str) -> dict[str, Any]:
        """What was counted by arm."""

    def tell(self, project: str, facts: Mapping[str, Any]) -> None:
        """Facts for ``/metrics``."""


@dataclass
class _Watch:
    """What the supervisor remembers of one project between steps."""

    project: Project
    feeder: Feeder
    retraining: Retraining
    shadowing: Shadowing
    guarding: Guarding
    newest: NewestSnapshot
    generation: int = 0
    arms: list[dict[str, Any]] = field(default_factory=list)
    seen: object = None
    wanted: Wanted = field(default_factory=Wanted)
    refused: dict[int, str] = field(default_factory=dict)
    """Versions that may not answer, and what said so: ``probe`` or ``device``."""
    retry_s: dict[int, float] = field(default_factory=dict)
    told: tuple[str, str] = ("", "")
    alarms: set[tuple[int, str]] = field(default_factory=set)
    decisions: Counter[str] = field(default_factory=Counter)
    status: dict[str, Any] = field(default_factory=dict)
    seat: Seat = ON_CPU_SEAT


class Supervisor:
    """One owner of the Serve config.

    Args:
        projects: each with the path of its project file.
        settings: where everything lies.
        host: the running Serve.
        aggregator: the running aggregator; it may hang.
        seats: where the replicas of a project sit, by its name; on CPU by default.
        probe_artifact: tries an artifact in a child process; for tests.
        retrain_command: what a retrain runs; for tests.
        wait_s: how long an answer of the aggregator is waited for.
    """

    def __init__(
        self,
        projects: Sequence[tuple[Project, Path]],
        *,
        settings: Settings,
        host: Host,
        aggregator: AggregatorClient,
        seats: Mapping[str, Seat] | None = None,
        probe_artifact: Callable[[Path], ProbeResult] = probe,
        retrain_command: list[str] | None = None,
        wait_s: float = WAIT_S,
    ) -> None:
        self._host = host
        self._aggregator = Asking(aggregator, wait_s=wait_s)
        self._probe = probe_artifact
        self._registry = Registry(settings)
        self._journal = self._registry.state.journal
        self._unsent = False
        self._breathe = Breaths()
        self._compactor = Compactor(settings.keeper / "compaction.log")
        self._tables = [
            folder
            for project, _ in projects
            for folder in (
                *log_tables(settings.live, project.name),
                shadow_table(settings.live, project.name),
            )
        ]
        self._watches = {
            project.name: _Watch(
                project,
                Feeder(
                    project.name,
                    committer=Committer(settings.live, project.name, breathe=self._breathe),
                    reader=self._aggregator,
                ),
                Retraining(
                    project.name,
                    path=path,
                    folder=settings.keeper,
                    journal=self._journal,
                    command=retrain_command,
                ),
                Shadowing(
                    project.name,
                    live=settings.live,
                    folder=settings.keeper,
                    journal=self._journal,
                ),
                Guarding(
                    project.name,
                    registry=self._registry,
                    flights=flights_folder(settings.keeper, project.name),
                    enabled=project.serve.canary_guard,
                    shift=project.serve.canary_shift,
                ),
                NewestSnapshot(settings, project.name),
                seat=(seats or {}).get(project.name, ON_CPU_SEAT),
            )
            for project, path in projects
        }

    def start(self) -> None:
        """Close what an earlier keeper left open and send the first config.

        Raises:
            ClusterError: Serve refuses it.
        """
        for watch in self._watches.values():
            watch.retraining.resume()
            self._follow(watch)
        self._apply()

    def step(self) -> None:
        """Do what is due now; never raises for one project's trouble."""
        for watch in self._watches.values():
            self._unsent |= bool(self._guarded(watch, "aliases", self._follow))
        self._send()
        # What people ask for stands first: the guard asks the aggregator, which may hang.
        for watch in self._watches.values():
            if self._guarded(watch, "guard", self._guard):
                self._unsent |= bool(self._guarded(watch, "aliases", self._follow))
                self._send()
        for watch in self._watches.values():
            for part, work in (
                ("logs", self._feed), ("shadow", self._shadow), ("policy", self._weigh),
            ):  # fmt: skip
                self._breathe()
                self._guarded(watch, part, work)
        self._breathe()
        self._compact()

    def stop(self) -> None:
        """End a running retrain and a shadow, and commit what is there."""
        self._compactor.stop()
        for watch in self._watches.values():
            watch.retraining.stop()
            watch.shadowing.stop()
            self._guarded(watch, "logs", self._feed)

    def status(self) -> dict[str, Any]:
        """What people see, by project; JSON values."""
        return {
            name: {
                "arms": watch.arms,
                "generation": watch.generation,
                "retrain_running": watch.retraining.is_running,
                "replicas": {"device": watch.seat.device, "why": watch.seat.reason},
                **watch.status,
            }
            for name, watch in self._watches.items()
        }

    def _guarded(self, watch: _Watch, part: str, work: Callable[[_Watch], object]) -> object:
        try:
            done = work(watch)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            known = watch.status.get(f"{part}_trouble") == text
            if not known and not isinstance(error, NoAnswer):  # that is told once for all parts
                log.exception("%s: %s", watch.project.name, part)
            watch.status[f"{part}_trouble"] = text
            return None
        watch.status.pop(f"{part}_trouble", None)
        return done

    def _follow(self, watch: _Watch) -> bool:
        """Whether other models should answer than were sent to Serve last."""
        name = watch.project.name
        state = (self._registry.aliases(name), read_canary(self._registry.state, name))
        if state != watch.seen:
            watch.wanted = self._wanted(name)
            watch.retry_s.clear()  # a version that was refused gets its chance at once
            watch.seen = state
        arms = arms_of(watch.wanted)
        if arms == watch.arms and watch.generation:
            watch.status.pop("refused", None)  # of a version that is not asked for any more
            return False
        known = {arm["version"] for arm in watch.arms}
        for version in watch.wanted.versions:
            if version.version not in known and not self._admit(watch, version):
                return False
        before = [arm["version"] for arm in watch.arms]
        watch.arms = arms
        watch.generation += 1
        watch.status.pop("refused", None)
        if before:
            after = ", ".join(f"version {a['version']} {a['weight']:.0%}" for a in arms)
            self._journal.append(name, "swap", {"reason": after, "from": before, "arms": arms})
        return True

    def _wanted(self, name: str) -> Wanted:
        challenger = self._registry.resolve(name, CHALLENGER)
        canary = read_canary(self._registry.state, name)
        return Wanted(
            champion=self._registry.resolve(name, CHAMPION),
            challenger=challenger,
            canary_percent=0
            if canary is None or challenger is None
            else canary.share_of(challenger.version),
        )

    def _admit(self, watch: _Watch, version: Version) -> bool:
        """Try a model in a child process before any replica touches it."""
        number = version.version
        if time.monotonic() < watch.retry_s.get(number, 0.0):
            return False
        result = self._probe(version.path)
        reason, of = f"version {number} failed its probe: {result.reason}", "probe"
        if result.ok:
            why = refusal(watch.seat, version.path)
            if not why:
                watch.refused.pop(number, None)
                return True
            reason, of = f"version {number} cannot answer here: {why}", "device"
        if watch.refused.get(number) != of:
            watch.refused[number] = of
            body = {"reason": reason, "version": number}
            self._journal.append(watch.project.name, "swap_refused", body)
        watch.retry_s[number] = time.monotonic() + _RETRY_S
        watch.status["refused"] = reason
        return False

    def _send(self) -> None:
        """Apply what was not sent yet."""
        if not self._unsent:
            return
        try:
            self._apply()
        except ClusterError:  # the Serve controller is away: sent again in the next step
            log.exception("the configuration was not sent")

    def _apply(self) -> None:
        self._unsent = True
        self._host.apply(
            [
                application(
                    watch.project,
                    {"generation": watch.generation, "arms": watch.arms},
                    watch.seat,
                )
                for watch in self._watches.values()
            ]
        )
        self._unsent = False

    def _feed(self, watch: _Watch) -> None:
        try:
            watch.feeder.step()
        finally:
            watch.status |= watch.feeder.status()

    def _compact(self) -> None:
        try:
            self._compactor.follow(self._tables)
        except OSError:  # no process, no file: the next round tries
            log.exception("files of the logs were not joined")

    def _shadow(self, watch: _Watch) -> None:
        challenger = watch.wanted.challenger
        wish = None
        if challenger is not None:
            wish = read_shadow(self._registry.state, watch.project.name)
            wish = None if wish is None else wish.of(challenger.version)
        watch.shadowing.follow(
            wish,
            challenger=None if challenger is None else arm_of(CHALLENGER, challenger),
            champion={**watch.arms[0], "weight": 1.0} if watch.arms else None,
        )
        watch.status["shadow"] = watch.shadowing.status()

    def _guard(self, watch: _Watch) -> bool:
        """Whether a canary was taken back just now."""
        withdrawn = False
        if len(watch.arms) < 2:
            watch.guarding.idle()
        else:
            counted = self._aggregator.arms(watch.project.name)
            withdrawn = watch.guarding.follow(watch.arms, counted, now_s=time.time())
        watch.status["guard"] = watch.guarding.status()
        return withdrawn

    def _weigh(self, watch: _Watch) -> None:
        name = watch.project.name
        ended = watch.retraining.poll()
        if ended is not None:
            watch.told = ("", "")
        if not watch.arms:
            return
        version = int(watch.arms[0]["version"])
        self._aggregator.watch(name, version)
        snapshot = self._aggregator.snapshot(name)
        model = snapshot["models"][str(version)]
        self._note_alarms(watch, version, model)
        evidence = _evidence(model, watch.retraining)
        retrain = watch.project.retrain
        rules = Rules(
            enabled=retrain.enabled, min_labels=retrain.min_labels, cooldown_s=retrain.cooldown_s
        )
        decision = decide(evidence, rules)
        self._act(watch, decision, evidence, version)
        watch.status |= {
            "decision": decision.to_dict(),
            "monitor": snapshot,
            "updated_s": time.time(),
        }
        self._aggregator.tell(
            name,
            {
                "arms": watch.arms,
                "decisions": dict(watch.decisions),
                "retrains": watch.retraining.counts(),
                "retrain_running": watch.retraining.is_running,
                "prepared": watch.newest.facts(),
                "quarantined": watch.newest.causes(),
                "shadow": watch.status.get("shadow") or {},
                "guard": watch.guarding.status(),
                "refused": {
                    str(one.version): watch.refused[one.version]
                    for one in watch.wanted.versions
                    if one.version in watch.refused
                },
            },
        )

    def _note_alarms(self, watch: _Watch, version: int, model: Mapping[str, Any]) -> None:
        """A journal row for every channel that alarms for the first time."""
        for channel, state in model["channels"].items():
            if state["active"] and (version, channel) not in watch.alarms:
                watch.alarms.add((version, channel))
                named = ", ".join(state["named"][:5])
                body = {
                    "reason": f"{channel} evidence of version {version} at its level: {named}",
                    "version": version,
                    "channel": channel,
                    **{key: state[key] for key in ("evidence", "level", "named", "change_s")},
                }
                self._journal.append(watch.project.name, "alarm", body)

    def _act(self, watch: _Watch, decision: Decision, evidence: Evidence, version: int) -> None:
        # Waiting without evidence is not news, and numbers that grow in a reason are not either.
        told = (decision.action.value, _without_digits(decision.reason))
        quiet = decision.action is Action.WAIT and not (evidence.harm or evidence.drift)
        if told != watch.told:
            watch.told = told
            watch.decisions[decision.action.value] += 1
            if not quiet:
                body = {
                    **decision.to_dict(),
                    "evidence": evidence.to_dict(),
                    "champion": version,
                }
                self._journal.append(watch.project.name, "decision", body)
        if decision.action is Action.RETRAIN:
            watch.retraining.start(decision.reason)


def _evidence(model: Mapping[str, Any], retraining: Retraining) -> Evidence:
    channels = model["channels"]

    def named(*names: str) -> tuple[str, ...]:
        return tuple(
            stream
            for name in names
            if channels[name]["active"]
            for stream in channels[name]["named"]
        )

    return Evidence(
        now_s=time.time(),
        broken=named("quality"),
        harm=bool(channels["harm"]["active"]),
        drift=named("feature", "prediction"),
        n_labels=int(model["labels_since_change"]),
        retrain_running=retraining.is_running,
        retrains=retraining.starts_s(),
    )


def _without_digits(text: str) -> str:
    return "".join(letter for letter in text if not letter.isdigit())
