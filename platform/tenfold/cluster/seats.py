"""Where replicas answer: on CPU, or each with a share of a GPU; and what training keeps. Pure.

A share is a promise to Ray alone: it counts parts of a GPU and keeps nobody's memory apart. So a
share is what a replica may take of the memory, and the engine is given that limit. Where Ray puts
replicas nobody knows, so the worst is taken: they sit wherever they hinder most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tenfold.cluster.devices import CONTEXT_BYTES, Place, gpu_places, in_numbers
from tenfold.cluster.inventory import GIB, Inventory, Node
from tenfold.cluster.served import Asked, Served, device_of
from tenfold.cluster.work import in_words
from tenfold.errors import ProjectError
from tenfold.project import Project

__all__ = ["MODELS_AT_ONCE", "ON_CPU_SEAT", "Need", "Seat", "plan_seat", "sessions_beside"]

MODELS_AT_ONCE = 3
"""That one replica may hold: the champion, a canary, and the one that takes the place of either."""
UNKNOWN_MODEL_BYTES = GIB // 4
"""Of a GPU, for a model that is not there yet: what one with layers of 2,000 takes for a call."""
SHARE_STEPS = 100
"""Shares are whole hundredths: Ray counts ten thousandths, and people read them."""
EPSILON = 1e-9
ON_CPU = "replicas answer on CPU"
WHY_ON_CPU = (
    f"{ON_CPU}, by ONNX where the model converts: a row takes about 11 us there, less than its way "
    "to a GPU and back, and the same bits come out on every machine"
)


@dataclass(frozen=True, slots=True)
class Need:
    """GPUs that training must find beside the replicas.

    Attributes:
        what: for people, ``"a retrain"``.
        gpus: of each GPU, above 0 to 1.
        count: GPUs that have as much, from 1.
        nodes: where they may be.
    """

    what: str
    gpus: float
    count: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Seat:
    """Where each replica answers, and what it asks Ray for.

    Attributes:
        device: ``"cuda"`` where it has a share of a GPU; a model may still answer on CPU there
            (`tenfold.cluster.served.device_of`).
        asked: what the project says.
        gpus: of a GPU, 0 on CPU.
        gpu_type: Ray's name of the type it must be, None where any will do.
        model_bytes: of a GPU's memory that each model of a replica may take.
        reason: in words.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    asked: Asked = "auto"
    gpus: float = 0.0
    gpu_type: str | None = None
    model_bytes: int = 0
    reason: str = ""

    def ray_options(self) -> dict[str, Any]:
        """What a replica asks Ray for; see ``ray_actor_options`` of Serve.

        >>> Seat().ray_options(), Seat("cuda", gpus=0.2, gpu_type="T4").ray_options()
        ({'num_cpus': 0}, {'num_cpus': 0, 'num_gpus': 0.2, 'accelerator_type': 'T4'})
        """
        if self.device == "cpu":
            return {"num_cpus": 0}
        of_type = {} if self.gpu_type is None else {"accelerator_type": self.gpu_type}
        return {"num_cpus": 0, "num_gpus": self.gpus, **of_type}

    def to_dict(self) -> dict[str, Any]:
        """The seat as JSON values."""
        return asdict(self)


ON_CPU_SEAT = Seat()
"""Of who asked Ray for nothing."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """A seat on the GPUs of one place, and what speaks against it."""

    place: Place
    share: float
    hinders: int
    against: str


def plan_seat(
    project: Project,
    inventory: Inventory,
    *,
    needs: Sequence[Need] = (),
    served: Served | None = None,
) -> Seat:
    """Decide where replicas answer. Equal arguments give equal seats.

    Args:
        project: its ``serve.device`` and ``serve.replicas`` are obeyed.
        inventory: all nodes.
        needs: what training must find beside them.
        served: the model that answers; None before there is one.

    Raises:
        ProjectError: a GPU is asked for, and there is none that would do, or no part of the model
            runs on one.
    """
    asked = project.serve.device
    if asked == "cpu":
        return Seat(asked=asked, reason=f"{ON_CPU}, as the project says")
    if served is None and asked == "auto":
        return Seat(reason=WHY_ON_CPU + _until_known(inventory))
    why = "as the project says"
    if served is not None:
        device, why = device_of(served, asked)
        if device == "cpu":
            return Seat(reason=f"{ON_CPU}: {why}")
    offers = [_offer(project, place, needs, served) for place in gpu_places(inventory)]
    good = [offer for offer in offers if not offer.against]
    if not good:
        return _refused(project, inventory, offers, why)
    best = min(good, key=lambda one: (one.hinders, one.place.memory_bytes, one.place.gpus))
    return _seat(project, inventory, best, why, is_known=served is not None)


def _until_known(inventory: Inventory) -> str:
    """Said only where there is a GPU that could serve another model."""
    if not gpu_places(inventory):
        return ""
    return "; decided again by `tenfold up`, for the model that is there then"


def _offer(project: Project, place: Place, needs: Sequence[Need], served: Served | None) -> _Offer:
    each = UNKNOWN_MODEL_BYTES if served is None else served.gpu_bytes
    need_bytes = CONTEXT_BYTES + MODELS_AT_ONCE * each
    share = math.ceil(need_bytes / place.memory_bytes * SHARE_STEPS) / SHARE_STEPS
    hinders = sum(_gpus_of(_both(place, need)) for need in needs)
    if share > 1:
        has = in_words(place.memory_bytes)
        against = f"about {in_words(need_bytes)} of a GPU's memory would be needed, {has} can be "
        return _Offer(place, share, hinders, f"{against}used")
    replicas = project.serve.replicas.max
    room = int(1 / share + EPSILON) * place.gpus
    if replicas > room:
        against = f"{replicas} replicas of {share:g} of a GPU would be needed, and {room} fit"
        return _Offer(place, share, hinders, against)
    for need in needs:
        if not _leaves(place, need, share, replicas):
            many = f"{need.gpus:g} of a GPU" if need.count == 1 else f"{need.count} GPUs"
            against = f"{need.what} would not find the {many} that it asks for beside them"
            return _Offer(place, share, hinders, against)
    return _Offer(place, share, hinders, "")


def _both(place: Place, need: Need) -> list[Node]:
    """Nodes whose GPUs both may get; by identity, since two nodes may be equal."""
    ours = {id(node) for node in place.nodes}
    return [node for node in need.nodes if id(node) in ours]


def _gpus_of(nodes: Sequence[Node]) -> int:
    return sum(len(node.cuda) for node in nodes)


def _leaves(place: Place, need: Need, share: float, replicas: int) -> bool:
    """Whether training finds its GPUs wherever replicas sit: so many on one spoil it for a need."""
    to_spoil = int((1 - need.gpus) / share + EPSILON) + 1
    spoiled = min(replicas // to_spoil, _gpus_of(_both(place, need)))
    return _gpus_of(need.nodes) - spoiled >= need.count


def sessions_beside(seat: Seat, need: Need | None, *, replicas: int, sessions: int) -> int:
    """Sessions of a search that find a GPU beside the replicas, wherever these sit.

    Args:
        seat: of the replicas.
        need: what one session asks for; None on CPU.
        replicas: how many there may be.
        sessions: that find one where nobody answers.

    >>> node = Node("n", 8, 64 * GIB, ())
    >>> sessions_beside(Seat(), None, replicas=1, sessions=4)
    4
    """
    if need is None or not seat.gpus:
        return sessions
    lost = replicas * math.ceil(seat.gpus / need.gpus - EPSILON)
    room = int(1 / need.gpus + EPSILON) * _gpus_of(need.nodes)
    return max(1, min(sessions, room - lost))


def _refused(project: Project, inventory: Inventory, offers: Sequence[_Offer], why: str) -> Seat:
    """What follows where no GPU will do.

    Raises:
        ProjectError: the project wants one.
    """
    found = in_numbers(inventory) if inventory.accelerators else "none"
    against = offers[-1].against if offers else ""
    if project.serve.device == "gpu":
        if not offers:
            raise ProjectError(
                f"serve.device: gpu needs a GPU that runs CUDA; found {found}; start a node that "
                "has one, or write 'device: auto'"
            )
        raise ProjectError(
            f"serve.device: gpu needs a GPU with room for each replica; {against} ({found}); take "
            "more or larger GPUs, lower serve.replicas, or write 'device: auto', which answers on "
            "CPU then"
        )
    lacking = f"{against} ({found})" if offers else f"no GPU runs CUDA here (found {found})"
    return Seat(reason=f"{ON_CPU}: {why}, but {lacking}")


def _seat(
    project: Project, inventory: Inventory, offer: _Offer, why: str, *, is_known: bool
) -> Seat:
    place, replicas = offer.place, project.serve.replicas.max
    share_bytes = int(offer.share * place.memory_bytes)
    which = "a GPU" if place.kind is None else f"a {place.kind}"
    each = "replicas answer" if replicas > 1 else "the replica answers"
    with_each = " each" if replicas > 1 else ""
    reason = (
        f"{each} on CUDA with {offer.share:g} of {which}{with_each} ({in_numbers(inventory)}), "
        f"{in_words(share_bytes)} for {MODELS_AT_ONCE} models at once: {why}"
    )
    if not is_known:
        reason += "; a model of trees will be refused, as they have no CUDA kernel"
    return Seat(
        device="cuda",
        asked=project.serve.device,
        gpus=offer.share,
        gpu_type=place.kind,
        model_bytes=(share_bytes - CONTEXT_BYTES) // MODELS_AT_ONCE,
        reason=reason,
    )
