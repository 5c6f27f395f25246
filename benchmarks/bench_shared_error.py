"""What the clusters of one field have in common, of the error of a model's posteriors.

The intraclass correlation (one-way analysis of variance) of the ranks of the truth
among draws, over the fields of a mock set's test split, for clusters above some S/N:
`clusterkeras.population.shared_error.IN_COMMON`. It takes two minutes of one core.
"""

import argparse

import numpy as np

from clusterkeras import load_model
from clusterkeras.model_files.presets import DEFAULT_PRESET
from data_tools import make_dataset
from data_tools.schema import PARAMETER_NAMES

#: Least log10 of S/N of the clusters.
LOG_SNR = (-np.inf, 0.5, 1.0, 1.5, 2.0)
DRAWS = 128


def main() -> None:
    """Ask a model about a test split, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=DEFAULT_PRESET)
    parser.add_argument("--data", required=True, help="mock set, with a test split")
    args = parser.parse_args()
    model, found = load_model(args.model), []
    for images, labels in make_dataset(
        args.data, "test", 256, training=False, context=True
    ):
        seeds = (np.asarray(labels["mock_id"]) % 2**31).astype(np.int32)
        draws = model.draw_from(model(images)["posterior"], seeds, DRAWS)
        below = np.asarray(draws) < np.asarray(labels["parameters"])[:, None]
        beside = [np.asarray(labels[name]) for name in ("field_id", "log_snr")]
        rows = np.column_stack([*beside, below.mean(axis=1)])
        found.append(rows[np.asarray(labels["is_cluster"]) == 1])
    field, log_snr, *ranks = np.concatenate(found).T
    print(f"| log S/N above | clusters | {' | '.join(PARAMETER_NAMES)} |")
    print(f"| {' | '.join(['---'] * (2 + len(ranks)))} |")
    for least in LOG_SNR:
        seen = log_snr > least
        shares = (f"{intraclass(rank[seen], field[seen]):.3f}" for rank in ranks)
        print(f"| {least:g} | {seen.sum()} | {' | '.join(shares)} |")


def intraclass(values: np.ndarray, group: np.ndarray) -> float:
    """Return the intraclass correlation of values (n,) of groups (n,)."""
    _, which, sizes = np.unique(group, return_inverse=True, return_counts=True)
    means = np.bincount(which, values) / sizes
    n, k = len(values), len(sizes)
    between = (sizes * np.square(means - values.mean())).sum() / (k - 1)
    within = np.square(values - means[which]).sum() / (n - k)
    size = (n - np.square(sizes).sum() / n) / (k - 1)
    return float((between - within) / (between + (size - 1) * within))


if __name__ == "__main__":
    main()
