"""The whole project file as one frozen value."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Annotated, Any, Self

from pydantic import PrivateAttr, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from tenfold.canonical import canonical_json, sha256_hex
from tenfold.project.fields import Section
from tenfold.project.inputs import Data, Prepare
from tenfold.project.laws import violations
from tenfold.project.measures import Objective, Task
from tenfold.project.operate import Monitor, Serve
from tenfold.project.problem import Problem
from tenfold.project.work import Retrain, Train, default_families

__all__ = ["Project", "project_name"]

MAX_NAME = 40
"""Longest name: it becomes part of URLs, folders, metric labels and Kubernetes names."""


def project_name(path: str) -> str:
    """A project's name made from a file's name.

    >>> project_name("data/King County (2015).csv"), project_name("telco_churn.parquet")
    ('king-county-2015', 'telco-churn')
    """
    stem = PurePath(path).name.split(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:MAX_NAME].rstrip("-") or "project"


class Project(Section):
    """The project file. Stored in every artifact; equal files give equal digests.

    >>> project = Project.from_dict({
    ...     "problem": {"task": "binary", "target": "salary"},
    ...     "data": {"sources": [{"path": "adult.csv"}]},
    ... })
    >>> project.name, project.problem.metric, project.train.families
    ('adult', 'roc_auc', ('linear', 'boosting', 'network'))
    >>> Project.from_dict(project.to_dict()) == project
    True
    """

    name: Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9-]{1,40}$")]
    """Small letters, digits and hyphens, 1 to 40; the first file's stem by default."""

    problem: Problem
    """What is asked."""

    data: Data
    """Where the table comes from."""

    prepare: Prepare = Prepare()
    """Cleaning and splitting."""

    train: Train = Train()
    """The search."""

    serve: Serve = Serve()
    """The endpoint."""

    monitor: Monitor = Monitor()
    """How drift is judged."""

    retrain: Retrain = Retrain()
    """When the loop may train again."""

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, raw: Any) -> Any:
        """Fill the two defaults that hang on another section: the name and the families."""
        if not isinstance(raw, dict):
            return raw
        filled = dict(raw)
        if filled.get("name") is None and (path := _dig(raw, "data", "sources", 0, "path")):
            filled["name"] = project_name(path)
        task, train = _dig(raw, "problem", "task"), filled.get("train") or {}
        if task in set(Task) and isinstance(train, dict) and not train.get("families"):
            named = _dig(raw, "problem", "objective")
            objective = Objective(named) if named in set(Objective) else Objective.MEAN
            families = default_families(
                Task(task), n_monotone=_n_monotone(raw), objective=objective
            )
            filled["train"] = {**train, "families": list(families)}
        return filled

    @model_validator(mode="after")
    def _obey(self) -> Self:
        broken = violations(
            problem=self.problem,
            data=self.data,
            train=self.train,
            prepare=self.prepare,
            serve=self.serve,
        )
        if broken:
            text = "; ".join(f"{'.'.join(map(str, v.path))}: {v.law}; {v.remedy}" for v in broken)
            raise PydanticCustomError("laws", "{text}", {"text": text, "violations": broken})
        return self

    @property
    def folder(self) -> Path:
        """Where relative paths start: the folder of the project file."""
        return self._folder

    @property
    def target(self) -> str | None:
        """The column to predict, None for clustering."""
        return self.problem.target

    def resolve(self, path: str) -> Path:
        """A path of the file as a path of this machine."""
        return self._folder / Path(path).expanduser()

    def at(self, folder: Path) -> Project:
        """The same project with relative paths that start in another folder."""
        moved = self.model_copy()
        moved._folder = folder
        return moved

    def to_dict(self) -> dict[str, Any]:
        """The project as JSON values, every default written out, without its folder."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, value: dict[str, Any], *, folder: Path | None = None) -> Project:
        """The inverse of `to_dict`.

        Raises:
            pydantic.ValidationError: the values break a law.
        """
        project = cls.model_validate_json(canonical_json(value))
        return project if folder is None else project.at(folder)

    def digest(self) -> str:
        """SHA-256 of the canonical JSON; comments, order and spelling of durations do not count."""
        return sha256_hex(canonical_json(self.to_dict()))


def _n_monotone(raw: dict[str, Any]) -> int:
    """Columns that are declared monotone, in raw values."""
    data = raw.get("data")
    rules = data.get("columns") if isinstance(data, dict) else None
    each = rules.values() if isinstance(rules, dict) else ()
    return sum(isinstance(rule, dict) and bool(rule.get("monotone")) for rule in each)


def _dig(value: Any, *path: str | int) -> str | None:
    """The text at a path of raw values, or None where the path or the type is not so."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return None
            value = value[step]
        else:
            if not isinstance(value, dict) or step not in value:
                return None
            value = value[step]
    return value if isinstance(value, str) else None
