"""What a fit asks Ray for; that it gets it is shown in `tests/tenfold_jobs/test_on_gpus.py`."""

from __future__ import annotations

import os

import pytest

from tenfold.cluster import Placement
from tenfold.training.distributed import scaling_of
from tenfold.training.placed import call_placed


@pytest.mark.parametrize(
    ("placement", "each", "kind"),
    [
        (Placement(cpus=0.25), {"CPU": 0.25}, None),
        (Placement(cpus=4.0, gpus=1.0), {"CPU": 4.0, "GPU": 1.0}, None),
        (Placement(cpus=4.0, gpus=1.0, gpu_type="A100"), {"CPU": 4.0, "GPU": 1.0}, "A100"),
    ],
)
def test_workers_of_a_group_get_what_the_plan_names(
    placement: Placement, each: dict[str, float], kind: str | None
) -> None:
    scaling = scaling_of(3, placement)
    assert (scaling.num_workers, scaling.use_gpu) == (3, placement.gpus > 0)
    assert scaling.resources_per_worker == each
    assert scaling.accelerator_type == kind
    assert scaling.label_selector is None


def test_workers_of_a_group_go_to_the_nodes_that_are_meant() -> None:
    assert scaling_of(2, Placement(nodes={"pool": "x"})).label_selector == {"pool": "x"}


def test_what_nothing_is_asked_for_runs_here() -> None:
    """And starts no Ray: a retrain may run where there is none."""
    assert call_placed(os.getpid, placement=Placement({"boosting": "cuda"}), what="") == os.getpid()


def test_a_device_without_its_share_of_a_gpu_is_the_cpu() -> None:
    named = {"boosting": "cuda", "linear": "cpu"}
    assert Placement(named).device("boosting") == "cpu"
    assert Placement(named, "bf16").precision_of("boosting") == "fp32"
    placed = Placement(named, "bf16", gpus=0.5)
    assert [placed.device(name) for name in ("boosting", "linear", "dummy")] == [
        *("cuda", "cpu", "cpu")
    ]
    assert [placed.precision_of(name) for name in ("boosting", "linear")] == ["bf16", "fp32"]
