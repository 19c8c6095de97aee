from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import event

from tenfold.errors import ClusterError
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.traffic import Canary, Shadow, write_canary, write_shadow
from tenfold_serve.aggregator import Aggregator
from tenfold_serve.prediction_log import write_segment
from tenfold_serve.spool import frame, segment_name, spool_folder
from tenfold_serve.supervisor import Supervisor
from tests.tenfold_serve.support import Publish, probe_once, segment_tables
from tests.tenfold_serve.test_recorder import entry
from tests.tenfold_serve.test_supervisor_killed import harm


class Host:
    """Serve, as far as the supervisor sees it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.away = False

    def apply(self, applications: Sequence[Mapping[str, Any]]) -> None:
        if self.away:
            raise ClusterError("Ray Serve refused the configuration: away")
        (application,) = applications
        self.sent.append(dict(application))

    def arms(self) -> list[tuple[str, int, float]]:
        config = self.sent[-1]["deployments"][0]["user_config"]
        return [(arm["arm"], arm["version"], arm["weight"]) for arm in config["arms"]]


class Scene:
    def __init__(self, settings: Settings, project: Project, path: Path, command: str) -> None:
        self.settings = settings
        self.host = Host()
        self.aggregator = Aggregator(settings)
        self.registry = Registry(settings)
        self.journal = self.registry.state.journal
        # One retrain a scene: a second would start as soon as the first took as long as this.
        patient = project.model_copy(
            update={"retrain": project.retrain.model_copy(update={"cooldown": 3600.0})}
        )
        self.supervisor = Supervisor(
            [(patient, path)],
            settings=settings,
            host=self.host,
            aggregator=self.aggregator,
            retrain_command=[sys.executable, "-c", command],
            probe_artifact=probe_once,
        )

    def kinds(self) -> list[str]:
        return [row.kind for row in self.journal.tail("mixed", 100)]

    def spool(self, publish: Publish, *, label: str, n_rows: int = 1000, app: str = "a.1") -> None:
        folder = spool_folder(self.settings.live, "mixed")
        one = entry(publish, n_rows)
        one = one._replace(values=["yes"] * n_rows)
        write_segment(
            folder / segment_name("predictions", app, 1), segment_tables([one], replica="r")
        )
        moment = "2023-11-14T22:14:00+00:00"
        record = {"label": label, "observed_at": moment, "received_at": moment, "source": "t"}
        frames = b"".join(frame(orjson.dumps({"id": one_id, **record})) for one_id in one.ids)
        (folder / segment_name("labels", app, 1)).write_bytes(frames)


DONE = 'print(\'{"version": 2, "alias": "champion", "reason": "it helped"}\')'


MakeScene = Callable[[str], Scene]


@pytest.fixture
def make_scene(settings: Settings, project: Project, project_file: Path) -> Iterator[MakeScene]:
    """Scenes whose retrain runs a program; what still runs at the end of the test is stopped."""
    made: list[Scene] = []

    def make(command: str) -> Scene:
        made.append(Scene(settings, project, project_file, command))
        return made[-1]

    yield make
    for scene in made:
        scene.supervisor.stop()


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    return make_scene(DONE)


def test_the_whole_config_follows_the_aliases(scene: Scene, publish: Publish) -> None:
    scene.supervisor.start()
    assert scene.host.arms() == []
    publish(0, promote=True)
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 1, 1.0)]
    publish(1)
    scene.registry.set_alias("mixed", "challenger", 2)
    scene.supervisor.step()
    assert len(scene.host.sent) == 2
    write_canary(scene.registry.state, "mixed", Canary(2, 25))
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 1, 0.75), ("challenger", 2, 0.25)]
    publish(2)
    scene.registry.set_alias("mixed", "challenger", 3)  # whose share was never given
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 1, 1.0)]
    scene.registry.set_alias("mixed", "challenger", 2)
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 1, 0.75), ("challenger", 2, 0.25)]
    scene.registry.promote("mixed", 2, expected=1)
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 2, 1.0)]
    assert scene.kinds().count("swap") == 4
    configs = [sent["deployments"][0].pop("user_config") for sent in scene.host.sent]
    assert [config["generation"] for config in configs] == [1, 2, 3, 4, 5, 6]
    assert all(sent == scene.host.sent[0] for sent in scene.host.sent)


def test_a_config_that_could_not_be_sent_is_sent_again(scene: Scene, publish: Publish) -> None:
    publish(0, promote=True)
    scene.supervisor.start()
    publish(1, promote=True)
    scene.host.away = True
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 1, 1.0)]
    scene.host.away = False
    scene.supervisor.step()
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 2, 1.0)]
    assert len(scene.host.sent) == 2


def test_a_model_that_fails_its_probe_is_never_sent(scene: Scene, publish: Publish) -> None:
    publish(0, promote=True)
    scene.supervisor.start()
    bad = publish(1, promote=True)
    (bad.path / "model.onnx").write_bytes(b"poison")
    scene.supervisor.step()
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 1, 1.0)]
    assert scene.kinds() == ["swap_refused"]
    assert "version 2 failed its probe" in scene.supervisor.status()["mixed"]["refused"]
    told = b'tenfold_version_refused{project="mixed",reason="probe",version="2"} 1.0'
    assert told in scene.aggregator.metrics()
    scene.registry.rollback("mixed")
    scene.supervisor.step()
    assert len(scene.host.sent) == 1
    assert b"tenfold_version_refused{" not in scene.aggregator.metrics()


def test_a_refusal_is_forgotten_with_the_wish(scene: Scene, publish: Publish) -> None:
    publish(0, promote=True)
    scene.supervisor.start()
    bad = publish(1, promote=True)
    good = (bad.path / "model.onnx").read_bytes()
    (bad.path / "model.onnx").write_bytes(b"poison")
    scene.supervisor.step()
    assert "refused" in scene.supervisor.status()["mixed"]
    scene.registry.rollback("mixed")
    scene.supervisor.step()
    assert "refused" not in scene.supervisor.status()["mixed"]
    # The version is mended and asked for again: it does not wait for its next turn.
    (bad.path / "model.onnx").write_bytes(good)
    scene.registry.promote("mixed", 2, expected=1)
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 2, 1.0)]
    assert "refused" not in scene.supervisor.status()["mixed"]


def test_a_quiet_step_opens_few_connections(scene: Scene, publish: Publish) -> None:
    publish(0, promote=True)
    scene.supervisor.start()
    scene.supervisor.step()
    opened: list[object] = []
    event.listen(scene.supervisor._registry.state.engine, "connect", lambda *_: opened.append(1))
    scene.supervisor.step()
    assert len(opened) == 2  # the aliases and the canary's share


def test_the_shadow_follows_the_wish_and_the_aliases(scene: Scene, publish: Publish) -> None:
    def shadow() -> dict[str, Any] | None:
        scene.supervisor.step()
        found: dict[str, Any] | None = scene.supervisor.status()["mixed"]["shadow"]
        return found

    publish(0, promote=True)
    publish(1)
    scene.supervisor.start()
    assert shadow() is None
    scene.registry.set_alias("mixed", "challenger", 2)
    write_shadow(scene.registry.state, "mixed", Shadow(2, 1))
    deadline = time.monotonic() + 300
    while (found := shadow() or {}).get("state") != "scoring":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert (found["version"], found["champion"]) == (2, 1)
    assert len(scene.host.sent) == 1  # the replicas hear nothing of it
    pid = found["pid"]
    write_canary(scene.registry.state, "mixed", Canary(2, 20))
    assert (shadow() or {})["pid"] == pid
    assert scene.host.arms() == [("champion", 1, 0.8), ("challenger", 2, 0.2)]
    assert b'tenfold_shadow_running{project="mixed",version="2"} 1.0' in scene.aggregator.metrics()
    scene.registry.promote("mixed", 2, expected=1)
    assert shadow() is None
    assert not Path(f"/proc/{pid}").exists()
    assert b'tenfold_shadow_running{project="mixed"' not in scene.aggregator.metrics()


def test_a_rolled_back_champion_is_weighed_beside_nine_newer_versions(
    scene: Scene, publish: Publish
) -> None:
    publish(0, promote=True)
    scene.supervisor.start()
    scene.supervisor.step()
    for seed in range(1, 10):
        scene.aggregator.watch("mixed", publish(seed, family="dummy").version)
    scene.supervisor.step()
    status = scene.supervisor.status()["mixed"]
    assert "policy_trouble" not in status
    assert "1" in status["monitor"]["models"]


def test_labels_that_prove_harm_start_one_retrain(scene: Scene, publish: Publish) -> None:
    publish(0, promote=True)
    scene.supervisor.start()
    scene.spool(publish, label="no")
    scene.supervisor.step()
    assert scene.kinds()[:2] == ["alarm", "decision"]
    assert "retrain_started" in scene.kinds()
    deadline = time.monotonic() + 120
    while "retrain_done" not in scene.kinds() and time.monotonic() < deadline:
        scene.supervisor.step()
        time.sleep(0.02)
    assert scene.kinds().count("retrain_started") == 1
    done = scene.journal.tail("mixed", 1, kind="retrain_done")[0]
    assert done.body == {"reason": "it helped", "version": 2, "alias": "champion"}
    decision = scene.journal.tail("mixed", 1, kind="decision")
    assert decision[0].body["evidence"]["harm"] is True
    assert scene.supervisor.status()["mixed"]["labels"] == {"accepted": 1000}


def test_right_answers_start_nothing_and_are_no_news(scene: Scene, publish: Publish) -> None:
    publish(0, promote=True)
    scene.supervisor.start()
    scene.spool(publish, label="yes")
    for _ in range(3):
        scene.supervisor.step()
    assert scene.kinds() == []
    model = scene.supervisor.status()["mixed"]["monitor"]["models"]["1"]
    assert (model["labels"], model["quality"]["accuracy"]["value"]) == (1000, 1.0)


def test_a_failed_retrain_is_journaled_and_the_cooldown_holds(
    make_scene: MakeScene, publish: Publish
) -> None:
    scene = make_scene("import sys; sys.exit('out of luck')")
    publish(0, promote=True)
    scene.supervisor.start()
    scene.spool(publish, label="no")
    deadline = time.monotonic() + 120
    while "retrain_failed" not in scene.kinds() and time.monotonic() < deadline:
        scene.supervisor.step()
        time.sleep(0.02)
    failed = scene.journal.tail("mixed", 1, kind="retrain_failed")[0]
    assert failed.body["reason"] == "the command ended with 1: out of luck"


def test_an_interrupted_retrain_is_closed_by_the_next_keeper(
    make_scene: MakeScene, publish: Publish
) -> None:
    publish(0, promote=True)
    slow = make_scene("import time; time.sleep(600)")
    slow.supervisor.start()
    slow.spool(publish, label="no")
    slow.supervisor.step()
    assert slow.supervisor.status()["mixed"]["retrain_running"]
    slow.supervisor.stop()
    assert slow.kinds()[-1] == "retrain_failed"
    slow.journal.append("mixed", "retrain_started", {"reason": "a keeper that was killed"})
    make_scene(DONE).supervisor.start()
    last = slow.journal.tail("mixed", 1)[0]
    assert (last.kind, last.body["reason"][:11]) == ("retrain_failed", "interrupted")
    make_scene(DONE).supervisor.start()
    assert slow.kinds().count("retrain_failed") == 2


def test_one_parts_trouble_does_not_stop_the_others(scene: Scene, publish: Publish) -> None:
    publish(0, promote=True)
    scene.supervisor.start()
    live = scene.settings.live / "mixed"
    scene.spool(publish, label="yes", n_rows=50)
    (live / "labels").write_text("in the way")
    scene.supervisor.step()
    status = scene.supervisor.status()["mixed"]
    assert "labels" in status["logs_trouble"]
    assert status["decision"]["action"] == "wait"
    (live / "labels").unlink()
    scene.supervisor.step()
    status = scene.supervisor.status()["mixed"]
    assert "logs_trouble" not in status
    assert status["labels"] == {"accepted": 50}
    assert scene.aggregator.snapshot("mixed")["models"]["1"]["labels"] == 50


class Hanging(Aggregator):
    """It says nothing of its counts, and knows what Serve had been told when it was asked."""

    def __init__(self, settings: Settings, host: Host) -> None:
        super().__init__(settings)
        self.host = host
        self.saw: list[list[tuple[str, int, float]]] = []

    def arms(self, project: str) -> dict[str, Any]:
        self.saw.append(self.host.arms())
        raise ClusterError("the aggregator is away: it hangs")


def test_what_people_ask_for_does_not_wait_for_the_guard(
    settings: Settings, project: Project, project_file: Path, publish: Publish
) -> None:
    publish(0, promote=True)
    publish(1)
    registry, host = Registry(settings), Host()
    registry.set_alias("mixed", "challenger", 2)
    write_canary(registry.state, "mixed", Canary(2, 30))
    aggregator = Hanging(settings, host)
    supervisor = Supervisor(
        [(project, project_file)],
        settings=settings,
        host=host,
        aggregator=aggregator,
        probe_artifact=probe_once,
    )
    supervisor.start()
    write_canary(registry.state, "mixed", Canary(2, 10))
    supervisor.step()
    assert aggregator.saw == [[("champion", 1, 0.9), ("challenger", 2, 0.1)]]
    assert "it hangs" in supervisor.status()["mixed"]["guard_trouble"]
    write_canary(registry.state, "mixed", Canary(2, 0))
    supervisor.step()
    assert host.arms() == [("champion", 1, 1.0)] and len(aggregator.saw) == 1
    supervisor.stop()


class Frozen(Aggregator):
    """It answers no more, from a moment on, until it thaws."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.go = threading.Event()
        self.go.set()

    def arms(self, project: str) -> dict[str, Any]:
        assert self.go.wait(60)
        return super().arms(project)

    def needs_rebuild(self, project: str) -> bool:
        assert self.go.wait(60)
        return super().needs_rebuild(project)

    def watch(self, project: str, version: int) -> None:
        assert self.go.wait(60)
        super().watch(project, version)


@pytest.mark.parametrize("canary", [False, True])
def test_an_aggregator_that_hangs_stops_no_round_for_long_and_is_told_once(
    settings: Settings,
    project: Project,
    project_file: Path,
    publish: Publish,
    caplog: pytest.LogCaptureFixture,
    canary: bool,
) -> None:
    publish(0, promote=True)
    publish(1)
    registry, host = Registry(settings), Host()
    registry.set_alias("mixed", "challenger", 2)
    write_canary(registry.state, "mixed", Canary(2, 30 if canary else 0))
    aggregator = Frozen(settings)
    supervisor = Supervisor(
        [(project, project_file)],
        settings=settings,
        host=host,
        aggregator=aggregator,
        wait_s=0.3,
        probe_artifact=probe_once,
    )
    supervisor.start()
    supervisor.step()
    parts = {"logs_trouble", "policy_trouble"} | ({"guard_trouble"} if canary else set())
    assert not parts & set(supervisor.status()["mixed"])
    aggregator.go.clear()
    caplog.clear()
    began = time.monotonic()
    for _ in range(30):
        supervisor.step()
    assert time.monotonic() - began < 30 * 0.3  # thirty rounds wait once
    text = "NoAnswer: the aggregator did not answer within 0.3 s"
    assert {supervisor.status()["mixed"][part] for part in parts} == {text}
    told = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert [record.getMessage()[:50] for record in told] == [
        "the aggregator did not answer within 0.3 s: what n"
    ]
    write_canary(registry.state, "mixed", Canary(2, 50))
    supervisor.step()
    assert host.arms() == [("champion", 1, 0.5), ("challenger", 2, 0.5)]
    aggregator.go.set()
    deadline = time.monotonic() + 120
    while parts & set(supervisor.status()["mixed"]) and time.monotonic() < deadline:
        supervisor.step()
    assert not parts & set(supervisor.status()["mixed"])
    supervisor.stop()


def test_a_canary_that_fails_is_taken_back_in_the_step_that_proves_it(
    scene: Scene, publish: Publish
) -> None:
    publish(0, promote=True)
    publish(1)
    scene.registry.set_alias("mixed", "challenger", 2)
    write_canary(scene.registry.state, "mixed", Canary(2, 30))
    scene.supervisor.start()
    scene.supervisor.step()
    guard = scene.supervisor.status()["mixed"]["guard"]
    assert guard["decision"]["action"] == "wait" and guard["evidence"]["requests"] == [0, 0]
    scene.aggregator.take(harm(1))
    scene.supervisor.step()
    assert scene.host.arms() == [("champion", 1, 1.0)]
    assert scene.kinds()[-2:] == ["canary_withdrawn", "swap"]
    scene.supervisor.step()
    guard = scene.supervisor.status()["mixed"]["guard"]
    assert (
        set(guard) == {"withdrawn"}
        and "requests that fail 100.00 %" in guard["withdrawn"]["reason"]
    )
    page = scene.aggregator.metrics().decode()
    arm = 'arm="challenger",project="mixed",reason="error",version="2"'
    assert f"tenfold_arm_failures_total{{{arm}}} 30.0" in page
    assert (
        'tenfold_canary_withdrawn_timestamp_seconds{project="mixed",reason="failures",version="2"}'
        in page
    )
