"""The project file: the question, the data, the limits and the gates, as one frozen value."""

from __future__ import annotations

from tenfold.project.gates import Gate
from tenfold.project.inputs import ColumnRule, Data, Join, Prepare
from tenfold.project.load import load_project, read_budget
from tenfold.project.measures import MEASURES, Measure, Task, measures_for, metric_direction
from tenfold.project.operate import Monitor, Replicas, Serve
from tenfold.project.problem import Costs, Problem
from tenfold.project.project import Project
from tenfold.project.sources import Source
from tenfold.project.work import FAMILIES, Retrain, Train

__all__ = [
    "FAMILIES",
    "MEASURES",
    "ColumnRule",
    "Costs",
    "Data",
    "Gate",
    "Join",
    "Measure",
    "Monitor",
    "Prepare",
    "Problem",
    "Project",
    "Replicas",
    "Retrain",
    "Serve",
    "Source",
    "Task",
    "Train",
    "load_project",
    "measures_for",
    "metric_direction",
    "read_budget",
]
