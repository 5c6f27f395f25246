"""Joint posteriors of star-cluster parameters from HST images.

TensorFlow is imported when a name below is first used, not with the package, so that
a command line answers at once.
"""

import importlib
import sys
import warnings

__version__ = "0.1.0"

_EXPORTS = {
    "Catalogue": "clusterkeras.catalogue.read",
    "ClusterModel": "clusterkeras.network.model",
    "DetectionConfig": "clusterkeras.config",
    "Ensemble": "clusterkeras.network.ensemble",
    "InferenceConfig": "clusterkeras.config",
    "ModelConfig": "clusterkeras.config",
    "Muon": "clusterkeras.training.optimizer",
    "PublishedModel": "clusterkeras.network.published_model",
    "TrainingConfig": "clusterkeras.config",
    "WarmupCosine": "clusterkeras.training.optimizer",
    "detect": "clusterkeras.detection.candidates",
    "evaluate": "clusterkeras.evaluation.evaluate",
    "export": "clusterkeras.serving",
    "find_candidates": "clusterkeras.detection.candidates",
    "fit": "clusterkeras.training.fit",
    "fit_unlike": "clusterkeras.network.layers.unlike",
    "infer": "clusterkeras.catalogue.infer",
    "load_model": "clusterkeras.network.loading",
    "make_optimizer": "clusterkeras.training.optimizer",
    "measure_catalogue": "clusterkeras.catalogue.infer",
    "plot_cluster": "clusterkeras.catalogue.cluster_pictures",
    "write_page": "clusterkeras.report.page",
}

#: Names of before 0.2, which still work.
_RENAMED = {"write_report": "write_page"}

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
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the exported names too."""
    return sorted({*globals(), *__all__})


if "keras" in sys.modules:
    # so that keras.models.load_model knows the classes at once
    importlib.import_module("clusterkeras.network.ensemble")
