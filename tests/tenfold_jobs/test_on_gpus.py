"""What the plan says of GPUs is what runs: on a Ray that counts a GPU which is none.

A family of an installed package writes down, in every fit, which device it was told and what Ray
had given its process. So this needs no GPU, and nothing of ours stands in for anything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenfold.data import prepare
from tenfold.errors import ProjectError
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold_jobs.train import run_train

FAMILY = '''
    """A linear model that notes where each of its fits ran."""

    import json
    import os
    from dataclasses import replace

    from tenfold.models import FAMILIES, Family


    def fit(fit):
        import ray

        context = ray.get_runtime_context()
        in_worker = context.get_task_id() is not None or context.get_actor_id() is not None
        note = {
            "device": fit.device,
            "precision": fit.precision,
            "given": context.get_assigned_resources() if in_worker else {},
            "gpus": ray.get_gpu_ids(),
            "session": context.get_actor_id() is not None,
            "rows": len(fit.matrix),
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
TRAIN = """
    import json
    import os
    import pathlib
    import sys

    from tenfold.cluster.connect import CLOSED_EXPORTERS, auth_environment
    from tenfold.project import Project
    from tenfold.settings import Settings

    settings = Settings.from_env()
    os.environ |= {**auth_environment(settings), **CLOSED_EXPORTERS}
    import ray

    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, address="local")
    from tenfold_jobs.train import run_train

    project = Project.from_dict(json.loads(sys.argv[1])).at(pathlib.Path(sys.argv[2]))
    record = run_train(project, settings)
    print(json.dumps({"family": record.family, "n_tried": record.n_tried}))
    ray.shutdown()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table, and a package with the family as an installer leaves it."""
    facts = tmp_path / "site" / "probe_family-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: probe-family\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[tenfold.families]\nprobe = probe_family:PROBE\n")
    (tmp_path / "site" / "probe_family.py").write_text(textwrap.dedent(FAMILY).lstrip())
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    left = np.where(x[:, 0] + 0.7 * rng.normal(size=400) > 0, "yes", "no")
    lines = [f"{a:.6f},{b:.6f},{c}" for (a, b), c in zip(x, left, strict=True)]
    (tmp_path / "churn.csv").write_text("x,z,left\n" + "\n".join(lines) + "\n")
    return tmp_path


def body(*families: str, device: str) -> dict[str, Any]:
    return {
        "problem": {"task": "binary", "target": "left"},
        "data": {"sources": [{"path": "churn.csv"}]},
        "train": {"trials": 3, "folds": 2, "families": list(families), "device": device},
    }


def train(folder: Path, *, device: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a training in a process of its own reports, and the notes of its fits."""
    notes, home = folder / "notes.jsonl", folder / "home"
    project = Project.from_dict(body("linear", device="cpu")).at(folder)
    prepare(project, settings=Settings.from_env({"TENFOLD_HOME": str(home)}))
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = [str(folder / "site"), *sys.path]
    env |= {"TENFOLD_HOME": str(home), "PYTHONPATH": os.pathsep.join(path)}
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(TRAIN)),
            *(json.dumps(body("probe", "linear", device=device)), str(folder)),
        ],
        env=env | {"PROBE_NOTES": str(notes)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return told, [json.loads(line) for line in notes.read_text().splitlines()]


@pytest.mark.timeout(300)
def test_sessions_and_last_fits_have_the_share_that_the_plan_names(folder: Path) -> None:
    told, notes = train(folder, device="gpu")
    assert told["n_tried"] == 4
    in_sessions = [note for note in notes if note["session"]]
    last = [note for note in notes if not note["session"]]
    assert len(in_sessions) >= 2
    assert last, "no last fit of the family ran in a task of its own"
    for note in notes:
        assert note["device"] == "cuda"
        assert note["gpus"] == [0]
        assert note["given"]["GPU"] == 0.5, "two sessions to one GPU on two cores"
        assert note["given"]["CPU"] == 1.0
    most = max(note["rows"] for note in in_sessions)
    assert all(note["rows"] > most for note in last), "a last fit sees all folds"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_small_table_stays_on_cpu_beside_a_gpu(folder: Path) -> None:
    _told, notes = train(folder, device="auto")
    assert notes
    for note in notes:
        assert note["device"] == "cpu"
        assert "GPU" not in note["given"]
        assert note["gpus"] == []


@pytest.mark.usefixtures("ray_session")
def test_a_gpu_that_is_not_there_is_one_clear_error(folder: Path, settings: Settings) -> None:
    project = Project.from_dict(body("boosting", device="gpu")).at(folder)
    prepare(project, settings=settings)
    with pytest.raises(ProjectError) as caught:
        run_train(project, settings)
    assert str(caught.value) == (
        "train.device: gpu needs a GPU that runs CUDA; found none; start a node that has one, "
        "or write 'device: auto'"
    )
