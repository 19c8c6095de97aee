"""Where replicas answer, over simulated clusters, and that training always finds its GPUs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenfold.cluster import Accelerator, Inventory, Node, Plan, make_plan
from tenfold.cluster.devices import CONTEXT_BYTES, Place
from tenfold.cluster.inventory import GIB, KNOWN_MEMORY_GIB
from tenfold.cluster.plan import plan_serving
from tenfold.cluster.seats import MODELS_AT_ONCE, Need, Seat, _leaves, plan_seat, sessions_beside
from tenfold.cluster.served import CUDA_ROWS, GPU_FROM_ROW_S, Served, device_of
from tenfold.errors import ProjectError
from tenfold.project import Project

MIB = 1024**2
A100, T4, L4 = (Accelerator(k, KNOWN_MEMORY_GIB[k] * GIB) for k in ("A100", "T4", "L4"))
TINY = Accelerator("K80", 1 * GIB)
AMD = Accelerator("AMD-Instinct-MI210", 64 * GIB)

SMALL = {"n_rows": 30_000, "n_columns": 15, "size_bytes": 4 * MIB}
MEDIUM = {"n_rows": 1_000_000, "n_columns": 20, "size_bytes": 200 * MIB}
LARGE = {"n_rows": 20_000_000, "n_columns": 20, "size_bytes": 10 * GIB}

TREES = Served("onnx", "boosting", left_on_cpu=("TreeEnsembleRegressor",))
BOOSTER = Served("xgboost", "boosting")
NETWORK = Served("onnx", "network", products=12_000, weight_bytes=96_000, widest=200)
HUGE_NETWORK = Served("onnx", "network", products=12_500_000, weight_bytes=10**8, widest=2_048)
BLEND = Served("onnx", "blend", 12_500_000, 10**8, 2_048, ("TreeEnsembleRegressor",))


def nodes(*each: tuple[int, tuple[Accelerator, ...]]) -> Inventory:
    return Inventory(tuple(Node(f"n{i}", cpus, 256 * GIB, a) for i, (cpus, a) in enumerate(each)))


LAPTOP = nodes((2, ()))
CORES = nodes((64, ()))
ONE_GPU = nodes((16, (T4,)))
TWO_TYPES = nodes((32, (A100,) * 4), (32, (T4,) * 4))
BESIDE = nodes((16, ()), (16, ()), (8, (L4,) * 2))
TOO_SMALL = nodes((16, (TINY,)))
NO_CUDA = nodes((16, (AMD,)))


def project(device: str = "auto", *, replicas: Any = 1, **sections: Any) -> Project:
    return Project.from_dict(
        {
            "problem": {"task": "binary", "target": "y"},
            "data": {"sources": [{"path": "a.csv"}]},
            "serve": {"device": device, "replicas": replicas},
            **sections,
        }
    )


def plan(
    inventory: Inventory, size: dict[str, int], served: Served | None, device: str, **more: Any
) -> Plan:
    return make_plan(
        project(device, **more), inventory, local_bytes=256 * MIB, served=served, **size
    )


CPU = {"replica_device": "cpu", "replica_gpus": 0.0, "replica_gpu_type": None}


def gpu(share: float, kind: str | None = None) -> dict[str, Any]:
    return {"replica_device": "cuda", "replica_gpus": share, "replica_gpu_type": kind}


@pytest.mark.parametrize(
    ("inventory", "served", "device", "expected"),
    [
        pytest.param(LAPTOP, None, "auto", CPU, id="a laptop, before there is a model"),
        pytest.param(LAPTOP, HUGE_NETWORK, "auto", CPU, id="a laptop has no GPU for a network"),
        pytest.param(CORES, HUGE_NETWORK, "auto", CPU, id="nor have 64 cores"),
        pytest.param(ONE_GPU, None, "auto", CPU, id="one GPU, nothing known"),
        pytest.param(ONE_GPU, TREES, "auto", CPU, id="trees have no kernel"),
        pytest.param(ONE_GPU, BOOSTER, "auto", CPU, id="nor has the booster's own engine"),
        pytest.param(ONE_GPU, NETWORK, "auto", CPU, id="a small network is faster on CPU"),
        pytest.param(ONE_GPU, HUGE_NETWORK, "auto", gpu(0.13), id="a large one is not"),
        pytest.param(ONE_GPU, BLEND, "auto", gpu(0.13), id="one in a blend neither"),
        pytest.param(ONE_GPU, HUGE_NETWORK, "cpu", CPU, id="the project wants none"),
        pytest.param(ONE_GPU, NETWORK, "gpu", gpu(0.08), id="the project wants one"),
        pytest.param(ONE_GPU, None, "gpu", gpu(0.13), id="before there is a model"),
        pytest.param(TWO_TYPES, HUGE_NETWORK, "auto", gpu(0.13, "T4"), id="the smaller type does"),
        pytest.param(BESIDE, HUGE_NETWORK, "auto", gpu(0.09), id="GPU nodes beside CPU nodes"),
        pytest.param(TOO_SMALL, HUGE_NETWORK, "auto", CPU, id="a GPU too small"),
        pytest.param(NO_CUDA, HUGE_NETWORK, "auto", CPU, id="a GPU without CUDA"),
    ],
)
def test_seats(
    inventory: Inventory, served: Served | None, device: str, expected: dict[str, Any]
) -> None:
    made = plan(inventory, SMALL, served, device).to_dict()
    assert {key: made[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("inventory", "served", "device", "reason"),
    [
        (CORES, HUGE_NETWORK, "cpu", "replicas answer on CPU, as the project says"),
        (
            ONE_GPU,
            None,
            "auto",
            "replicas answer on CPU, by ONNX where the model converts: a row takes about 11 us "
            "there, less than its way to a GPU and back, and the same bits come out on every "
            "machine; decided again by `tenfold up`, for the model that is there then",
        ),
        (
            ONE_GPU,
            TREES,
            "auto",
            "replicas answer on CPU: boosting answers by TreeEnsembleRegressor, for which ONNX "
            "Runtime has no CUDA kernel",
        ),
        (
            ONE_GPU,
            BOOSTER,
            "auto",
            "replicas answer on CPU: boosting answers by the engine xgboost, which computes on CPU "
            "alone",
        ),
        (
            ONE_GPU,
            NETWORK,
            "auto",
            "replicas answer on CPU: a row takes about 18 us there, a GPU is expected to pay from "
            "1 ms on",
        ),
        (
            ONE_GPU,
            HUGE_NETWORK,
            "auto",
            "the replica answers on CUDA with 0.13 of a GPU (1 x T4), 1.9 GiB for 3 models at "
            "once: a row takes about 8.3 ms on CPU, and a GPU pays from 1 ms on",
        ),
        (
            TWO_TYPES,
            BLEND,
            "gpu",
            "the replica answers on CUDA with 0.13 of a T4 (4 x A100, 4 x T4), 1.9 GiB for 3 "
            "models at once: as the project says (TreeEnsembleRegressor on CPU)",
        ),
        (
            TOO_SMALL,
            HUGE_NETWORK,
            "auto",
            "replicas answer on CPU: a row takes about 8.3 ms on CPU, and a GPU pays from 1 ms on, "
            "but about 1.8 GiB of a GPU's memory would be needed, 922 MiB can be used (1 x K80)",
        ),
        (
            NO_CUDA,
            HUGE_NETWORK,
            "auto",
            "replicas answer on CPU: a row takes about 8.3 ms on CPU, and a GPU pays from 1 ms on, "
            "but no GPU runs CUDA here (found 1 x AMD-Instinct-MI210)",
        ),
    ],
)
def test_reasons(inventory: Inventory, served: Served | None, device: str, reason: str) -> None:
    assert plan(inventory, SMALL, served, device).reasons[-1] == reason


@pytest.mark.parametrize(
    ("inventory", "served", "more", "text"),
    [
        pytest.param(
            LAPTOP,
            NETWORK,
            {},
            "serve.device: gpu needs a GPU that runs CUDA; found none; start a node that has one, "
            "or write 'device: auto'",
            id="none",
        ),
        pytest.param(
            NO_CUDA,
            NETWORK,
            {},
            "serve.device: gpu needs a GPU that runs CUDA; found 1 x AMD-Instinct-MI210; start a "
            "node that has one, or write 'device: auto'",
            id="none that runs CUDA",
        ),
        pytest.param(
            ONE_GPU,
            TREES,
            {},
            "serve.device: gpu needs a model with a part that runs on CUDA; boosting answers by "
            "TreeEnsembleRegressor, for which ONNX Runtime has no CUDA kernel; write 'device: "
            "auto', or name a family of networks in train.families",
            id="trees",
        ),
        pytest.param(
            TOO_SMALL,
            HUGE_NETWORK,
            {},
            "serve.device: gpu needs a GPU with room for each replica; about 1.8 GiB of a GPU's "
            "memory would be needed, 922 MiB can be used (1 x K80); take more or larger GPUs, "
            "lower serve.replicas, or write 'device: auto', which answers on CPU then",
            id="too small",
        ),
        pytest.param(
            ONE_GPU,
            HUGE_NETWORK,
            {"replicas": {"min": 1, "max": 9}},
            "serve.device: gpu needs a GPU with room for each replica; 9 replicas of 0.13 of a GPU "
            "would be needed, and 7 fit (1 x T4); take more or larger GPUs, lower serve.replicas, "
            "or write 'device: auto', which answers on CPU then",
            id="too many replicas",
        ),
        pytest.param(
            ONE_GPU,
            HUGE_NETWORK,
            {"replicas": 7, "train": {"device": "gpu"}},
            "serve.device: gpu needs a GPU with room for each replica; a retrain would not find "
            "the 0.25 of a GPU that it asks for beside them (1 x T4); take more or larger GPUs, "
            "lower serve.replicas, or write 'device: auto', which answers on CPU then",
            id="a retrain would find no room",
        ),
    ],
)
def test_a_gpu_that_cannot_be_had_is_refused(
    inventory: Inventory, served: Served, more: dict[str, Any], text: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        plan(inventory, SMALL, served, "gpu", **more)
    assert str(caught.value) == text


def test_what_a_training_lacks_for_replicas_it_tells() -> None:
    """It may run on another cluster than they do."""
    made = make_plan(project("gpu"), LAPTOP, local_bytes=256 * MIB, serves=False, **SMALL)
    assert made.replica_device == "cpu"
    assert made.reasons[-1].startswith(
        "replicas find no place here: serve.device: gpu needs a GPU that runs CUDA; found none"
    )


def test_replicas_take_a_type_that_training_does_not_ask_for() -> None:
    nodes_of = {"train": {"nodes": {"pool": "a"}, "device": "gpu"}}
    pool = (
        Node("a", 32, 256 * GIB, (T4,), {"pool": "a"}),
        Node("b", 32, 256 * GIB, (A100,), {"pool": "b"}),
    )
    made = plan(Inventory(pool), SMALL, HUGE_NETWORK, "auto", **nodes_of)
    assert (made.replica_gpu_type, made.trial_gpu_type) == ("A100", None)


def test_a_group_that_takes_every_gpu_leaves_none_to_replicas() -> None:
    four = nodes((64, (T4,) * 4))
    takes_all = plan(four, LARGE, HUGE_NETWORK, "auto", train={"workers": 4, "device": "gpu"})
    assert takes_all.replica_device == "cpu"
    assert "a training group would not find the 4 GPUs" in takes_all.reasons[-1]
    leaves_one = plan(four, LARGE, HUGE_NETWORK, "auto", train={"workers": 3, "device": "gpu"})
    assert leaves_one.replica_device == "cuda"


def test_a_retrain_has_fewer_sessions_where_replicas_sit_on_its_gpu() -> None:
    made = {
        device: plan(ONE_GPU, MEDIUM, HUGE_NETWORK, device, replicas=2) for device in ("cpu", "gpu")
    }
    assert made["cpu"].trial_gpus == made["gpu"].trial_gpus == 0.25
    assert made["cpu"].retrain_trials_at_once == 4
    assert made["gpu"].retrain_trials_at_once == 2
    assert made["gpu"].trials_at_once == 4


def test_who_starts_replicas_gets_the_plan_s_own_seat() -> None:
    size = {**MEDIUM, "local_bytes": 256 * MIB}
    seat = plan_serving(project("gpu"), ONE_GPU, served=HUGE_NETWORK, **size)
    made = make_plan(project("gpu"), ONE_GPU, served=HUGE_NETWORK, **size)
    assert (seat.device, seat.gpus, seat.gpu_type, seat.reason) == (
        made.replica_device,
        made.replica_gpus,
        made.replica_gpu_type,
        made.reasons[-1],
    )
    usable = int(0.13 * int(16 * GIB * 0.9))
    assert seat.model_bytes == (usable - CONTEXT_BYTES) // MODELS_AT_ONCE
    assert seat.model_bytes >= HUGE_NETWORK.gpu_bytes


def test_a_training_that_could_not_run_here_stops_no_endpoint() -> None:
    elsewhere = project("gpu", train={"nodes": {"pool": "training"}})
    size = {**SMALL, "local_bytes": 256 * MIB}
    with pytest.raises(ProjectError, match=r"train\.nodes"):
        make_plan(elsewhere, ONE_GPU, served=NETWORK, **size)
    assert plan_serving(elsewhere, ONE_GPU, served=NETWORK, **size).device == "cuda"


def test_the_threshold_is_where_it_says() -> None:
    least = int((GPU_FROM_ROW_S - 1e-5) * 3e9 / 2)
    for products, device in ((least - 2, "cpu"), (least + 2, "cuda")):
        assert device_of(Served("onnx", "network", products), "auto")[0] == device


def test_memory_is_that_of_the_weights_and_one_call() -> None:
    assert Served("onnx", "n", 1, 1000, 10).gpu_bytes == 1000 + CUDA_ROWS * 10 * 8 * 3


PLACES = st.lists(st.integers(1, 3), min_size=1, max_size=3)


@given(
    PLACES,
    st.integers(1, 100).map(lambda n: n / 100),
    st.sampled_from([0.25, 0.3333, 0.5, 1.0]),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(0, 2),
)
def test_what_leaves_room_leaves_it_wherever_replicas_sit(
    sizes: list[int], share: float, need_gpus: float, count: int, replicas: int, kept: int
) -> None:
    """Against every way of putting them: training may use the first nodes, replicas all but the
    first few."""
    every = [Node(f"n{i}", 8, GIB, (T4,) * size) for i, size in enumerate(sizes)]
    place = Place(tuple(every[min(kept, len(every) - 1) :]))
    need = Need("a retrain", need_gpus, count, tuple(every))
    assume(replicas <= place.gpus * int(1 / share + 1e-9) and count <= sum(sizes))
    theirs = place.gpus
    found = []
    for way in itertools.combinations_with_replacement(range(theirs), replicas):
        used = [way.count(gpu) * share for gpu in range(theirs)]
        if max(used) <= 1 + 1e-9:
            free = sum(1 - u >= need_gpus - 1e-9 for u in used) + sum(sizes) - theirs
            found.append(free >= count)
    assert _leaves(place, need, share, replicas) <= all(found)


@given(
    st.integers(1, 4),
    st.integers(1, 100).map(lambda n: n / 100),
    st.sampled_from([0.25, 0.3333, 0.5, 1.0]),
    st.integers(1, 5),
)
def test_sessions_beside_replicas_are_never_more_than_fit(
    gpus: int, share: float, session: float, replicas: int
) -> None:
    node = Node("n", 8, GIB, (T4,) * gpus)
    need = Need("a retrain", session, 1, (node,))
    room = int(1 / session + 1e-9) * gpus
    assume(replicas <= gpus * int(1 / share + 1e-9))
    assume(_leaves(Place((node,)), need, share, replicas))
    got = sessions_beside(Seat("cuda", gpus=share), need, replicas=replicas, sessions=room)
    fits = [
        sum(int((1 - way.count(gpu) * share) / session + 1e-6) for gpu in range(gpus))
        for way in itertools.combinations_with_replacement(range(gpus), replicas)
        if max(way.count(gpu) for gpu in range(gpus)) * share <= 1 + 1e-9
    ]
    assert 1 <= got <= min(fits)


DEVICES = st.sampled_from(["auto", "cpu", "gpu"])
MODELS = st.sampled_from([None, TREES, BOOSTER, NETWORK, HUGE_NETWORK, BLEND])
CLUSTERS = st.lists(
    st.builds(
        Node,
        name=st.just("n"),
        cpus=st.integers(1, 64),
        memory_bytes=st.just(64 * GIB),
        accelerators=st.lists(st.sampled_from([A100, T4, TINY, AMD]), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=4,
)


@given(CLUSTERS, DEVICES, MODELS, st.integers(1, 6))
def test_every_seat_can_be_had(
    cluster: list[Node], device: str, served: Served | None, replicas: int
) -> None:
    inventory = Inventory(tuple(cluster))
    try:
        seat = plan_seat(project(device, replicas=replicas), inventory, served=served)
    except ProjectError:
        assert device == "gpu"
        return
    assert (seat.device == "cuda") == (seat.gpus > 0) == (seat.model_bytes > 0)
    assert seat.device == "cpu" or device != "cpu"
    assert seat.device == "cpu" or served is None or served.runs_on_cuda
    if device == "gpu":
        assert seat.device == "cuda"
    if seat.device == "cuda":
        asked = [n for n in cluster if n.accelerators and seat.gpu_type in (None, _kind(n))]
        cards = [card for node in asked for card in node.accelerators]
        assert all(card.runs_cuda for card in cards)
        assert len(cards) * int(1 / seat.gpus + 1e-9) >= replicas
        smallest = min(card.memory_bytes or 0 for card in cards)
        assert seat.gpus * smallest * 0.9 >= CONTEXT_BYTES


def _kind(node: Node) -> str:
    return node.accelerators[0].kind
