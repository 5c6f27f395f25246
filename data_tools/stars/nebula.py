"""Light of ionised gas about young clusters: how bright, in which bands, and where."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np

from data_tools.priors import Priors
from data_tools.stars.evolution.stellar_photometry import vega_magnitudes
from data_tools.stars.population import Population
from data_tools.tables import load_tables, nebula_file
from data_tools.target import Target

#: Stars above this temperature (log10 K) give the ionising light. Their light in the
#: bluest band follows that of their ionising photons, taken as black bodies, with a
#: correlation of 0.96 or more from cluster to cluster (0.7 at 3-5 Myr, where Wolf-Rayet
#: stars give much of it).
_HOT_LOG_TEFF = 4.3
#: For so long, in dex of age, gas fades on beyond the table as over its last step: to
#: 0.4 % of the stars' light in F657N.
_FADING = 0.3
#: Outer radii of the gas, in units of the shell's, between which its inner radius is
#: drawn: a filled sphere, or a wall a tenth as thick as wide.
_INNER = (0.0, 0.9)
#: Largest distance of the shell's middle from the cluster's, in its radii.
_OFF_CENTRE = 0.3
#: Largest scatter of the natural logarithm of the gas's light and of the shell's radius
#: over the shell, and the waves on the sphere that make them; how far, in radii, it
#: frays.
_CLUMPS, _RAGGED, _WAVES = 1.5, 0.3, 6
_FRAYED = 0.1
#: Points for the gas of a shell: the first number that is this many for each square
#: pixel of its disc, or the last.
_POINTS_PER_PX, _POINTS = 0.6, (150, 500, 1600)
#: Points for the gas on the cluster: as many for each square pixel of a disc of so many
#: half-light radii, where its Gaussian ends.
_COMPACT_REACH = 2.5
#: Where points stand so many pixels apart they would look like stars: each becomes a
#: Gaussian cloud, of so many for each square pixel, at most so many in all, and with
#: this sigma in units of their distance.
_APART, _CLOUD_PER_PX, _MOST_EACH, _CLOUD = 1.8, 0.3, 80, 1.2
#: Points for the gas of a cluster, at most.
MAX_GAS_POINTS = 2 * _POINTS[-1] * _MOST_EACH

_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
#: Depths in the shell go on by this, so that they fill each part of it evenly with the
#: angles: one over the plastic number (Roberts's sequence).
_DEPTH_STEP = 0.7548776662466927


@lru_cache(maxsize=1)
def _table() -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(nebula_file().read_bytes()), allow_pickle=False) as stored:
        table = {name: stored[name] for name in stored.files}
    table["log_light"] = np.log(table.pop("light").astype(float))
    return table


def oldest_log_age() -> float:
    """Return the age (log10 yr) from which on gas gives no light."""
    return float(_table()["log_age"][-1]) + _FADING


@lru_cache(maxsize=8)
def _band_light(bands: tuple[str, ...]) -> np.ndarray:
    """Return the logarithms of the table's light in some bands, bands last but one."""
    known = _table()["bands"].tolist()
    return _table()["log_light"][..., [known.index(band) for band in bands], :]


def gas_light(target: Target, log_age: float, feh: float, log_u: float) -> np.ndarray:
    """Return the light of gas that takes up all ionising light of a population.

    Lines and continuum from Cloudy for single stars of one age (see ``NEBULA.md``
    beside the tables), each interpolated linearly in its logarithm, in log age,
    [Fe/H] and ionisation parameter; those beyond the table take its edge. Beyond its
    last age, 12.6 Myr, where gas adds 0.4 % in F336W and 7 % in F657N, it fades as over
    the last step, by 2.6 each 0.1 dex; there is none beyond 25 Myr.

    Parameters
    ----------
    target : Target
        Bands and distance.
    log_age : float
        log10 of the age in years.
    feh : float
        [Fe/H] in dex, of stars and gas.
    log_u : float
        log10 of the ionisation parameter.

    Returns
    -------
    (bands,) ndarray
        In nJy for each Msun of stars formed, no dust.
    """
    if log_age > oldest_log_age():
        return np.zeros(len(target.bands))
    light = _band_light(target.band_names)
    for name, value in (
        ("log_metallicity", feh),
        ("log_u", log_u),
        ("log_age", log_age),
    ):
        nodes = _table()[name]
        place = np.interp(value, nodes, np.arange(len(nodes)))
        lower = min(int(place), len(nodes) - 2)
        if name == "log_age":
            place += max(value - nodes[-1], 0) / (nodes[-1] - nodes[-2])
        light = light[lower] + (place - lower) * (light[lower + 1] - light[lower])
    at_target = 1e9 * (1e-5 / target.distance_mpc) ** 2
    return at_target * np.exp(light).sum(-1)


def hot_light(population: Population, target: Target) -> np.ndarray:
    """Return each point's light in the bluest band if it is hot, else zero.

    It stands for its ionising light. Stars hotter than 20,000 K are told by their
    colour between the bluest band and the reddest.

    Parameters
    ----------
    population : Population
    target : Target
        Bands.

    Returns
    -------
    (n,) ndarray
    """
    pivots = [band.photplam for band in target.bands]
    blue, red = int(np.argmin(pivots)), int(np.argmax(pivots))
    seen = population.flux[:, blue]
    limit = _hot_ratio(target.band_names[blue], target.band_names[red])
    return np.where(seen > limit * population.flux[:, red], seen, 0.0)


@lru_cache(maxsize=8)
def _hot_ratio(blue: str, red: str) -> float:
    """Return the flux in one band over that in another of the coolest hot star."""
    bands = (blue, red)
    star = (
        vega_magnitudes(0.0, _HOT_LOG_TEFF, 3.5, bands)[0] + load_tables(bands).vega_ab
    )
    return 10 ** (-0.4 * (star[0] - star[1]))


@lru_cache(maxsize=len(_POINTS))
def _sphere(n: int) -> np.ndarray:
    """Return n points (3, n) all over a sphere, each as far from its neighbours."""
    along = 1 - (2 * np.arange(n) + 1) / n
    angle = _GOLDEN_ANGLE * np.arange(n)
    across = np.sqrt(1 - along * along)
    sphere = np.stack([along, across * np.cos(angle), across * np.sin(angle)])
    return sphere.astype(np.float32)


@lru_cache(maxsize=len(_POINTS))
def _gaussian(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n points all over a disc, and the shares of a Gaussian of r_h 1 there."""
    # half of a two-dimensional Gaussian lies within 1.177 sigma
    radius = _COMPACT_REACH * np.sqrt((np.arange(n) + 0.5) / n)
    share = np.exp(-0.5 * (1.177 * radius) ** 2)
    angle = _GOLDEN_ANGLE * np.arange(n)
    points = radius * np.stack([np.cos(angle), np.sin(angle)])
    return points, share / share.sum()


def _enough(radius_px: float) -> int:
    """Return the number of points that makes a disc of this radius smooth."""
    wanted = np.pi * radius_px**2 * _POINTS_PER_PX
    return next((n for n in _POINTS if n >= wanted), _POINTS[-1])


@lru_cache(maxsize=_MOST_EACH)
def _cloud(n: int) -> np.ndarray:
    """Return n points (2, n) of a Gaussian of sigma 1."""
    radius = np.sqrt(-2 * np.log1p(-(np.arange(n) + 0.5) / n))
    angle = _GOLDEN_ANGLE * np.arange(n)
    cloud = radius * np.stack([np.cos(angle), np.sin(angle)])
    return cloud.astype(np.float32)


def _clouded(
    x: np.ndarray,
    y: np.ndarray,
    share: np.ndarray,
    radius_px: float,
    window: tuple[float, float, float] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points spread over a disc of this radius, more where they are few."""
    apart = radius_px * np.sqrt(np.pi / len(x))
    if apart < _APART:
        return x, y, share
    each = min(2 + int(apart**2 * _CLOUD_PER_PX), _MOST_EACH)
    along, across = cloud = np.float32(_CLOUD * apart) * _cloud(each)
    if window is not None:
        column, row, half = window
        reach = half + np.abs(cloud).max()
        near = np.maximum(np.abs(x - column), np.abs(y - row)) < reach
        x, y, share = x[near], y[near], share[near]
    return (
        (x[:, None] + along).ravel(),
        (y[:, None] + across).ravel(),
        np.repeat(share / each, each),
    )


def gas_points(
    radius_px: float,
    cluster_radius_px: float,
    compact: float,
    rng: np.random.Generator,
    window: tuple[float, float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points that stand for the light of a cluster's gas.

    A part of it is a Gaussian as large as the cluster; the rest fills a spherical
    shell, from its drawn inner radius to its outer one, about a middle off the
    cluster's. The shell is brighter and wider on some sides than on others, and frays.
    Its points go round it by the golden angle; those of a large one are clouds of more.

    Parameters
    ----------
    radius_px : float
        Outer radius of the shell in pixels.
    cluster_radius_px : float
        Projected half-light radius of the gas that lies on the cluster.
    compact : float
        Its share of the light.
    rng : numpy.random.Generator
        Source of randomness.
    window : (float, float, float), optional
        Middle, x and y in pixels from the centre, and half the side of a square beyond
        which no points are needed: there may be fewer there, those inside are the same.

    Returns
    -------
    x, y : (n,) ndarray
        Offsets from the cluster's centre in pixels.
    share : (n,) ndarray
        Share of the light; they add up to one, or less with a window.
    """
    sphere = _sphere(_enough(radius_px))
    inner = rng.uniform(*_INNER) ** 3
    n = sphere.shape[1]
    depth = (rng.random() + _DEPTH_STEP * np.arange(n)) % 1
    waves = rng.standard_normal((3, 2 * _WAVES, 1), np.float32)
    waves *= rng.uniform(1, 4, (2 * _WAVES, 1)).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, (2 * _WAVES, 1)).astype(np.float32)
    for wave, along in zip(waves, sphere, strict=True):
        phases = phases + wave * along
    bumps = np.cos(phases).reshape(2, _WAVES, n).sum(1)
    scatter = np.array([[_CLUMPS], [_RAGGED]]) * rng.random((2, 1))
    scatter *= np.sqrt(2 / _WAVES)
    share, radius = np.exp(scatter.astype(np.float32) * bumps)
    share *= (1 - compact) / share.sum()
    radius *= np.cbrt(inner + (1 - inner) * depth)
    radius *= 1 + _FRAYED * rng.standard_normal(n, np.float32)
    off = _OFF_CENTRE * rng.uniform(-1, 1, (2, 1))
    x, y = radius_px * (sphere[:2] * radius + off)
    x, y, share = _clouded(x, y, share, radius_px, window)
    if not compact:
        return x, y, share
    reach = _COMPACT_REACH * cluster_radius_px
    points, near = _gaussian(_enough(reach))
    turn = rng.uniform(0, 2 * np.pi)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    near_x, near_y = cluster_radius_px * (turned[:, :, None] * points).sum(1)
    near_x, near_y, near = _clouded(near_x, near_y, compact * near, reach, window)
    return (
        np.concatenate([x, near_x]),
        np.concatenate([y, near_y]),
        np.append(share, near),
    )


def lone_star(population: Population, point: int, target: Target) -> np.ndarray:
    """Return counts (n,) that stand for one star alone; see `draw_gas`.

    A star's ionising photons go up faster with its mass than its light in the bluest
    band: in the mean over a population as the 1.5th power of it.
    """
    hot = hot_light(population, target)
    counts = np.zeros(len(hot))
    if hot[point]:
        steep = hot**1.5
        counts[point] = steep[point] / hot[point]
        counts[point] *= (population.number @ hot) / (population.number @ steep)
    return counts


def draw_gas(
    target: Target,
    priors: Priors,
    parameters: np.ndarray,
    traits: dict[str, float],
    population: Population,
    counts: np.ndarray,
    rng: np.random.Generator,
    screens: tuple[np.ndarray, np.ndarray] | None = None,
    window: tuple[float, float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Draw the ionised gas of a cluster, or of a looser group, as points of light.

    It is as bright as the drawn hot stars make it. Dust reddens it by the law of the
    hottest of them, and lies about it as about the stars: as much of the gas as of them
    is behind each A_V.

    Parameters
    ----------
    target : Target
        Bands, distance, pixels.
    priors : Priors
        ``nebular_band_dex``.
    parameters : (4,) ndarray
        The cluster's, in the order of `data_tools.schema.PARAMETERS`.
    traits : dict of str to float
        The cluster's, as its record has them: ``feh`` and those of gas.
    population : Population
        Its stars, before dust.
    counts : (n,) ndarray
        How many were drawn at each of its points.
    rng : numpy.random.Generator
        Source of randomness.
    screens : ((k,) ndarray, (k,) ndarray), optional
        A_V in mag that stand for those of its stars, and the share of stars behind
        each; without, all are behind the cluster's.
    window : (float, float, float), optional
        Where points are needed; see `gas_points`.

    Returns
    -------
    x, y : (n,) ndarray
        Offsets from the centre in pixels.
    flux : (n, bands) ndarray
        In nJy.

    None where there is no gas, or none that gives light.
    """
    log_age, a_v, _, log_radius = parameters
    if not traits["nebular_covering"] or log_age > oldest_log_age():
        return None
    hot = hot_light(population, target)
    drawn = counts @ hot
    if not drawn:
        return None
    light = gas_light(target, log_age, traits["feh"], traits["nebular_log_u"])
    light *= traits["nebular_covering"] * drawn / (population.number @ hot)
    light *= 10 ** (priors.nebular_band_dex * rng.standard_normal(len(light)))
    hottest = np.argmax(population.number * hot)
    depths, shares = ([a_v], [1.0]) if screens is None else screens
    light *= shares @ 10 ** (-0.4 * np.outer(depths, population.extinction[hottest]))
    pixel = target.pixel_scale_arcsec
    x, y, share = gas_points(
        traits["nebular_radius_pc"] / target.pc_per_arcsec / pixel,
        10**log_radius / pixel,
        traits["nebular_compact"],
        rng,
        window,
    )
    return x, y, share[:, None] * light
