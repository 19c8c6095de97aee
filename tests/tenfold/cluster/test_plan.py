"""Plans over simulated clusters: a table of what is expected, and the laws that always hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.cluster import Accelerator, Inventory, Node, Plan, make_plan
from tenfold.cluster.inventory import GIB
from tenfold.data.drivers import choose_driver
from tenfold.errors import ProjectError
from tenfold.project import Project

MIB = 1024**2
A100 = Accelerator("A100", 40 * GIB)
T4 = Accelerator("T4", 16 * GIB)
LAPTOP = Inventory((Node("laptop", 2, 8 * GIB),))
SINGLE = Inventory((Node("tiny", 1, 2 * GIB),))
SERVER = Inventory((Node("server", 64, 256 * GIB),))
WITH_GPUS = Inventory((Node("box", 32, 256 * GIB, (A100,) * 4 + (T4,) * 4),))
FOUR_NODES = Inventory(tuple(Node(f"n{i}", 8, 32 * GIB) for i in range(4)))

SERVING_LEAST = 0.5
"""One replica of a quarter CPU, and what else Serve starts."""

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
            },
            id="a laptop of two cores",
        ),
        pytest.param(
            SINGLE,
            SMALL,
            {"threads_per_trial": 1, "trials_at_once": 1, "trial_cpus": 0.5},
            id="one core",
        ),
        pytest.param(
            SERVER,
            SMALL,
            {"threads_per_trial": 4, "trials_at_once": 16},
            id="64 cores",
        ),
        pytest.param(
            SERVER,
            LARGE,
            {"mode": "ray-data", "n_workers": 4, "worker_cpus": 15.0},
            id="64 cores, a large table",
        ),
        pytest.param(
            WITH_GPUS,
            LARGE,
            {
                "trial_devices": {"linear": "cpu", "boosting": "cpu", "network": "cuda"},
                "trials_at_once": 16,
                "trial_gpus": 0.5,
                "fit_devices": {"linear": "cpu", "boosting": "cuda", "network": "cuda"},
                "n_workers": 5,
                "worker_gpus": 1,
                "worker_cpus": 5.0,
                "batch_rows": 65_536,
            },
            id="eight GPUs of two types on one node, a large table",
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
        pytest.param(
            LAPTOP,
            LARGE,
            {"n_workers": 2, "external_memory": False, "batch_rows": 65_536},
            id="a laptop whose memory holds the bins",
        ),
        pytest.param(
            LAPTOP,
            LARGE | {"n_rows": 80_000_000},
            {"n_workers": 2, "external_memory": True},
            id="a laptop whose memory does not",
        ),
        pytest.param(
            WITH_GPUS,
            LARGE | {"n_rows": 80_000_000},
            {"worker_gpus": 1, "external_memory": False},
            id="GPUs hold their bins or are not taken",
        ),
    ],
)
def test_plans(inventory: Inventory, size: dict[str, int], expected: dict[str, Any]) -> None:
    made = plan(inventory, size).to_dict()
    assert {key: made[key] for key in expected} == expected


def test_no_local_limit_sends_everything_through_ray_data_with_two_workers() -> None:
    made = plan(LAPTOP, SMALL, local_bytes=0)
    assert (made.mode, made.n_workers) == ("ray-data", 2)


def test_a_table_of_exactly_the_limit_is_streamed_as_it_is_prepared() -> None:
    for size, mode in ((MIB - 1, "in-process"), (MIB, "ray-data")):
        made = plan(LAPTOP, SMALL | {"size_bytes": size}, local_bytes=MIB)
        assert made.mode == mode == choose_driver(size, local_bytes=MIB).name


def test_the_reasons_of_a_laptop() -> None:
    assert plan(LAPTOP, SMALL).reasons == (
        "one process prepares the table: 4 MiB is below the limit of 256 MiB, "
        "and starting Ray Data would cost seconds",
        "trials train on CPU: there is no GPU",
        "2 trials at once with 1 thread each on 2 cores",
        "of 60 s of search, sessions can put about 83% into fits, if one takes 7.7 s; their start "
        "and what the clock stops take the rest",
        "no training group: the table fits one process",
        "1 replica answers, as serve.replicas says; a search beside leaves 0.5 of 2 CPUs alone",
        "replicas answer on CPU, by ONNX where the model converts: a row takes about 11 us there, "
        "less than its way to a GPU and back, and the same bits come out on every machine",
    )


@pytest.mark.parametrize(
    ("inventory", "size", "words"),
    [
        (
            Inventory((Node("n", 64, 8 * GIB),)),
            SMALL,
            "6 trials at once with 4 threads each on 64 cores; memory bounds them, each needs "
            "about 721 MiB",
        ),
        (
            LAPTOP,
            LARGE | {"n_rows": 80_000_000},
            "boosting keeps its bins on the workers' disks: 8.3 GiB each are more than the 2.4 GiB "
            "of memory that a worker has, and a round takes about three times as long",
        ),
        (
            LAPTOP,
            SMALL | {"size_bytes": 256 * MIB},
            "Ray Data streams the table: 256 MiB is not below the limit of 256 MiB",
        ),
    ],
)
def test_reasons(inventory: Inventory, size: dict[str, int], words: str) -> None:
    assert words in plan(inventory, size).reasons


def test_the_project_s_device_is_obeyed() -> None:
    made = plan(WITH_GPUS, MEDIUM, train={"device": "cpu"})
    assert "trials train on CPU, as the project says" in made.reasons


def test_on_cpu_gpus_change_nothing_but_the_reasons() -> None:
    bare = Inventory(tuple(Node(n.name, n.cpus, n.memory_bytes) for n in WITH_GPUS.nodes))
    one, other = (
        plan(inventory, LARGE, train={"device": "cpu"}).to_dict() for inventory in (WITH_GPUS, bare)
    )
    assert one.pop("reasons") != other.pop("reasons")
    assert one == other


def test_a_large_table_is_searched_on_a_part_of_it() -> None:
    """What a trial holds bounds trials, not the whole table."""
    small_nodes = Inventory((Node("n", 32, 64 * GIB),))
    assert plan(small_nodes, LARGE).trials_at_once == 16


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"train": {"budget": "5s"}}, "5 s are less than sessions take to start and fit a "),
        ({"train": {"trials": 9}}, None),
        ({"train": {"budget": "10m"}}, "of 600 s of search, sessions can put about 98% into fits"),
    ],
)
def test_what_a_budget_is_worth_is_told(sections: dict[str, Any], words: str | None) -> None:
    told = [reason for reason in plan(LAPTOP, SMALL, **sections).reasons if "sessions" in reason]
    assert bool(told) == (words is not None)
    assert all(reason.startswith(str(words)) for reason in told)


def test_more_workers_than_cores_are_refused() -> None:
    with pytest.raises(ProjectError) as caught:
        plan(LAPTOP, SMALL, train={"workers": 3})
    assert str(caught.value) == (
        "train.workers: must be at most the 2 cores of this cluster; found 3; "
        "lower it or remove it, and the plan chooses"
    )


def test_the_project_s_workers_are_obeyed() -> None:
    made = plan(LAPTOP, SMALL, train={"workers": 2})
    assert (made.mode, made.n_workers) == ("in-process", 2)
    assert "2 training workers, as the project says" in made.reasons


def test_more_replicas_than_fit_are_told() -> None:
    assert plan(LAPTOP, SMALL, serve={"replicas": 50}).reasons[-2] == (
        "50 replicas answer, as serve.replicas says; a search beside leaves 1.75 of 2 CPUs alone, "
        "too few for so many"
    )


def test_a_plan_says_only_what_something_obeys() -> None:
    """Each field is read where a training or an endpoint is started; how many replicas there are,
    the project says alone."""
    made = plan(LAPTOP, SMALL).to_dict()
    assert set(made) == {
        "replica_device",
        "replica_gpus",
        "replica_gpu_type",
        "mode",
        "nodes",
        "trial_devices",
        "trials_at_once",
        "retrain_trials_at_once",
        "threads_per_trial",
        "trial_cpus",
        "trial_gpus",
        "trial_gpu_type",
        "fit",
        "fit_devices",
        "n_workers",
        "worker_cpus",
        "worker_gpus",
        "worker_gpu_type",
        "batch_rows",
        "external_memory",
        "precision",
        "reasons",
    }


CARDS = [
    *(A100, T4, Accelerator("GPU")),
    *(Accelerator("AMD-Instinct-MI210"), Accelerator("TPU-V4", resource="TPU")),
]
GPUS = st.lists(st.sampled_from(CARDS), max_size=8) | st.builds(
    lambda card, count: [card] * count, st.sampled_from(CARDS), st.integers(1, 8)
)
DEVICES = st.sampled_from(["auto", "cpu"])
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


def usable(nodes: list[Node], kind: str | None) -> list[Node]:
    """Nodes that a request for a GPU, of one type perhaps, may be sent to by Ray."""
    cards = {id(n): [a for a in n.accelerators if a.resource == "GPU"] for n in nodes}
    return [n for n in nodes if cards[id(n)] and kind in (None, cards[id(n)][0].kind)]


def places(nodes: list[Node], *, cpus: float, gpus: float, kind: str | None) -> int:
    """How many such requests Ray can hold at once."""
    if not gpus:
        return sum(int(node.cpus / cpus + 1e-9) for node in nodes)
    cards = "GPU"
    return sum(
        min(
            int(node.cpus / cpus + 1e-9),
            sum(a.resource == cards for a in node.accelerators) * int(1 / gpus + 1e-3),
        )
        for node in usable(nodes, kind)
    )


@given(NODES, SIZES, st.integers(1, 64), DEVICES)
def test_every_plan_fits_its_cluster(
    nodes: list[Node], size: dict[str, int], replicas: int, device: str
) -> None:
    inventory = Inventory(tuple(nodes))
    asked = project(serve={"replicas": replicas}, train={"device": device})
    made = make_plan(asked, inventory, **size)
    assert made.retrain_trials_at_once * made.trial_cpus <= inventory.cpus - SERVING_LEAST
    assert made.trials_at_once >= made.retrain_trials_at_once >= 1
    assert min(made.n_workers, made.threads_per_trial) >= 1
    assert made.worker_cpus > 0
    assert len(made.reasons) >= 6


@given(NODES, SIZES, DEVICES)
def test_never_more_is_asked_of_ray_than_there_is(
    nodes: list[Node], size: dict[str, int], device: str
) -> None:
    made = make_plan(project(train={"device": device}), Inventory(tuple(nodes)), **size)
    one = {"cpus": made.trial_cpus, "gpus": made.trial_gpus, "kind": made.trial_gpu_type}
    assert places(nodes, **one) >= made.trials_at_once
    if made.fit == "distributed":
        one = {"cpus": made.worker_cpus, "gpus": made.worker_gpus, "kind": made.worker_gpu_type}
        assert places(nodes, **one) >= made.n_workers


@given(NODES, SIZES, DEVICES)
def test_a_gpu_is_asked_for_where_one_is_used_and_runs_cuda(
    nodes: list[Node], size: dict[str, int], device: str
) -> None:
    made = make_plan(project(train={"device": device}), Inventory(tuple(nodes)), **size)
    assert ("cuda" in made.trial_devices.values()) == (made.trial_gpus > 0)
    assert ("cuda" in made.fit_devices.values()) == (made.worker_gpus > 0)
    for kind, asked in (
        (made.trial_gpu_type, made.trial_gpus),
        (made.worker_gpu_type, made.worker_gpus),
    ):
        cards = [a for node in usable(nodes, kind) for a in node.accelerators] if asked else []
        assert all(a.runs_cuda for a in cards if a.resource == "GPU")


@given(NODES, SIZES)
def test_a_training_group_leaves_a_cpu_to_ray_data(nodes: list[Node], size: dict[str, int]) -> None:
    inventory = Inventory(tuple(nodes))
    made = make_plan(project(), inventory, **size)
    group = made.n_workers * made.worker_cpus
    if inventory.cpus < 2:
        assert group <= inventory.cpus / 2
    elif made.worker_gpus:  # a node with GPUs keeps a quarter CPU for them
        assert 1 + group <= inventory.cpus + 1e-9
    else:
        assert SERVING_LEAST + 1 + group <= inventory.cpus + 1e-9


@given(NODES, SIZES)
def test_equal_arguments_give_equal_plans(nodes: list[Node], size: dict[str, int]) -> None:
    inventory = Inventory(tuple(nodes))
    assert make_plan(project(), inventory, **size) == make_plan(project(), inventory, **size)


@given(NODES, SIZES)
def test_every_worker_has_a_place(nodes: list[Node], size: dict[str, int]) -> None:
    made = make_plan(project(), Inventory(tuple(nodes)), **size)
    slots = sum(int(node.cpus / made.worker_cpus) for node in nodes)
    assert slots >= made.n_workers
