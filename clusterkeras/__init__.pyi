from clusterkeras.catalogue.cluster_pictures import plot_cluster as plot_cluster
from clusterkeras.catalogue.infer import infer as infer
from clusterkeras.catalogue.infer import measure_catalogue as measure_catalogue
from clusterkeras.catalogue.read import Catalogue as Catalogue
from clusterkeras.completeness.measure import (
    measure_completeness as measure_completeness,
)
from clusterkeras.config import CompletenessConfig as CompletenessConfig
from clusterkeras.config import DetectionConfig as DetectionConfig
from clusterkeras.config import InferenceConfig as InferenceConfig
from clusterkeras.config import ModelConfig as ModelConfig
from clusterkeras.config import PopulationConfig as PopulationConfig
from clusterkeras.config import TrainingConfig as TrainingConfig
from clusterkeras.detection.candidates import detect as detect
from clusterkeras.detection.candidates import find_candidates as find_candidates
from clusterkeras.evaluation.evaluate import evaluate as evaluate
from clusterkeras.model_files.presets import presets as presets
from clusterkeras.model_files.sharing import save_preset as save_preset
from clusterkeras.network.ensemble import Ensemble as Ensemble
from clusterkeras.network.layers.unlike import fit_unlike as fit_unlike
from clusterkeras.network.loading import load_model as load_model
from clusterkeras.network.model import ClusterModel as ClusterModel
from clusterkeras.network.published_model import PublishedModel as PublishedModel
from clusterkeras.population.fit import fit_population as fit_population
from clusterkeras.report.page import write_page as write_page
from clusterkeras.serving.savedmodel import export as export
from clusterkeras.training.fit import fit as fit
from clusterkeras.training.optimizer import Muon as Muon
from clusterkeras.training.optimizer import WarmupPlateauDecay as WarmupPlateauDecay
from clusterkeras.training.optimizer import make_optimizer as make_optimizer

__version__: str
