"""Plans for a part of a cluster: which nodes are meant, what is asked of them, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.cluster import Accelerator, Inventory, Node, Plan, make_plan
from tenfold.cluster.inventory import GIB, inventory_from_nodes
from tenfold.cluster.nodes import nodes_for_fits
from tenfold.errors import ProjectError
from tenfold.project import Project

MIB = 1024**2
A100, T4 = Accelerator("A100", 40 * GIB), Accelerator("T4", 16 * GIB)
SMALL = {"n_rows": 30_000, "n_columns": 15, "size_bytes": 4 * MIB}
MEDIUM = {"n_rows": 1_000_000, "n_columns": 20, "size_bytes": 200 * MIB}
LARGE = {"n_rows": 20_000_000, "n_columns": 20, "size_bytes": 10 * GIB}


def node(name: str, cpus: int, *cards: Accelerator, **labels: str) -> Node:
    return Node(name, cpus, 64 * GIB, cards, labels)


POOLS = Inventory(
    (
        node("head", 4),
        node("web-1", 8, pool="serving"),
        node("fit-1", 16, pool="fits", zone="a"),
        node("fit-2", 16, pool="fits", zone="b"),
    )
)
WITH_GPUS = Inventory(
    (
        node("cpu", 32, pool="cpu"),
        node("old", 16, T4, T4, pool="old"),
        node("new", 16, A100, A100, pool="new"),
    )
)


def project(**train: Any) -> Project:
    body = {"problem": {"task": "binary", "target": "y"}, "data": {"sources": [{"path": "a.csv"}]}}
    return Project.from_dict({**body, "train": train})


def plan(inventory: Inventory, size: dict[str, int], **train: Any) -> Plan:
    return make_plan(project(**train), inventory, local_bytes=256 * MIB, **size)


@pytest.mark.parametrize(
    ("inventory", "size", "nodes", "expected"),
    [
        pytest.param(
            POOLS,
            SMALL,
            {"pool": "fits"},
            {"trials_at_once": 16, "retrain_trials_at_once": 16, "threads_per_trial": 2},
            id="two of four nodes; replicas find room on the others",
        ),
        pytest.param(
            POOLS,
            SMALL,
            {"pool": "fits", "zone": "a"},
            {"trials_at_once": 16, "threads_per_trial": 1},
            id="one of them",
        ),
        pytest.param(
            POOLS,
            LARGE,
            {"pool": "fits"},
            {"fit": "distributed", "n_workers": 2, "worker_cpus": 16.0},
            id="workers take whole nodes: Ray Data feeds them from the others",
        ),
        pytest.param(
            POOLS,
            LARGE,
            {"pool": "in(fits,serving)"},
            {"fit": "distributed", "n_workers": 3, "worker_cpus": 8.0},
            id="one of several pools",
        ),
        pytest.param(
            POOLS,
            SMALL,
            {"pool": "!in(fits,serving)"},
            {"trials_at_once": 4, "retrain_trials_at_once": 4},
            id="none of several pools: a node without the label, too",
        ),
        pytest.param(
            WITH_GPUS,
            MEDIUM,
            {"pool": "old"},
            {"trial_gpus": 0.25, "trial_gpu_type": None, "trials_at_once": 8},
            id="of GPUs of two types only those of the nodes meant; no type need be named",
        ),
        pytest.param(
            WITH_GPUS,
            MEDIUM,
            {"pool": "cpu"},
            {"trial_gpus": 0.0, "trials_at_once": 16},
            id="nodes without the GPUs of others",
        ),
    ],
)
def test_plans(
    inventory: Inventory, size: dict[str, int], nodes: dict[str, str], expected: dict[str, Any]
) -> None:
    made = plan(inventory, size, nodes=nodes).to_dict()
    assert {key: made[key] for key in expected} == expected
    assert made["nodes"] == nodes


def test_placements_say_which_nodes() -> None:
    made = plan(POOLS, LARGE, nodes={"pool": "fits"})
    assert made.placement.nodes == made.last_placement.nodes == {"pool": "fits"}
    assert made.placement.is_asked_for
    assert not plan(POOLS, SMALL).placement.is_asked_for


@pytest.mark.parametrize(
    ("inventory", "nodes", "reason"),
    [
        (
            POOLS,
            {"pool": "fits"},
            "fits run on 2 of 4 nodes (fit-1, fit-2), as train.nodes says (pool: fits)",
        ),
        (
            Inventory(tuple(node(f"n{i}", 1, zone="a") for i in range(7))),
            {"zone": "a", "pool": "!x"},
            "fits run on 7 of 7 nodes (n0, n1, n2, n3, n4 and 2 more), as train.nodes says (pool: "
            "!x, zone: a)",
        ),
    ],
)
def test_the_plan_says_which(inventory: Inventory, nodes: dict[str, str], reason: str) -> None:
    made = plan(inventory, SMALL, nodes=nodes)
    assert made.reasons[1] == reason
    assert not any("train.nodes" in text for text in plan(inventory, SMALL).reasons)


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        (
            {"pool": "fit"},
            "must mean a node that is up (pool: fit); found pool: fits, serving, none on 1 node",
        ),
        (
            {"pool": "fits", "zone": "c"},
            "must mean a node that is up (pool: fits, zone: c); found pool: fits, serving, none on "
            "1 node; found zone: a, b, none on 2 nodes",
        ),
        ({"tier": "x"}, "must mean a node that is up (tier: x); no label tier on 4 nodes"),
    ],
)
def test_no_such_node(nodes: dict[str, str], found: str) -> None:
    with pytest.raises(ProjectError) as caught:
        plan(POOLS, SMALL, nodes=nodes)
    assert str(caught.value) == (
        f"train.nodes: {found}; start a node with such labels (ray start --labels), or change or "
        "remove train.nodes"
    )


def test_what_other_nodes_have_does_not_count() -> None:
    with pytest.raises(ProjectError) as caught:
        plan(WITH_GPUS, MEDIUM, nodes={"pool": "cpu"}, device="gpu")
    assert str(caught.value) == (
        "train.device: gpu needs a GPU that runs CUDA on the nodes that train.nodes means; found "
        "none; start a node that has one, or write 'device: auto'"
    )
    with pytest.raises(ProjectError) as caught:
        plan(POOLS, SMALL, nodes={"zone": "a"}, workers=17)
    assert str(caught.value) == (
        "train.workers: must be at most the 16 cores of the nodes that train.nodes means; found "
        "17; lower it or remove it, and the plan chooses"
    )


def test_labels_come_from_ray() -> None:
    rows = [
        {
            "Alive": True,
            "NodeManagerAddress": "10.0.0.1",
            "Resources": {"CPU": 2.0},
            "Labels": {"pool": "fits", "ray.io/node-id": "ab12"},
        },
        {"Alive": True, "NodeManagerAddress": "10.0.0.2", "Resources": {"CPU": 2.0}},
    ]
    one, other = inventory_from_nodes(rows).nodes
    assert one.labels == {"pool": "fits", "ray.io/node-id": "ab12"}
    assert other.labels == {}
    assert hash(one) != hash(other)


LABELS = st.dictionaries(st.sampled_from(["pool", "zone"]), st.sampled_from(["a", "b"]))
CLUSTERS = st.lists(
    st.builds(
        Node,
        name=st.just("n"),
        cpus=st.integers(1, 64),
        memory_bytes=st.integers(GIB, 256 * GIB),
        accelerators=st.lists(st.just(T4), max_size=4).map(tuple),
        labels=LABELS,
    ),
    min_size=1,
    max_size=6,
).map(lambda nodes: Inventory(tuple(nodes)))
SELECTORS = st.dictionaries(
    st.sampled_from(["pool", "zone"]),
    st.sampled_from(["a", "!a", "in(a,b)", "!in(a,b)"]),
    min_size=1,
)
SIZES = st.sampled_from([SMALL, MEDIUM, LARGE])


@given(CLUSTERS, SELECTORS, SIZES)
def test_everything_asked_fits_the_nodes_that_are_meant(
    inventory: Inventory, nodes: dict[str, str], size: dict[str, int]
) -> None:
    asked = project(nodes=nodes)
    try:
        meant, _reason = nodes_for_fits(asked, inventory)
    except ProjectError:
        with pytest.raises(ProjectError):
            plan(inventory, size, nodes=nodes)
        return
    made = plan(inventory, size, nodes=nodes)
    assert set(meant.nodes) <= set(inventory.nodes)
    assert _places(meant, made.trial_cpus, made.trial_gpus) >= made.trials_at_once >= 1
    assert made.retrain_trials_at_once * made.trial_cpus <= meant.cpus
    if made.fit == "distributed":
        assert _places(meant, made.worker_cpus, made.worker_gpus) >= made.n_workers
        if inventory.cpus >= 2:  # a CPU of the cluster is left to Ray Data
            assert made.n_workers * made.worker_cpus <= inventory.cpus - 1 + 1e-9


@given(CLUSTERS, SIZES)
def test_a_selector_that_means_all_changes_nothing_but_a_reason(
    inventory: Inventory, size: dict[str, int]
) -> None:
    everywhere = plan(inventory, size, nodes={"rack": "!x"}).to_dict()
    anywhere = plan(inventory, size).to_dict()
    assert everywhere.pop("nodes") != anywhere.pop("nodes")
    reasons = everywhere.pop("reasons")
    assert [*reasons[:1], *reasons[2:]] == anywhere.pop("reasons")
    assert everywhere == anywhere


def _places(inventory: Inventory, cpus: float, gpus: float) -> int:
    return sum(
        min(
            int(each.cpus / cpus + 1e-9),
            len(each.cuda) * int(1 / gpus + 1e-3) if gpus else 10**6,
        )
        for each in inventory.nodes
    )
