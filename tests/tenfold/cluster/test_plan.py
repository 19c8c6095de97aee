"""Plans over simulated clusters: a table of what is expected, and the laws that always hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.cluster import Accelerator, Inventory, Node, Plan, make_plan
from tenfold.cluster.inventory import GIB
from tenfold.errors import ProjectError
from tenfold.project import Project

MIB = 1024**2
A100, A100_80, T4, P4 = (
    Accelerator("A100", 40 * GIB),
    Accelerator("A100-80G", 80 * GIB),
    Accelerator("T4", 16 * GIB),
    Accelerator("P4", 8 * GIB),
)
LAPTOP = Inventory((Node("laptop", 2, 8 * GIB),))
SINGLE = Inventory((Node("tiny", 1, 2 * GIB),))
SERVER = Inventory((Node("server", 64, 256 * GIB),))
ONE_GPU = Inventory((Node("box", 16, 64 * GIB, (A100,)),))
TWO_TYPES = Inventory((Node("box", 32, 256 * GIB, (A100,) * 4 + (T4,) * 4),))
MIXED = Inventory((Node("cpu", 64, 256 * GIB), Node("gpu", 16, 64 * GIB, (T4, T4))))
SMALL_GPU = Inventory((Node("box", 8, 64 * GIB, (P4,)),))
UNKNOWN_GPU = Inventory((Node("box", 8, 64 * GIB, (Accelerator("GPU"),)),))
FOUR_NODES = Inventory(tuple(Node(f"n{i}", 8, 32 * GIB) for i in range(4)))

SMALL = {"n_rows": 30_000, "n_columns": 15, "size_bytes": 4 * MIB}
MEDIUM = {"n_rows": 1_000_000, "n_columns": 20, "size_bytes": 200 * MIB}
LARGE = {"n_rows": 20_000_000, "n_columns": 20, "size_bytes": 10 * GIB}


def project(**sections: Any) -> Project:
    return Project.from_dict(
        {
            "problem": {"task": "binary", "target": "y"},
            "data": {"sources": [{"path": "a.csv"}]},
            **sections,
        }
    )


def plan(
    inventory: Inventory, size: dict[str, int], *, local_bytes: int = 256 * MIB, **sections: Any
) -> Plan:
    return make_plan(project(**sections), inventory, local_bytes=local_bytes, **size)


@pytest.mark.parametrize(
    ("inventory", "size", "expected"),
    [
        pytest.param(
            LAPTOP,
            SMALL,
            {
                "mode": "in-process",
                "n_workers": 1,
                "threads_per_trial": 1,
                "trials_at_once": 2,
                "retrain_trials_at_once": 1,
                "device": "cpu",
                "replicas": 1,
                "replica_cpus": 0.25,
            },
            id="a laptop of two cores",
        ),
        pytest.param(
            SINGLE,
            SMALL,
            {"threads_per_trial": 1, "trials_at_once": 1, "trial_cpus": 0.5, "replicas": 1},
            id="one core",
        ),
        pytest.param(
            SERVER,
            SMALL,
            {"threads_per_trial": 4, "trials_at_once": 16, "replica_cpus": 1.0, "device": "cpu"},
            id="64 cores",
        ),
        pytest.param(
            SERVER,
            LARGE,
            {"mode": "ray-data", "n_workers": 4, "worker_cpus": 15.0, "device": "cpu"},
            id="64 cores, a large table",
        ),
        pytest.param(
            ONE_GPU,
            SMALL,
            {"device": "cpu", "use_gpu": False, "accelerator": None},
            id="one GPU, a table too small for it",
        ),
        pytest.param(
            ONE_GPU,
            MEDIUM,
            {
                "device": "cuda",
                "use_gpu": True,
                "accelerator": "A100",
                "trials_at_once": 1,
                "threads_per_trial": 4,
            },
            id="one GPU",
        ),
        pytest.param(
            TWO_TYPES,
            MEDIUM,
            {"accelerator": "A100", "trials_at_once": 4, "threads_per_trial": 4},
            id="eight GPUs of two types",
        ),
        pytest.param(
            TWO_TYPES,
            LARGE,
            {"accelerator": "A100", "n_workers": 4, "worker_cpus": 7.0},
            id="eight GPUs of two types, a large table",
        ),
        pytest.param(
            MIXED,
            MEDIUM,
            {"accelerator": "T4", "trials_at_once": 2, "threads_per_trial": 4},
            id="GPU nodes beside CPU nodes",
        ),
        pytest.param(
            MIXED,
            MEDIUM | {"size_bytes": GIB},
            {"mode": "ray-data", "n_workers": 2, "worker_cpus": 8.0},
            id="GPU nodes beside CPU nodes, distributed",
        ),
        pytest.param(
            SMALL_GPU,
            LARGE,
            {"device": "cpu", "use_gpu": False},
            id="a GPU too small",
        ),
        pytest.param(
            UNKNOWN_GPU,
            MEDIUM,
            {"device": "cuda", "use_gpu": True, "accelerator": None},
            id="a GPU of unknown type",
        ),
        pytest.param(
            FOUR_NODES,
            LARGE,
            {"mode": "ray-data", "n_workers": 4, "worker_cpus": 5.0},
            id="four nodes, one of which also feeds and serves",
        ),
        pytest.param(
            LAPTOP,
            SMALL | {"size_bytes": 300 * MIB},
            {"mode": "ray-data", "n_workers": 2, "worker_cpus": 0.25},
            id="a laptop and a table over the limit",
        ),
    ],
)
def test_plans(inventory: Inventory, size: dict[str, int], expected: dict[str, Any]) -> None:
    made = plan(inventory, size).to_dict()
    assert {key: made[key] for key in expected} == expected


def test_no_local_limit_sends_everything_through_ray_data_with_two_workers() -> None:
    made = plan(LAPTOP, SMALL, local_bytes=0)
    assert (made.mode, made.n_workers) == ("ray-data", 2)


def test_the_reasons_of_a_laptop() -> None:
    assert plan(LAPTOP, SMALL).reasons == (
        "one process prepares the table: 4 MiB is within the local limit of 256 MiB, "
        "and starting Ray Data would cost seconds",
        "trials train on CPU: there is no GPU",
        "2 trials at once with 1 thread each on 2 cores",
        "no training group: the table fits one process",
        "1 x 0.25 CPU answer requests with one thread each, so that a retrain fits beside them",
    )


@pytest.mark.parametrize(
    ("inventory", "size", "words"),
    [
        (
            TWO_TYPES,
            MEDIUM,
            "training uses the 4 x A100: about 1.9 GiB fit; T4 stay free, since one type keeps "
            "times comparable",
        ),
        (
            MIXED,
            MEDIUM,
            "training uses the 2 x T4: about 1.9 GiB fit; nodes without a GPU prepare data "
            "and serve",
        ),
        (
            SMALL_GPU,
            LARGE,
            "trials train on CPU: training needs about 18.9 GiB and no GPU here has that (P4)",
        ),
        (
            ONE_GPU,
            SMALL,
            "trials train on CPU: 450,000 cells are fewer than the 2,000,000 from which a GPU pays",
        ),
        (
            Inventory((Node("n", 64, 8 * GIB),)),
            SMALL,
            "6 trials at once with 4 threads each on 64 cores; memory bounds them, each needs "
            "about 721 MiB",
        ),
    ],
)
def test_reasons(inventory: Inventory, size: dict[str, int], words: str) -> None:
    assert words in plan(inventory, size).reasons


def test_families_that_no_gpu_helps() -> None:
    made = plan(ONE_GPU, MEDIUM, train={"families": ["linear"]})
    assert made.device == "cpu"
    assert "trials train on CPU: no GPU helps linear" in made.reasons


def test_the_project_s_device_is_obeyed() -> None:
    assert plan(ONE_GPU, MEDIUM, train={"device": "cpu"}).device == "cpu"
    assert plan(ONE_GPU, SMALL, train={"device": "gpu"}).device == "cuda"


@pytest.mark.parametrize(
    ("inventory", "size", "train", "message"),
    [
        (
            LAPTOP,
            SMALL,
            {"device": "gpu"},
            "train.device: must be auto or cpu here, because this cluster has no GPU; found 'gpu'; "
            "add a GPU node or write 'device: auto'",
        ),
        (
            SMALL_GPU,
            LARGE,
            {"device": "gpu"},
            "train.device: must be auto or cpu here: training needs about 18.9 GiB and no GPU here "
            "has that (P4); found 'gpu'",
        ),
        (
            LAPTOP,
            SMALL,
            {"workers": 3},
            "train.workers: must be at most the 2 cores of this cluster; found 3; "
            "lower it or remove it, and the plan chooses",
        ),
    ],
)
def test_what_a_cluster_cannot_give(
    inventory: Inventory, size: dict[str, int], train: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        plan(inventory, size, train=train)
    assert str(caught.value) == message


def test_the_project_s_workers_are_obeyed() -> None:
    made = plan(LAPTOP, SMALL, train={"workers": 2})
    assert (made.mode, made.n_workers) == ("in-process", 2)
    assert "2 training workers, as the project says" in made.reasons


def test_more_replicas_than_fit_are_told() -> None:
    made = plan(LAPTOP, SMALL, serve={"replicas": 50})
    assert made.replicas == 6
    assert made.reasons[-1] == (
        "6 x 0.25 CPU answer requests with one thread each; 50 were asked for, "
        "more than 2 cores hold beside training"
    )


GPUS = st.lists(st.sampled_from([A100, A100_80, T4, P4, Accelerator("GPU")]), max_size=8)
NODES = st.lists(
    st.builds(
        Node,
        name=st.just("n"),
        cpus=st.integers(1, 128),
        memory_bytes=st.integers(GIB, 512 * GIB),
        accelerators=GPUS.map(tuple),
    ),
    min_size=1,
    max_size=6,
)
SIZES = st.fixed_dictionaries(
    {
        "n_rows": st.integers(0, 10**9),
        "n_columns": st.integers(0, 500),
        "size_bytes": st.integers(0, 10**12),
        "local_bytes": st.sampled_from([0, 256 * MIB]),
    }
)


@given(NODES, SIZES, st.integers(1, 64))
def test_every_plan_fits_its_cluster(
    nodes: list[Node], size: dict[str, int], replicas: int
) -> None:
    inventory = Inventory(tuple(nodes))
    made = make_plan(project(serve={"replicas": replicas}), inventory, **size)
    retrain = made.retrain_trials_at_once * made.trial_cpus
    assert made.serving_cpus + retrain <= inventory.cpus + 1e-9
    assert made.trials_at_once >= made.retrain_trials_at_once >= 1
    assert min(made.n_workers, made.replicas, made.threads_per_trial) >= 1
    assert made.worker_cpus > 0
    assert made.use_gpu == (made.device == "cuda")
    assert len(made.reasons) == 5
    if made.use_gpu:
        of_type = [gpu for node in nodes for gpu in node.accelerators]
        kind = made.accelerator or "GPU"
        assert max(made.trials_at_once, made.n_workers) <= sum(g.kind == kind for g in of_type)


@given(NODES, SIZES)
def test_a_training_group_leaves_a_cpu_to_ray_data(nodes: list[Node], size: dict[str, int]) -> None:
    inventory = Inventory(tuple(nodes))
    made = make_plan(project(), inventory, **size)
    group = made.n_workers * made.worker_cpus
    if inventory.cpus >= 2:
        assert made.serving_cpus + 1 + group <= inventory.cpus + 1e-9
    else:
        assert group <= inventory.cpus / 2


@given(NODES, SIZES)
def test_equal_arguments_give_equal_plans(nodes: list[Node], size: dict[str, int]) -> None:
    inventory = Inventory(tuple(nodes))
    assert make_plan(project(), inventory, **size) == make_plan(project(), inventory, **size)


@given(NODES, SIZES)
def test_every_worker_has_a_place(nodes: list[Node], size: dict[str, int]) -> None:
    made = make_plan(project(), Inventory(tuple(nodes)), **size)
    kind = made.accelerator or "GPU"
    slots = 0
    for node in nodes:
        by_cpu = int(node.cpus / made.worker_cpus)
        by_gpu = sum(gpu.kind == kind for gpu in node.accelerators)
        slots += min(by_cpu, by_gpu) if made.use_gpu else by_cpu
    assert slots >= made.n_workers
