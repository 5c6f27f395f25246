"""Joint posteriors of star-cluster parameters from HST images.

TensorFlow is imported when a name below is first used, not with the package, so that
a command line answers at once. Keras knows the package's classes as soon as both are
imported, in either order. Where TF_CPP_MIN_LOG_LEVEL is 2 or 3, what TensorFlow writes
before it reads that is left out too.
"""

import importlib
import warnings

import wrapt

from clusterkeras.quiet_tensorflow import hear_no_tensorflow

__version__ = "0.2.0"

_EXPORTS = {
    "Catalogue": "clusterkeras.catalogue.read",
    "ClusterModel": "clusterkeras.network.model",
    "CompletenessConfig": "clusterkeras.config",
    "DetectionConfig": "clusterkeras.config",
    "Ensemble": "clusterkeras.network.ensemble",
    "InferenceConfig": "clusterkeras.config",
    "ModelConfig": "clusterkeras.config",
    "Muon": "clusterkeras.training.optimizer",
    "PopulationConfig": "clusterkeras.config",
    "PublishedModel": "clusterkeras.network.published_model",
    "TrainingConfig": "clusterkeras.config",
    "WarmupPlateauDecay": "clusterkeras.training.optimizer",
    "detect": "clusterkeras.detection.candidates",
    "evaluate": "clusterkeras.evaluation.evaluate",
    "export": "clusterkeras.serving.savedmodel",
    "find_candidates": "clusterkeras.detection.candidates",
    "fit": "clusterkeras.training.fit",
    "fit_population": "clusterkeras.population.fit",
    "fit_unlike": "clusterkeras.network.layers.unlike",
    "infer": "clusterkeras.catalogue.infer",
    "load_model": "clusterkeras.network.loading",
    "make_optimizer": "clusterkeras.training.optimizer",
    "measure_catalogue": "clusterkeras.catalogue.infer",
    "measure_completeness": "clusterkeras.completeness.measure",
    "plot_cluster": "clusterkeras.catalogue.cluster_pictures",
    "presets": "clusterkeras.model_files.presets",
    "save_preset": "clusterkeras.model_files.sharing",
    "write_page": "clusterkeras.report.page",
}

#: Where Keras is imported first thing.
_ON_KERAS = tuple(
    f"clusterkeras.{part}" for part in ("network", "serving", "training", "evaluation")
)

#: Names of before 0.2, which still work.
_RENAMED = {"write_report": "write_page"}

#: Classes that Keras finds in a saved file, by module.
_SAVED = {
    "clusterkeras.network.backbones": ("FusedBatchNormalization",),
    "clusterkeras.network.ensemble": ("Ensemble",),
    "clusterkeras.network.layers.centring": ("Centre", "CentredCrop"),
    "clusterkeras.network.layers.context": ("ContextFeatures",),
    "clusterkeras.network.layers.moments": ("RingMoments",),
    "clusterkeras.network.layers.photometry": (
        "AperturePhotometry",
        "PhotometricFeatures",
    ),
    "clusterkeras.network.layers.scaling": ("JointAsinh",),
    "clusterkeras.network.layers.unlike": ("UnlikeMocks",),
    "clusterkeras.network.model": ("ClusterModel",),
    "clusterkeras.network.posteriors.equal_mixture": ("EnsemblePosterior",),
    "clusterkeras.network.posteriors.flat": ("WithFlatPrior",),
    "clusterkeras.network.posteriors.flow": ("FlowPosterior",),
    "clusterkeras.network.posteriors.gaussian_mixture": ("MixturePosterior",),
    "clusterkeras.network.posteriors.grid": ("GridPosterior",),
    "clusterkeras.network.published_model": ("PublishedModel",),
    "clusterkeras.training.optimizer": ("Muon", "WarmupPlateauDecay"),
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> object:
    """Import what is exported when it is first asked for."""
    if name in _RENAMED:
        warnings.warn(
            f"clusterkeras.{name} is now clusterkeras.{_RENAMED[name]}; the old name "
            "goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        return __getattr__(_RENAMED[name])
    if name not in _EXPORTS:
        raise AttributeError(f"module 'clusterkeras' has no attribute {name!r}")
    if _EXPORTS[name].startswith(_ON_KERAS):
        # says so where Keras has another back end
        importlib.import_module("clusterkeras.network")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the exported names too."""
    return sorted({*globals(), *__all__})


def _let_keras_load(keras: object) -> None:
    """Tell Keras where the classes of saved models are, without importing them."""
    known = keras.saving.get_custom_objects()
    for module, names in _SAVED.items():
        for name in names:
            known.setdefault(f"clusterkeras>{name}", _stand_in(module, name))


def _stand_in(module: str, name: str) -> type:
    """Return what makes objects of a class, which is imported only then."""

    def from_config(config: dict) -> object:
        return getattr(importlib.import_module(module), name).from_config(config)

    return type(name, (), {"from_config": staticmethod(from_config)})


wrapt.register_post_import_hook(_let_keras_load, "keras")
hear_no_tensorflow()
