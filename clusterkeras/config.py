"""Configuration of the commands: frozen, checked, read from YAML or the command line.

TensorFlow is not imported here, so that the command line answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from data_tools.foreign.limits import (
    above,
    below_one,
    by_name,
    check,
    each,
    number,
    one_of,
    optional,
    ordered,
    seed,
    text,
    truth,
    whole,
)
from data_tools.schema import KINDS, STELLAR_MODELS

#: Of a posterior under no stellar model in particular.
ANY_STELLAR_MODEL = "any"

#: Names of the joint posteriors; `clusterkeras.network.posteriors.build` makes them.
POSTERIORS = ("mixture", "flow", "grid")


#: Images that a network is shown at once: 65,536 of 64 x 64 pixels in 3 bands are
#: 3.2 GB before the first layer.
LARGEST_BATCH = 65_536

#: Draws of one posterior: 100,000 are two hundred times what any summary needs.
MOST_DRAWS = 100_000


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the network.

    Attributes
    ----------
    backbone : str
        Name of a backbone; a wrong one is answered with their list; see
        `clusterkeras.network.backbones`.
    posterior : {"mixture", "flow", "grid"}
        Joint posterior: a mixture of Gaussians, a spline coupling flow, which is
        better at the same cost, or the published network's joint softmax, which bins
        the visibility too.
    components : int
        Gaussians of the mixture.
    flow_depth : int
        Couplings of the flow.
    flow_bins : int
        Bins of each of its splines.
    flow_width : int
        Width of the networks that shape them.
    hidden : int
        Width of the dense layer between backbone and heads; a backbone that ends in a
        dense layer of its own, as the published one, has none between.
    softening_njy : float
        Flux per pixel, in nJy, where the input scaling turns from linear to log.
    dropout : float
        Share of features dropped before the heads in training.
    context : bool
        Whether the network may be told what is known beside the pixels: the PSF's
        width, the exposure, the stellar model (`data_tools.schema.CONTEXT`).
    kinds : bool
        Whether it tells all kinds of objects apart (`data_tools.schema.KINDS`), and not
        only clusters from the rest.

    Examples
    --------
    >>> from clusterkeras import ModelConfig
    >>> ModelConfig(backbone="resnet_tiny", posterior="mixture").components
    12
    """

    backbone: str = "resnet_centred"
    posterior: Literal["mixture", "flow", "grid"] = "flow"
    components: int = 12
    flow_depth: int = 6
    flow_bins: int = 8
    flow_width: int = 32
    hidden: int = 256
    softening_njy: float = 4.0
    dropout: float = 0.0
    context: bool = True
    kinds: bool = True

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "model.",
            {
                "backbone": text(empty=False),
                "posterior": one_of(POSTERIORS),
                "components": whole(1, 1000),
                "flow_depth": whole(1, 100),
                "flow_bins": whole(2, 1000),
                "flow_width": whole(1, 10_000),
                "hidden": whole(1, 100_000),
                "softening_njy": above(0, 1e9),
                "dropout": below_one(),
                "context": truth(),
                "kinds": truth(),
            },
        )


@dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained.

    Attributes
    ----------
    epochs : int
        Passes over the training set.
    batch_size : int
        Images a step.
    learning_rate : float
        Highest learning rate, after warm-up.
    warmup : float
        Share of all steps in which the rate rises from zero, at the beginning.
    decay : float
        Share of all steps in which it falls to zero, at the end. There, from the first
        whole epoch on, images are normalised by the means and variances that were kept
        and not by those of their batch: trained as it is used, a network gets sharper.
    fresh_mocks : int
        Epochs after which the set is made anew with another seed, so that no mock is
        met more often; the one before is removed. 0 to stay with the set that is
        given.
    weight_decay : float
        Decoupled weight decay of kernels.
    clip_norm : float
        Largest global norm of the gradient.
    ema_momentum : float
        Momentum of the running mean of the weights that is saved; 0 for none.
    presence_weight : float
        Weight of the loss of cluster or none, beside the posterior's.
    visibility_weight : float
        Weight of the visibility's loss, beside the posterior's.
    picture_epochs : int
        Epochs between pictures in TensorBoard; 0 for none.
    n_mocks : int
        Train on the first so many mocks of the set; 0 for all.
    seed : int
        Seed of the weights and of the data's order and augmentation.
    start_from : str
        Trained model, by name or path, whose weights the training starts from, for
        another galaxy, depth or other bands too: it must have the same shape, and a
        band in common; see `clusterkeras.training.transfer.carry_over`. Empty for none.
    mixed_precision : bool
        Whether convolutions multiply in bfloat16 while training; weights, photometry,
        posterior and the model that is saved stay float32. Faster where the processor
        has ``amx_bf16`` among its flags, slower elsewhere, also where it has
        ``avx512_bf16`` alone.

    Examples
    --------
    >>> from clusterkeras import TrainingConfig
    >>> TrainingConfig(epochs=5).learning_rate
    0.002
    """

    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 2e-3
    warmup: float = 0.03
    decay: float = 0.2
    fresh_mocks: int = 0
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    ema_momentum: float = 0.0
    presence_weight: float = 1.0
    visibility_weight: float = 0.2
    picture_epochs: int = 2
    n_mocks: int = 0
    seed: int = 0
    start_from: str = ""
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "training.",
            {
                "epochs": whole(1, 1_000_000),
                "batch_size": whole(1, LARGEST_BATCH),
                "learning_rate": above(0, 100),
                "warmup": below_one(),
                "decay": number(0, 1),
                "fresh_mocks": whole(0, 1_000_000),
                "weight_decay": number(0, 100),
                "clip_norm": above(0, 1e9),
                "ema_momentum": below_one(),
                "presence_weight": number(0, 1e6),
                "visibility_weight": number(0, 1e6),
                "picture_epochs": whole(0, 1_000_000),
                "n_mocks": whole(0, 10**12),
                "seed": seed(),
                "start_from": text(),
                "mixed_precision": truth(),
            },
        )
        if self.warmup + self.decay > 1:
            raise ValueError(
                "training.warmup and training.decay must be 1 at most together; "
                f"received {self.warmup} and {self.decay}"
            )


@dataclass(frozen=True)
class DetectionConfig:
    """How candidates are found on a mosaic.

    Attributes
    ----------
    threshold : float
        Detection threshold in units of the local background's RMS.
    box_px : int
        Side of the boxes in which background and RMS are estimated.
    fwhm_px : float
        FWHM of the narrowest Gaussian that is looked for, in pixels.
    min_separation_px : float
        Candidates closer than this are one.
    max_candidates : int
        The most significant so many are kept; 0 for all.

    Examples
    --------
    >>> from clusterkeras import DetectionConfig
    >>> DetectionConfig(threshold=5.0).threshold
    5.0
    """

    threshold: float = 5.0
    box_px: int = 48
    fwhm_px: float = 2.5
    min_separation_px: float = 3.0
    max_candidates: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "detection.",
            {
                "threshold": above(0, 1e9),
                "box_px": whole(8, 100_000),
                "fwhm_px": above(0, 100),
                "min_separation_px": number(0, 10_000),
                "max_candidates": whole(0, 10**12),
            },
        )


@dataclass(frozen=True)
class InferenceConfig:
    """How positions become posteriors.

    Attributes
    ----------
    batch_size : int
        Cutouts a step.
    draws : int
        Draws of the joint posterior a position in the file of draws, if one is asked
        for; at least 16.
    seed : int
        Seed of those draws: the same seed gives the same.
    cluster_share : float or None
        Share of clusters expected among the positions, in (0, 1), the prior of
        ``p_cluster``; without, it is estimated from all positions together.
    other_shares : dict of str to float, or None
        Relative shares of the other kinds (`data_tools.schema.KINDS`) expected among
        the positions; without, they are estimated too.
    min_log_snr : float
        Visibility (dex) below which a row is flagged.
    unlike_share : float
        A row is flagged as unlike the mocks if a smaller share of them is further out:
        the share of false alarms among images that are like them.
    saturation_electrons : float
        Pixels above this many electrons in one exposure are flagged as saturated;
        used where the header gives the exposure time.
    exposure_factor : (float, float)
        Range of log10 of the exposure at a position over the target's outside which a
        row is flagged: that of the priors the model was trained with.
    origin : {0, 1} or None
        What the pixel columns of the positions call the middle of the first pixel: 0
        as Python and this package do, 1 as FITS and DS9 do. Without, it goes by the
        format of the file and by its sky positions, and is 0 if it has none.
    psf_fwhm_px : tuple of float, or None
        Full width at half maximum of the PSF in each band, in the mosaics' pixels, null
        for one that is not known: a model that takes it is told. Without, it is
        measured on the mosaics' stars.
    stellar_model : {"any", "MIST", "PARSEC", "SSE"}
        Stellar model under which the posterior is; any: all that the model knows. SSE
        has no mocks above 1 Gyr, and takes an older cluster for a younger one.
    by_stellar_model : bool
        Whether the catalogue has age and extinction under each stellar model too. The
        network looks at the pixels once, and is asked four times what it makes of them.

    Examples
    --------
    >>> from clusterkeras import InferenceConfig
    >>> InferenceConfig(seed=1, cluster_share=0.05).cluster_share
    0.05
    """

    batch_size: int = 256
    draws: int = 256
    seed: int = 0
    cluster_share: float | None = None
    other_shares: dict[str, float] | None = None
    min_log_snr: float = 0.7
    unlike_share: float = 0.01
    saturation_electrons: float = 60_000.0
    exposure_factor: tuple[float, float] = (-0.3, 0.2)
    origin: int | None = None
    psf_fwhm_px: tuple[float | None, ...] | None = None
    stellar_model: str = ANY_STELLAR_MODEL
    by_stellar_model: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        for name in (ANY_STELLAR_MODEL, *STELLAR_MODELS):
            if str(self.stellar_model).lower() == name.lower():
                object.__setattr__(self, "stellar_model", name)
        check(
            self,
            "inference.",
            {
                "batch_size": whole(1, LARGEST_BATCH),
                "draws": whole(16, MOST_DRAWS),
                "seed": seed(),
                "cluster_share": optional(below_one(without_zero=True)),
                "other_shares": optional(by_name(KINDS[1:], number(0, 1e9))),
                "min_log_snr": number(-100, 100),
                "unlike_share": below_one(),
                "saturation_electrons": above(0, 1e12),
                "exposure_factor": ordered(-100, 100, apart=True),
                "origin": one_of((None, 0, 1)),
                # the pixel alone is one wide, and every PSF holds it
                "psf_fwhm_px": optional(each(optional(above(1, 100)))),
                "stellar_model": one_of((ANY_STELLAR_MODEL, *STELLAR_MODELS)),
                "by_stellar_model": truth(),
            },
        )
        if self.other_shares is not None and not sum(self.other_shares.values()) > 0:
            raise ValueError(
                "inference.other_shares must be shares that are not all zero; received "
                f"{self.other_shares}"
            )


@dataclass(frozen=True)
class ReportConfig:
    """What a catalogue's web page holds.

    Attributes
    ----------
    n : int
        Clusters on the page at most: the likeliest so many. 5,000 are some 26 MB.
    map_px : int
        Pixels of the map's longer side at most.
    draws : int
        Draws of each joint posterior from which its contours are made.
    """

    n: int = 5000
    map_px: int = 1600
    draws: int = 512

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "report.",
            {
                "n": whole(1, 10_000_000),
                "map_px": whole(64, 20_000),
                "draws": whole(64, MOST_DRAWS),
            },
        )


@dataclass(frozen=True)
class CompletenessConfig:
    """How it is measured which clusters are found.

    Attributes
    ----------
    n : int
        Clusters to inject, at least; the last round is finished.
    p_cluster : float
        A row counts as a cluster from this ``p_cluster`` on, unless it is an overlap.
    match_px : float
        Distance within which a row is a cluster, if its half-light radius is not
        larger.
    spacing_px : float
        Smallest distance between two clusters of one round: more than a cutout, so
        that none is seen in another's.
    seed : int
        Seed of places, clusters and noise; the same seed gives the same.

    Examples
    --------
    >>> from clusterkeras import CompletenessConfig
    >>> CompletenessConfig(n=5000).p_cluster
    0.5
    """

    n: int = 2000
    p_cluster: float = 0.5
    match_px: float = 4.0
    spacing_px: float = 100.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "completeness.",
            {
                "n": whole(1, 100_000_000),
                "p_cluster": below_one(without_zero=True),
                "match_px": above(0, 10_000),
                "spacing_px": above(0, 100_000),
                "seed": seed(),
            },
        )
        if self.spacing_px <= self.match_px:
            raise ValueError(
                "completeness.spacing_px must be > match_px; received "
                f"{self.spacing_px!r} beside {self.match_px!r}"
            )


@dataclass(frozen=True)
class PopulationConfig:
    """How the population behind a catalogue is fitted.

    Attributes
    ----------
    cutoff : bool
        Whether the mass function ends in a cutoff, exp(-M / cutoff_mass), and is not a
        power of the mass up to the end of the box.
    steps : int
        Steps of each of the sampler's 32 points; the first quarter is left out.
    seed : int
        Seed of the draws; the same seed gives the same.

    Examples
    --------
    >>> from clusterkeras import PopulationConfig
    >>> PopulationConfig(cutoff=True).steps
    1500
    """

    cutoff: bool = False
    steps: int = 1500
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "population.",
            {
                "cutoff": truth(),
                "steps": whole(100, 1_000_000),
                "seed": seed(),
            },
        )


@dataclass(frozen=True)
class ServeConfig:
    """How models are served.

    Attributes
    ----------
    host : str
        Address to listen on; the default is this machine's own, which no other reaches.
    grpc_port : int
        Of gRPC, TensorFlow Serving's own; 0 for any that is free.
    rest_port : int
        Of REST, TensorFlow Serving's own; 0 for any that is free.
    versions : int
        Newest versions that are served side by side.
    labels : dict of str to int
        Other names of versions, by which a request may ask.
    poll_s : float
        Seconds between looks for new versions.
    request_rows : int
        Rows of a request at most.
    batch_rows : int
        Rows at most of the batches that requests share; a request with more has
        several.
    queue_rows : int
        Rows that may wait; a request beyond is told to come again.
    message_mb : int
        Megabytes of a message at most.
    grace_s : float
        Seconds that requests have to be answered when the server is told to end.
    token_file : str
        File with a secret that a request must show, as ``authorization: Bearer
        SECRET``; empty for none.
    tls_certificate : str
        PEM file with the certificate for TLS; empty for none.
    tls_key : str
        PEM file with its key.
    """

    host: str = "127.0.0.1"
    grpc_port: int = 8500
    rest_port: int = 8501
    versions: int = 1
    labels: dict[str, int] = field(default_factory=dict)
    poll_s: float = 2.0
    request_rows: int = 256
    batch_rows: int = 64
    queue_rows: int = 8192
    message_mb: int = 64
    grace_s: float = 30.0
    token_file: str = ""
    tls_certificate: str = ""
    tls_key: str = ""

    def __post_init__(self) -> None:
        """Check every value."""
        port = whole(0, 65_535)
        check(
            self,
            "serve.",
            {
                "host": text(empty=False),
                "grpc_port": port,
                "rest_port": port,
                "versions": whole(1, 1000),
                "labels": by_name(None, whole(1, 2**63 - 1)),
                "poll_s": above(0, 86_400),
                "request_rows": whole(1, LARGEST_BATCH),
                "batch_rows": whole(1, LARGEST_BATCH),
                "queue_rows": whole(1, 10_000_000),
                "message_mb": whole(1, 2047),
                "grace_s": number(0, 86_400),
                "token_file": text(),
                "tls_certificate": text(),
                "tls_key": text(),
            },
        )
        if self.queue_rows < self.request_rows:
            raise ValueError(
                "serve.queue_rows must be request_rows or more, or no full request "
                f"could wait; received {self.queue_rows} and {self.request_rows}"
            )
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError(
                "serve.tls_certificate and serve.tls_key must both be given, or "
                "neither; received one"
            )
