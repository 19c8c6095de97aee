"""Writes the tables kept aside into a folder; runs where their packages are installed.

``breast-cancer`` comes with scikit-learn; ``doctor-visits`` (the RAND health insurance experiment)
and ``parties`` (American national election study, 1996) with statsmodels; ``politicians`` (answers
of legislators to letters, by Broockman 2013) and ``inspections`` (restaurants of Anchorage) with
causaldata.
"""

import sys
from pathlib import Path

from causaldata import black_politicians, restaurant_inspections
from sklearn.datasets import load_breast_cancer
from statsmodels.datasets import anes96, randhie


def main():
    cells = load_breast_cancer(as_frame=True)
    election = anes96.load_pandas().data
    tables = {
        "breast-cancer": cells.data.assign(malignant=1 - cells.target),  # there 1 is benign
        # Its logarithm of a column is left out; classes are written as the numbers that they are.
        "parties": election.drop(columns="logpopul").astype({"PID": int}),
        "doctor-visits": randhie.load_pandas().data,
        "politicians": black_politicians.load_pandas().data,
        "inspections": restaurant_inspections.load_pandas().data,
    }
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        part = path.with_suffix(".part")
        table.to_csv(part, index=False)
        part.replace(path)


main()
