"""Loads the tables of the main job with pycytominer and copairs and computes the mean average precision.

    pip install -r requirements.txt
    cargo run --release --features parquet --example rank_plate -- --out OUT
    python check.py OUT

Without that feature the main job leaves no Parquet; `spheroid-core`'s example `to_parquet` makes the one of the
embeddings, which is all that is needed here.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from copairs.map import average_precision, mean_average_precision
from pycytominer import consensus, normalize
from pycytominer.cyto_utils import infer_cp_features, load_profiles

out = Path(sys.argv[1])

for name in ["embeddings", "morphology", "wells", "ranking"]:
    csv = load_profiles(out / f"{name}.csv")
    if name != "embeddings" and not (out / f"{name}.parquet").exists():
        continue
    parquet = load_profiles(out / f"{name}.parquet")
    # An empty cell of a CSV is a missing number, as null is in Parquet.
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False, rtol=1e-6)
    print(f"{name}: {len(csv)} rows, {csv.shape[1]} columns, the same in both formats")

ranking = load_profiles(out / "ranking.csv")
profiles = load_profiles(out / "embeddings.parquet")
profiles = profiles[profiles.Metadata_day == profiles.Metadata_day.max()].reset_index(drop=True)
metadata = infer_cp_features(profiles, metadata=True)
assert metadata == ["Metadata_Plate", "Metadata_Well", "Metadata_day", "Metadata_treatment", "Metadata_group"], metadata
features = [column for column in profiles if column not in metadata]
# Units that never fire say nothing; pycytominer would divide by their spread.
features = [feature for feature in features if profiles[feature].std() > 0]

normalized = normalize(
    profiles, features=features, meta_features=metadata, samples="Metadata_group == 'untreated'", method="standardize"
)
untreated = normalized[normalized.Metadata_group == "untreated"][features]
np.testing.assert_allclose(untreated.mean(), 0, atol=1e-3)

by_treatment = consensus(normalized, replicate_columns=["Metadata_treatment"], features=features)
assert set(by_treatment.Metadata_treatment) == set(ranking.Metadata_treatment)

# Does a treatment's well find the others of its treatment before the untreated ones?
is_control = normalized.Metadata_group == "untreated"
meta = normalized[metadata].assign(Metadata_control=is_control, Metadata_index=np.where(is_control, normalized.index, -1))
precision = average_precision(
    meta,
    normalized[features].to_numpy(),
    pos_sameby=["Metadata_treatment", "Metadata_index"],
    pos_diffby=[],
    neg_sameby=["Metadata_Plate"],
    neg_diffby=["Metadata_control"],
    progress_bar=False,
)
precision = precision[~precision.Metadata_control]
scores = mean_average_precision(
    precision, sameby=["Metadata_treatment"], null_size=1000, threshold=0.05, seed=0, progress_bar=False
)
expected = set(ranking.Metadata_treatment[ranking.Metadata_group != "untreated"])
assert set(scores.Metadata_treatment) == expected
assert scores.mean_average_precision.between(0, 1, inclusive="right").all()
joined = scores.merge(ranking, on="Metadata_treatment")
print(joined[["Metadata_treatment", "rank", "score", "mean_average_precision"]].sort_values("rank").to_string(index=False))
top, bottom = (joined.nsmallest(3, "rank"), joined.nlargest(3, "rank"))
assert top.mean_average_precision.mean() > bottom.mean_average_precision.mean()
