"""Which clusters are found: detect and infer beside the LEGUS way, on mock mosaics.

The LEGUS way (Adamo et al. 2017, ApJ 841, 131): sources of a finder whose light is
less concentrated than a star's, by the concentration index CI, the magnitude within 1
pixel less that within 3, at least 1.4 there. Here DAOFind (photutils) finds on the
same image of all bands that `detect` finds on, and what DAOFind's width and threshold,
the band of the CI, its limit and the least brightness should be is told by training
mosaics, where the truth may be looked at: for each purity the choice with the highest
completeness there. Ours, `detect` and `infer` with the model that ships, is used as it
is.

A true cluster is found if one of the sources taken is within 4 pixels or its half-light
radius; further ones there are pieces of it, and count neither way
(`clusterkeras.catalogue.truth.matching`). Completeness is the share of true clusters
found, purity the share of sources taken that are true clusters; as it depends on how
many clusters there are, the false ones in a million pixels stand beside it, and the
completeness for clusters like M83's. Both curves run over one limit: ours over
p_cluster, theirs over the brightness within 3 pixels.

Writes ``detection.md``, ``detection.json`` and ``detection.png`` to the output
directory, and keeps the mosaics there.
"""

import argparse
from pathlib import Path

import numpy as np
from detection.found import (
    Sources,
    at_limit_on,
    at_purity,
    calibration,
    curve,
    held_to,
    shares,
)
from detection.legus_way import LEGUS_CI, PURITIES, cut, dao_sources, tuned
from detection.mock_mosaics import (
    mosaics_of,
    our_sources,
    share_with_candidate,
    truth_of,
)
from detection.result import BINS, draw, markdown

from clusterkeras.model_files.presets import DEFAULT_PRESET
from clusterkeras.network.loading import load_model
from data_tools.running.plain_files import write_json

#: Least p_cluster of rows that are taken.
LIMITS = (0.2, 0.3, 0.5)
#: S/N above which clusters ought to have a candidate.
SNR_LIMITS = (5, 10, 30, 100)


def main() -> None:
    """Make mosaics, find on them both ways, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_PRESET)
    parser.add_argument("--n_train", type=int, default=4, help="mosaics to tune on")
    parser.add_argument("--n_test", type=int, default=8, help="mosaics to compare on")
    parser.add_argument("--size_px", type=int, default=1024)
    parser.add_argument("--n_clusters", type=int, default=150)
    parser.add_argument(
        "--purity", type=float, default=0.8, help="purity at which the bins are made"
    )
    args = parser.parse_args()
    model = load_model(args.model)
    target = model.target
    train, test = (
        mosaics_of(
            args.output,
            split,
            range(first, first + n),
            target,
            args.size_px,
            args.n_clusters,
        )
        for split, first, n in (
            ("train", 301, args.n_train),
            ("test", 401, args.n_test),
        )
    )
    train_truth, truth = truth_of(train, target), truth_of(test, target)
    best = tuned(dao_sources(train, target), train_truth, len(target.bands))

    ours, dao = our_sources(test, model), dao_sources(test, target)
    points = list(curve(ours, truth, 150))
    pixels = len(test) * args.size_px**2

    def theirs(choice: dict, ci: float | None = None) -> Sources:
        ci = choice["ci"] if ci is None else ci
        return cut(dao[choice["finder"]], choice["band"], ci)

    nearest = min(PURITIES, key=lambda p: abs(p - args.purity))
    rows = []
    for purity, choice in best.items():
        sources = theirs(choice)
        # with hindsight: its best limit on the test mosaics themselves
        limit, complete = at_purity(list(curve(sources, truth, 150)), purity)
        our_limit, our_complete = at_purity(points, purity)
        rows.append(
            {
                "purity": purity,
                "ours": our_complete,
                "ours_at": at_limit_on(ours, truth, our_limit, pixels),
                "legus": complete,
                "legus_limit": limit,
                "legus_at": at_limit_on(sources, truth, limit, pixels),
                "choice": f"CI >= {choice['ci']} in "
                f"{target.band_names[choice['band']]}, width {choice['finder'][0]} px",
            }
        )
    compared = next(row for row in rows if row["purity"] == nearest)
    found = {
        "ours": held_to(ours, truth, at_purity(points, nearest)[0])[0],
        "legus": held_to(theirs(best[nearest]), truth, compared["legus_limit"])[0],
    }
    result = {
        "model": args.model,
        "mosaics": len(test),
        "clusters": len(truth["x"]),
        "candidates": {
            snr: share_with_candidate(test, truth, snr) for snr in SNR_LIMITS
        },
        "at_limit": [at_limit_on(ours, truth, limit, pixels) for limit in LIMITS],
        "calibration": calibration(ours, truth),
        "tuned": {str(k): {**v, "finder": list(v["finder"])} for k, v in best.items()},
        "at_purity": rows,
        "compared_at": nearest,
        "curves": {
            "ours": np.array(points).tolist(),
            "legus": np.array(list(curve(theirs(best[nearest]), truth))).tolist(),
            "legus_1.4": np.array(
                list(curve(theirs(best[nearest], LEGUS_CI), truth))
            ).tolist(),
        },
        "bins": {
            name: {
                method: shares(values, truth[name], edges)
                for method, values in found.items()
            }
            for name, (edges, _) in BINS.items()
        },
    }
    write_json(args.output / "detection.json", result)
    text = markdown(result)
    (args.output / "detection.md").write_text(text)
    draw(result, args.output / "detection.png")
    print(text)


if __name__ == "__main__":
    main()
