"""What preparing depends on, apart from the data: taken from the project file, once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tenfold.data.clean import Rules
from tenfold.data.infer import Declared, Hints
from tenfold.data.split import SplitRule
from tenfold.schema import Role

if TYPE_CHECKING:
    from tenfold.project import Project

__all__ = ["Options", "hints_of"]


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that the snapshot of given rows depends on.

    Attributes:
        name: the project's name, and so the folder's.
        hints: target, roles, declared kinds.
        rules: how cells are read.
        split: how rows are parted.
        max_bad_fraction: share of rows that may go to quarantine.
        binary: whether the target must have exactly two classes.
        positive_class: must be one of the classes, if given.
    """

    name: str
    hints: Hints
    rules: Rules
    split: SplitRule
    max_bad_fraction: float = 0.05
    binary: bool = False
    positive_class: str | None = None

    @classmethod
    def of(cls, project: Project) -> Options:
        """The options of a project file."""
        prepare, data = project.prepare, project.data
        return cls(
            name=project.name,
            hints=hints_of(project),
            rules=Rules(
                markers=tuple(sorted(set(prepare.missing_markers))),
                trim=prepare.trim,
                limits={
                    name: (rule.minimum, rule.maximum)
                    for name, rule in data.columns.items()
                    if rule.minimum is not None or rule.maximum is not None
                },
            ),
            split=SplitRule(
                n_folds=project.train.folds,
                test_fraction=prepare.test_fraction,
                seed=project.train.seed,
                ordered=data.ordered,
                drop_duplicates=prepare.drop_duplicates,
                newest_of_key=prepare.duplicate_keys == "newest",
                near=prepare.near_duplicates,
            ),
            max_bad_fraction=prepare.max_bad_fraction,
            binary=project.problem.task == "binary",
            positive_class=project.problem.positive_class,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values, for the digest of a plan."""
        return asdict(self)


def hints_of(project: Project) -> Hints:
    """What a project file says about its columns, for `infer_schema`."""
    task, data = project.problem.task, project.data
    return Hints(
        target=project.target,
        classes=task.classifies if task.supervised else None,
        time=data.time_column,
        group=data.group,
        key=tuple(data.key),
        declared={
            name: Declared(
                kind=rule.kind,
                role=None if rule.role is None else Role(rule.role),
                minimum=rule.minimum,
                maximum=rule.maximum,
                decimal=rule.decimal,
                dates=rule.dates,
                text=rule.text,
            )
            for name, rule in data.columns.items()
        },
    )
