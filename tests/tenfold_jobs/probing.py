"""A family of an installed package that writes down, in every fit, which device it was told, what
Ray had given its process, and on which node that ran. So no test here needs a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.data import prepare
from tenfold.project import Project
from tenfold.settings import Settings

FAMILY = '''
    """A linear model that notes where each of its fits ran."""

    import json
    import os
    from dataclasses import replace

    from tenfold.models import FAMILIES, Family


    def fit(fit):
        import ray

        note = {
            "device": fit.device,
            "precision": fit.precision,
            "rows": len(fit.matrix),
            "pid": os.getpid(),
            "given": {}, "gpus": [], "labels": {}, "session": False,
        }
        if ray.is_initialized():
            context = ray.get_runtime_context()
            in_worker = context.get_task_id() is not None or context.get_actor_id() is not None
            note |= {
                "given": context.get_assigned_resources() if in_worker else {},
                "gpus": ray.get_gpu_ids(),
                "labels": context.get_node_labels(),
                "session": context.get_actor_id() is not None,
            }
        with open(os.environ["PROBE_NOTES"], "a") as file:
            file.write(json.dumps(note) + "\\n")
        params = {"c": fit.params["strength"]}
        model = FAMILIES["linear"].fit(replace(fit, params=params, device="cpu"))
        return replace(model, family="probe")


    PROBE = Family(
        name="probe",
        tasks=frozenset({"binary"}),
        recipe=lambda params: FAMILIES["linear"].recipe({"c": 1.0}),
        defaults=lambda task: ({"strength": 1.0}, {"strength": 0.1}),
        space=None,
        fit=fit,
        load=FAMILIES["linear"].load,
        freeze=lambda params, rounds: dict(params),
        devices=frozenset({"cpu", "cuda"}),
    )
'''


def install_probe(folder: Path) -> Path:
    """A package with the family as an installer leaves it; the folder to put on the path."""
    facts = folder / "site" / "probe_family-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: probe-family\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[tenfold.families]\nprobe = probe_family:PROBE\n")
    (folder / "site" / "probe_family.py").write_text(textwrap.dedent(FAMILY).lstrip())
    return folder / "site"


def write_table(folder: Path, *, n_rows: int = 400) -> None:
    """``churn.csv``: two numbers and who left."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, 2))
    left = np.where(x[:, 0] + 0.7 * rng.normal(size=n_rows) > 0, "yes", "no")
    lines = [f"{a:.6f},{b:.6f},{c}" for (a, b), c in zip(x, left, strict=True)]
    (folder / "churn.csv").write_text("x,z,left\n" + "\n".join(lines) + "\n")


def body(*families: str, **train: Any) -> dict[str, Any]:
    """A project on that table."""
    return {
        "problem": {"task": "binary", "target": "left"},
        "data": {"sources": [{"path": "churn.csv"}]},
        "train": {"trials": 3, "folds": 2, "families": list(families), **train},
    }


def prepared(folder: Path) -> Settings:
    """The table, prepared; whichever family is asked for later, the snapshot is the same."""
    settings = Settings.from_env({"TENFOLD_HOME": str(folder / "home")})
    prepare(Project.from_dict(body("linear")).at(folder), settings=settings)
    return settings


def run_probed(
    folder: Path, command: list[str], **environ: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a process of its own printed as its last line, as JSON, and the notes of its fits.

    Args:
        folder: with the package and the home.
        command: of Python.
        environ: more of its environment.
    """
    notes = folder / "notes.jsonl"
    notes.unlink(missing_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = [str(folder / "site"), *sys.path]
    env |= {"TENFOLD_HOME": str(folder / "home"), "PYTHONPATH": os.pathsep.join(path)}
    done = subprocess.run(
        [sys.executable, *command],
        env=env | {"PROBE_NOTES": str(notes)} | environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    lines = notes.read_text().splitlines() if notes.exists() else []
    return told, [json.loads(line) for line in lines]
