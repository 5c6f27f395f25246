"""Train a posterior network in plain Keras: copy this and change it.

`clusterkeras fit` does the same and also goes on after a kill, keeps the history and
draws pictures. Make the mocks first: clusterkeras simulate --output mocks

    python scripts/fit.py mocks my-model.keras --epochs 5
"""

import argparse


def main() -> None:
    """Read the options, train, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="mock set of `clusterkeras simulate`")
    parser.add_argument("output", help="file to write, ending in .keras")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--backbone", help="by default the one that ships")
    parser.add_argument("--logs", help="directory for TensorBoard")
    args = parser.parse_args()

    # after the options are read, so that --help answers at once
    import keras

    import clusterkeras as ck
    from data_tools.records.dataset import make_dataset
    from data_tools.records.finished_set import read_set

    def read(split: str) -> object:
        training, size = split == "train", args.batch_size
        return make_dataset(args.data, split, size, training=training, context=True)

    train, validation = read("train"), read("validation")

    shape = {"backbone": args.backbone} if args.backbone else {}
    model = ck.ClusterModel(read_set(args.data).target, ck.ModelConfig(**shape))
    training = ck.TrainingConfig(learning_rate=args.learning_rate)
    # Muon with its schedule; any optimizer of Keras will do
    model.compile(ck.make_optimizer(training, steps=args.epochs * len(train)))
    callbacks = [keras.callbacks.TerminateOnNaN()]
    callbacks += [keras.callbacks.TensorBoard(args.logs)] if args.logs else []
    model.fit(
        train,
        validation_data=validation,
        epochs=args.epochs,
        shuffle=False,  # the dataset shuffles itself
        callbacks=callbacks,
    )
    # so that it can tell what is like none of its mocks
    ck.fit_unlike(model, train, validation)
    model.save(args.output)


if __name__ == "__main__":
    main()
