"""How well features tell doubtful images from the others, without any label being learned.

cargo run --release --example segment -- --out overlays IMAGE... > segments.jsonl
cargo run --release --example embed -- --data DIR --model model --out embeddings.csv
python benches/peers/separation.py embeddings.csv WELL...

Every image's distance is the mean over its five nearest others, in features divided by their deviation. Printed is the
probability that one of the images of the wells given (those that `segment` flags, say) lies farther off than one of the
others: the area under the receiver operating characteristic. Needs NumPy.
"""

import csv
import sys

import numpy as np

NEIGHBOURS = 5


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    path, *wells = sys.argv[1:]
    with open(path, newline="") as table:
        rows = list(csv.DictReader(table))
    flagged = np.array([row["Metadata_Well"] in wells for row in rows])
    missing = set(wells) - {row["Metadata_Well"] for row in rows}
    if missing or flagged.all():
        sys.exit(f"{path}: no row of {sorted(missing)}" if missing else f"{path}: every row is flagged")
    features = np.array([[float(value) for name, value in row.items() if not name.startswith("Metadata_")] for row in rows])
    deviation = features.std(axis=0)
    features = (features / np.where(deviation > 1e-9, deviation, np.inf)).astype(np.float64)
    between = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(between, np.inf)
    distance = np.sort(between, axis=1)[:, :NEIGHBOURS].mean(axis=1)
    far, near = distance[flagged, None], distance[None, ~flagged]
    area = np.mean((far > near) + 0.5 * (far == near))
    print(f"{path}: {flagged.sum()} of {len(rows)} flagged, area {area:.3f}")


if __name__ == "__main__":
    main()
