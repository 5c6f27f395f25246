"""What a posterior gains from seeing a cluster in all eight orientations.

The posterior of an image cannot depend on how the image is turned; a network's does.
The equally weighted mixture of the posteriors of 2, 4 and 8 orientations, each as
dear as one more pass of the network, beside one orientation alone, on the clusters of
a mock set.

    python benchmarks/bench_orientations.py --data mocks
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy.special import logsumexp

from clusterkeras.model_files.presets import DEFAULT_PRESET
from clusterkeras.network.loading import load_model
from data_tools.records.dataset import make_dataset


def turned(images: tf.Tensor) -> list[tf.Tensor]:
    """Return images (B, px, px, bands) in eight orientations, opposite ones first."""
    both = (images, tf.transpose(images, (0, 2, 1, 3)))
    return [
        flipped
        for rows, columns in ((1, 1), (-1, -1), (1, -1), (-1, 1))
        for flipped in (square[:, ::rows, ::columns] for square in both)
    ]


def main() -> None:
    """Print the negative log-probability by number of orientations."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_PRESET)
    parser.add_argument("--split", default="test")
    parser.add_argument("--n_mocks", type=int, help="the first so many records")
    args = parser.parse_args()
    model = load_model(args.model)

    @tf.function(reduce_retracing=True)
    def log_prob(images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        raw = model(images, training=False)["posterior"]
        return model.posterior(raw).log_prob(parameters)

    found = []
    for images, labels in make_dataset(
        args.data, args.split, 256, training=False, limit=args.n_mocks
    ):
        clusters = labels["is_cluster"] > 0
        parameters = labels["parameters"][clusters]
        found.append(
            [log_prob(image, parameters) for image in turned(images[clusters])]
        )
    each = np.concatenate(found, axis=1)
    print(f"{each.shape[1]} clusters of {args.split}, {args.model}")
    print("| orientations | -log p [nats] | less than one |\n| --- | --- | --- |")
    for n in (1, 2, 4, 8):
        mixed = logsumexp(each[:n], axis=0) - np.log(n)
        gain = mixed - each[0]
        error = gain.std() / np.sqrt(gain.size)
        print(f"| {n} | {-mixed.mean():.3f} | {gain.mean():.3f} +- {error:.3f} |")


if __name__ == "__main__":
    main()
