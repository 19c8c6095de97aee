"""``tenfold plan``: what would run where, and why, from file sizes and the cluster's inventory."""

from __future__ import annotations

from tenfold.cluster import Plan, inventory_local, inventory_ray, make_plan
from tenfold.cluster.connect import keeper_address
from tenfold.project import Project
from tenfold.settings import Settings

__all__ = ["run_plan"]


def run_plan(project: Project, settings: Settings) -> Plan:
    """The plan for this project where `tenfold train` would run it.

    That is the cluster that ``RAY_ADDRESS`` names, else the Ray of a running keeper, else this
    machine, for which no Ray is started.

    Raises:
        DataError: a source file is missing.
        ClusterError: the cluster does not answer.
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
    )
