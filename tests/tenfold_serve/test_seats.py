"""From the plan's seat to the replica: arguments, options of Ray, and the device of each model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.artifact import read_artifact
from tenfold.cluster import Accelerator, Inventory, Node
from tenfold.cluster.inventory import GIB
from tenfold.cluster.seats import Seat
from tenfold.errors import ProjectError, UserError
from tenfold.inference.engines import HOST, Target
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold_serve.aggregator import Aggregator
from tenfold_serve.app import build
from tenfold_serve.arms import ArmBoard
from tenfold_serve.lineups import application
from tenfold_serve.seating import refusal, seats_for
from tenfold_serve.seats import seat_args, seat_from, target_of
from tenfold_serve.supervisor import Supervisor
from tests.onnxruntimes import BOTH, stand_in, without_cuda
from tests.tenfold_serve.support import PROJECT, Publish, board_with, config_of, probe_once
from tests.tenfold_serve.test_supervisor import Host

ON_GPU = Seat("cuda", "gpu", gpus=0.25, gpu_type="T4", model_bytes=10**9, reason="as asked")
BOX = Inventory((Node("box", 16, 64 * GIB, (Accelerator("T4", 16 * GIB),)),))
BARE = Inventory((Node("bare", 16, 64 * GIB),))


def asking(device: str) -> Project:
    return Project.from_dict(PROJECT | {"serve": {"device": device}})


def test_a_seat_on_a_gpu_is_asked_of_ray_and_told_to_the_replica(project: Project) -> None:
    from ray.serve.schema import ServeDeploySchema

    made = application(project, {"generation": 1, "arms": []}, ON_GPU)
    assert made["args"]["gpu"] == {"asked": "gpu", "model_bytes": 10**9}
    (deployment,) = made["deployments"]
    assert deployment["ray_actor_options"] == {
        "num_cpus": 0,
        "num_gpus": 0.25,
        "accelerator_type": "T4",
    }
    read = ServeDeploySchema.model_validate({"applications": [made]}).applications[0]
    options = read.deployments[0].ray_actor_options
    assert (options.num_gpus, options.accelerator_type) == (0.25, "T4")


def test_a_seat_on_cpu_changes_nothing(project: Project) -> None:
    assert application(project, {}, Seat()) == application(project, {})
    assert "gpu" not in application(project, {})["args"]


def test_a_replica_reads_its_seat_again() -> None:
    seen = seat_from(seat_args(ON_GPU)["gpu"])
    assert (seen.device, seen.asked, seen.model_bytes) == ("cuda", "gpu", 10**9)


@pytest.mark.parametrize(
    "value",
    [{}, {"asked": "gpu"}, {"asked": "cpu", "model_bytes": 1}, {"asked": "gpu", "model_bytes": 0},
     {"asked": "gpu", "model_bytes": "1"}, "gpu", {"asked": "gpu", "model_bytes": 1, "x": 1}],
)  # fmt: skip
def test_another_form_is_refused_before_a_replica_starts(value: object) -> None:
    with pytest.raises(UserError, match=r"the argument gpu of an application is \{asked: auto or"):
        build({"project": "mixed", "gpu": value})


@pytest.mark.parametrize(
    ("family", "asked", "target"),
    [
        ("linear", "gpu", Target("cuda", 10**9, whole=True, rows=4096)),
        ("linear", "auto", HOST),
        ("boosting", "auto", HOST),
    ],
)
def test_what_a_model_is_loaded_on(
    publish: Publish, family: str, asked: str, target: Target
) -> None:
    seat = seat_from({"asked": asked, "model_bytes": 10**9})
    assert target_of(read_artifact(publish(family=family).path), seat) == target


def test_on_cpu_no_graph_is_read(publish: Publish) -> None:
    assert target_of(read_artifact(publish().path), Seat()) is HOST


def test_a_load_that_the_gpu_refuses_keeps_the_old_model_and_says_why(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = publish(0, family="linear"), publish(1, family="linear")
    board = ArmBoard(seat_from({"asked": "gpu", "model_bytes": 10**9}))
    stand_in(monkeypatch, used=BOTH)
    assert board.change(config_of(first)).reason == ""
    (old,) = board.lineup.arms
    assert old.device == "cuda"
    without_cuda(monkeypatch)
    lineup = board.change(config_of(second))
    assert lineup.arms == (old,)
    assert lineup.reason.startswith("version 2 could not be loaded: onnxruntime 0.0 must bring ")
    assert "install the extra tenfold[gpu]" in lineup.reason


def test_where_the_project_leaves_it_open_trees_answer_on_the_replica_s_cpu(
    publish: Publish,
) -> None:
    board = ArmBoard(seat_from({"asked": "auto", "model_bytes": 10**9}))
    (shown,) = board.change(config_of(publish())).to_dict()["arms"]
    assert shown["device"] == "cpu"


def test_a_gpu_that_is_lost_shows_when_it_is_asked(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(family="linear")
    board = ArmBoard(seat_from({"asked": "gpu", "model_bytes": 10**9}))
    runtime = stand_in(monkeypatch, used=BOTH)
    board.change(config_of(version))
    before = len(runtime.calls)
    board.check()
    assert runtime.calls[before:] == [1]
    runtime.lost = "CUDA failure 719: unspecified launch failure"
    with pytest.raises(RuntimeError, match="CUDA failure 719"):
        board.check()


def test_a_model_on_cpu_is_not_asked(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    version = publish()
    runtime = stand_in(monkeypatch, used=BOTH)
    board = board_with(version)
    before = list(runtime.calls)
    board.check()
    assert runtime.calls == before


def test_trees_are_refused_where_a_gpu_is_asked_for(publish: Publish) -> None:
    board = ArmBoard(seat_from({"asked": "gpu", "model_bytes": 10**9}))
    lineup = board.change(config_of(publish()))
    assert lineup.arms == ()
    assert lineup.reason == (
        "version 1 could not be loaded: serve.device: gpu needs a model with a part that runs on "
        "CUDA; boosting answers by TreeEnsembleRegressor, for which ONNX Runtime has no CUDA "
        "kernel; write 'device: auto', or name a family of networks in train.families"
    )


def test_a_refusal_is_known_before_a_replica_is_asked(publish: Publish, tmp_path: Path) -> None:
    trees, products = publish().path, publish(family="linear").path
    assert refusal(Seat(), tmp_path / "not even looked at") == ""
    assert refusal(ON_GPU, products) == ""
    assert refusal(ON_GPU, trees).startswith("serve.device: gpu needs a model with a part")
    assert "is not a folder of an artifact" in refusal(ON_GPU, tmp_path / "gone")


def test_a_promotion_of_trees_is_refused_where_replicas_must_use_their_gpu(
    settings: Settings, project: Project, project_file: Path, publish: Publish
) -> None:
    host, registry = Host(), Registry(settings)
    publish(0, family="linear", promote=True)
    supervisor = Supervisor(
        [(project, project_file)],
        settings=settings,
        host=host,
        aggregator=Aggregator(settings),
        seats={"mixed": ON_GPU},
        probe_artifact=probe_once,
    )
    supervisor.start()
    publish(1, promote=True)
    supervisor.step()
    supervisor.stop()
    assert host.arms() == [("champion", 1, 1.0)]
    assert host.sent[0]["deployments"][0]["ray_actor_options"] == ON_GPU.ray_options()
    status = supervisor.status()["mixed"]
    assert status["replicas"] == {"device": "cuda", "why": "as asked"}
    assert status["refused"].startswith("version 2 cannot answer here: serve.device: gpu needs a ")
    (row,) = registry.state.journal.tail("mixed", 9, kind="swap_refused")
    assert row.body["reason"] == status["refused"]


def test_an_endpoint_without_gpus_needs_no_model_to_sit(settings: Settings) -> None:
    seat = seats_for([asking("auto")], settings, BARE)["mixed"]
    assert (seat.device, seat.reason[:22]) == ("cpu", "replicas answer on CPU")
    assert not settings.home.exists()


def test_a_champion_of_trees_sits_on_cpu(settings: Settings, publish: Publish) -> None:
    publish(promote=True)
    seat = seats_for([asking("auto")], settings, BOX)["mixed"]
    assert seat.device == "cpu"
    assert "no CUDA kernel" in seat.reason
    with pytest.raises(ProjectError, match="boosting answers by TreeEnsembleRegressor"):
        seats_for([asking("gpu")], settings, BOX)


def test_a_gpu_that_is_not_there_stops_the_endpoint(settings: Settings, publish: Publish) -> None:
    publish(family="linear", promote=True)
    with pytest.raises(ProjectError, match=r"serve\.device: gpu needs a GPU that runs CUDA; found"):
        seats_for([asking("gpu")], settings, BARE)


def test_without_the_extra_a_gpu_is_refused(
    settings: Settings, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(family="linear", promote=True)
    without_cuda(monkeypatch)
    with pytest.raises(UserError, match=r"install the extra tenfold\[gpu\]"):
        seats_for([asking("gpu")], settings, BOX)
