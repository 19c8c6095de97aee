"""``tenfold plan``: what would run where, and why, from file sizes and the cluster's inventory."""

from __future__ import annotations

from pathlib import Path

from tenfold.cluster import Inventory, Plan, inventory_local, inventory_ray, make_plan
from tenfold.cluster.connect import keeper_address
from tenfold.cluster.served import Served
from tenfold.errors import TenfoldError
from tenfold.project import Project
from tenfold.settings import Settings

__all__ = ["run_plan"]


def run_plan(project: Project, settings: Settings) -> Plan:
    """The plan for this project where `tenfold train` would run it.

    That is the cluster that ``RAY_ADDRESS`` names, else the Ray of a running keeper, else this
    machine, for which no Ray is started. Where the project has a champion and there are GPUs,
    replicas are planned for that model.

    Raises:
        DataError: a source file is missing.
        ClusterError: the cluster does not answer.
        ProjectError: the project asks for nodes, workers or GPUs that are not there.
    """
    from tenfold.data import source_facts

    facts = source_facts(project, settings)
    if not (settings.ray_address or keeper_address(settings)):
        inventory = inventory_local()
    else:
        from tenfold_jobs.ray_rim import start_ray

        with start_ray(settings):
            inventory = inventory_ray()
    return make_plan(
        project,
        inventory,
        local_bytes=settings.local_bytes,
        n_rows=facts.n_rows,
        n_columns=facts.n_columns,
        size_bytes=facts.size_bytes,
        served=_champion(project, settings, inventory),
    )


def _champion(project: Project, settings: Settings, inventory: Inventory) -> Served | None:
    """The model that answers, where it matters and is known. Planning makes nothing, so a state
    database that is not there is not opened, and one that does not answer stops no plan."""
    asked, url = project.serve.device, settings.state_url
    file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    if asked == "cpu" or (asked == "auto" and not inventory.gpus):
        return None
    if file is not None and not file.is_file():
        return None
    from tenfold.inference.served import served_in
    from tenfold.registry import Registry

    try:
        champion = Registry(settings).resolve(project.name)
        return None if champion is None else served_in(champion.path)
    except TenfoldError:
        return None
