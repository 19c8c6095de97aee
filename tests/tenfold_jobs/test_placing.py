"""Where a retrain fits: what starts no Ray, and what happens where others hold the GPU."""

from __future__ import annotations

from typing import Any

import pytest

from tenfold.cluster import Placement
from tenfold.errors import ClusterError, ProjectError
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold_jobs.placing import HERE, Where, free_of, place_retrain
from tests.tenfold_jobs.probing import body

SOON_S = 0.5
ON_GPU = Placement({"boosting": "cuda"}, gpus=0.5)
SMALL = {"n_rows": 500, "n_columns": 3}
LARGE = {"n_rows": 400_000, "n_columns": 200}


def project(**train: Any) -> Project:
    return Project.from_dict(body("boosting", "network", **train))


@pytest.mark.parametrize(
    ("train", "size"),
    [
        pytest.param({"device": "cpu"}, LARGE, id="the project says so"),
        pytest.param({}, SMALL, id="too small for a GPU to pay"),
        pytest.param({}, LARGE, id="this machine has no GPU"),
    ],
)
def test_what_stays_in_this_process_needs_no_cluster(
    train: dict[str, Any], size: dict[str, int], settings: Settings
) -> None:
    """It would be refused: nothing listens at that address. Only what may pay asks the cluster."""
    cluster = {"TENFOLD_HOME": str(settings.home), "RAY_ADDRESS": "127.0.0.1:1"}
    away = Settings.from_env(cluster) if train or size is SMALL else settings
    with place_retrain(project(**train), away, **size) as where:
        assert where == HERE


def test_a_retrain_is_not_refused_for_what_replicas_lack(settings: Settings) -> None:
    asking = {**body("boosting", "network"), "serve": {"device": "gpu"}}
    with place_retrain(Project.from_dict(asking), settings, **LARGE) as where:
        assert where == HERE


def test_a_gpu_that_is_not_there_is_refused_as_in_a_training(settings: Settings) -> None:
    with (
        pytest.raises(ProjectError, match=r"train\.device: gpu needs a GPU that runs CUDA; found"),
        place_retrain(project(device="gpu"), settings, **SMALL),
    ):
        pass


@pytest.mark.usefixtures("ray_session")
def test_a_gpu_that_others_hold_is_not_waited_for() -> None:
    found = free_of(project(), Where(ON_GPU, sessions=4), patience_s=SOON_S)
    assert found == Where(
        notes=("No GPU was free within 0.5 s (0.5 of one was asked for): this was fitted on CPU.",)
    )


@pytest.mark.usefixtures("ray_session")
def test_unless_the_project_insists() -> None:
    with pytest.raises(ClusterError) as caught:
        free_of(project(device="gpu"), Where(ON_GPU), patience_s=SOON_S)
    assert str(caught.value) == (
        "a retrain must find 0.5 of a GPU free within 0.5 s, and others hold it; run it again "
        "later, or write 'device: auto'"
    )


@pytest.mark.usefixtures("ray_session")
def test_nodes_are_always_insisted_on() -> None:
    nodes = {"pool": "busy"}
    where = Where(Placement(nodes=nodes))
    with pytest.raises(ClusterError) as caught:
        free_of(project(nodes=nodes), where, patience_s=SOON_S)
    assert str(caught.value) == (
        "a retrain must find 1 of a CPU on a node with pool: busy free within 0.5 s, and others "
        "hold it; run it again later, or remove train.nodes"
    )


@pytest.mark.usefixtures("ray_session")
def test_what_is_free_is_taken_and_given_back() -> None:
    whole = Where(Placement(cpus=2.0))
    for _ in range(3):
        assert free_of(project(), whole, patience_s=30.0) == whole
