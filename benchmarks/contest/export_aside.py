"""Writes the tables kept aside into a folder; runs where their packages are installed.

``breast-cancer`` and ``digits`` come with scikit-learn, ``doctor-visits`` (the RAND health
insurance experiment) with statsmodels, ``politicians`` (answers of legislators to letters, by
Broockman 2013) and ``inspections`` (restaurants of Anchorage) with causaldata.
"""

import sys
from pathlib import Path

from causaldata import black_politicians, restaurant_inspections
from sklearn.datasets import load_breast_cancer, load_digits
from statsmodels.datasets import randhie


def main():
    cells = load_breast_cancer(as_frame=True)
    digits = load_digits(as_frame=True)
    tables = {
        "breast-cancer": cells.data.assign(malignant=1 - cells.target),  # there 1 is benign
        "digits": digits.data.assign(digit=digits.target),
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
