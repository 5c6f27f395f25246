"""Where the stars and the dust of a patch of disc lie: arm, clumps, bulge, lanes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft

from data_tools.priors import Priors

#: Slopes of the power spectra of young stars and of dust, and the scatter of the
#: natural logarithm of their density: a log-normal map is what turbulence makes
#: (Elmegreen & Scalo 2004, ARA&A 42, 211).
_CLUMP_SLOPE, _CLUMP_SCATTER = 2.5, (0.6, 1.5)
_DUST_SLOPE, _DUST_SCATTER = 2.8, (0.4, 1.0)
#: Wavenumber in cycles per cell from which on random maps have no power.
_FINEST = 0.25
#: Largest change of the disc's density from the middle of a field to its edge, in e.
_GRADIENT = 0.3
#: Gaussian sigma of an arm's cross-section in pc (Reid et al. 2014, ApJ 783, 130,
#: table 2: 170 to 630 pc in the Milky Way).
_ARM_WIDTH_PC = (150.0, 600.0)
#: Share by which an arm is denser in old stars: a few tenths (Querejeta et al. 2024,
#: A&A 687, A293).
_ARM_OLD = (0.1, 0.6)
#: The dust lane on one side of an arm's ridge: its distance and Gaussian sigma in
#: units of the arm's, and its A_V in units of the disc's.
_LANE_PLACE = (0.5, 1.5)
_LANE_WIDTH = (0.1, 0.4)
_LANE_A_V = (1.0, 6.0)
#: Exponential scale of a bulge's inner profile in pc (pseudo-bulges have half-light
#: radii of some hundred pc: Fisher & Drory 2008, AJ 136, 773).
_BULGE_SCALE_PC = (100.0, 600.0)


@lru_cache(maxsize=8)
def _amplitude(n: int, slope: float) -> np.ndarray:
    """Return the amplitudes of a real map's Fourier coefficients below _FINEST.

    Rows of positive and of negative frequencies, columns of positive ones.
    """
    rows = np.fft.fftfreq(n)
    rows = rows[np.abs(rows) < _FINEST]
    columns = np.fft.rfftfreq(n)
    columns = columns[columns < _FINEST]
    frequency = np.hypot(rows[:, None], columns)
    frequency[0, 0] = np.inf
    amplitude = frequency ** (-slope / 2)
    # a real map keeps half the variance of coefficients that mirror one another
    amplitude[:, 0] *= np.sqrt(2)
    amplitude = amplitude.astype(np.float32)
    amplitude.flags.writeable = False
    return amplitude


def gaussian_random_field(n: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a map of zero mean and unit variance with a power-law power spectrum.

    Opposite edges meet. There is no power at wavelengths below four cells: a UVIS PSF
    leaves little there.

    Parameters
    ----------
    n : int
        Side.
    slope : float
        Power ~ wavenumber^-slope; the interstellar medium of discs has 2.5 to 3
        (Elmegreen & Scalo 2004, ARA&A 42, 211).
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    (n, n) ndarray of float32
    """
    amplitude = _amplitude(n, slope)
    white = rng.standard_normal((*amplitude.shape, 2), np.float32)
    waves = white.view(np.complex64)[..., 0]
    waves *= amplitude
    spectrum = np.zeros((n, amplitude.shape[1]), np.complex64)
    positive = (len(waves) + 1) // 2
    spectrum[:positive] = waves[:positive]
    spectrum[positive - len(waves) :] = waves[positive:]
    spectrum = scipy.fft.ifft(spectrum, axis=0, overwrite_x=True)
    field = scipy.fft.irfft(spectrum, n, axis=1)
    field -= field.mean()
    field /= field.std()
    return field


@dataclass(frozen=True)
class Disc:
    """A patch of disc, in square cells.

    Attributes
    ----------
    cell_pc : float
        Side of a cell.
    smooth : (n, n) ndarray of float32
        Density of the disc's stars that have left their birthplace, mean 1.
    young : (n, n) ndarray of float32
        Density of those that have not, mean 1.
    bulge : (n, n) ndarray of float32 or None
        Surface density of the bulge in Msun / pc2.
    dust : (n, n) ndarray of float32
        A_V through the whole disc in mag.
    properties : dict of str to float
        What was drawn: ``old_mass_density`` of the disc's stars older than 1 Gyr and
        ``bulge_mass_density`` in the middle of the bulge, Msun / pc2; ``sfr_density``,
        Msun / yr / kpc2; ``dust_a_v``, median A_V in mag; ``arm_contrast``, 1 without
        an arm; ``association_share``.
    """

    cell_pc: float
    smooth: np.ndarray
    young: np.ndarray
    bulge: np.ndarray | None
    dust: np.ndarray
    properties: dict[str, float]

    @property
    def area_pc2(self) -> float:
        """Area of the patch."""
        return self.dust.size * self.cell_pc**2


def draw_disc(priors: Priors, n: int, cell_pc: float, rng: np.random.Generator) -> Disc:
    """Draw a patch of disc.

    Old stars follow a gradient, young ones a clumpy map, dust another. A patch may lie
    in a spiral arm, a straight band of Gaussian cross-section: there are more stars,
    above all young ones, more dust, and a dust lane along one side, where gas flows in
    (Roberts 1969, ApJ 158, 123). It may lie on a bulge.

    Parameters
    ----------
    priors : Priors
        Ranges of what is drawn.
    n : int
        Cells along a side.
    cell_pc : float
        Side of a cell in pc.
    rng : numpy.random.Generator
        Source of randomness.
    """
    old_density = 10 ** rng.uniform(*priors.field_old_mass_density)
    sfr_density = 10 ** rng.uniform(*priors.field_sfr_density)
    dust_a_v = 10 ** rng.uniform(*priors.field_dust_a_v)
    association_share = rng.uniform(*priors.field_association_share)

    axis = ((np.arange(n) - (n - 1) / 2) * cell_pc).astype(np.float32)
    half = n * cell_pc / 2
    slope_x, slope_y = rng.uniform(-_GRADIENT, _GRADIENT, 2) / half
    smooth = np.exp(slope_y * axis)[:, None] * np.exp(slope_x * axis)
    scatter = np.float32(rng.uniform(*_CLUMP_SCATTER))
    young = np.exp(scatter * gaussian_random_field(n, _CLUMP_SLOPE, rng))
    young *= smooth
    scatter = np.float32(rng.uniform(*_DUST_SCATTER))
    dust = np.exp(scatter * gaussian_random_field(n, _DUST_SLOPE, rng))
    dust *= dust_a_v

    contrast = 1.0
    if rng.random() < priors.field_arm_fraction:
        contrast = 10 ** rng.uniform(*priors.field_arm_contrast)
        width = np.exp(rng.uniform(*np.log(_ARM_WIDTH_PC)))
        angle = rng.uniform(0, 2 * np.pi)
        across = axis[:, None] * np.sin(angle) + axis * np.cos(angle)
        across -= rng.uniform(-1, 1) * (half + width)
        across /= width
        arm = _gaussian(across)
        lane = _gaussian(
            (across - rng.uniform(*_LANE_PLACE)) / rng.uniform(*_LANE_WIDTH)
        )
        smooth *= 1 + rng.uniform(*_ARM_OLD) * arm
        arm *= contrast - 1
        arm += 1
        young *= arm
        # gas is gathered as star formation is (Querejeta et al. 2024)
        lane *= rng.uniform(*_LANE_A_V)
        arm += lane
        dust *= arm

    bulge, bulge_density = None, 0.0
    if rng.random() < priors.field_bulge_fraction:
        bulge_density = 10 ** rng.uniform(*priors.field_bulge_mass_density)
        scale = np.exp(rng.uniform(*np.log(_BULGE_SCALE_PC)))
        # in half of the fields along each axis the middle of the bulge is inside
        x, y = rng.uniform(-2, 2, 2) * half
        bulge = np.hypot((axis - x) / scale, ((axis - y) / scale)[:, None])
        bulge = np.float32(bulge_density) * np.exp(-bulge)

    return Disc(
        cell_pc,
        smooth / smooth.mean(),
        young / young.mean(),
        bulge,
        dust,
        {
            "old_mass_density": old_density,
            "sfr_density": sfr_density,
            "dust_a_v": dust_a_v,
            "arm_contrast": contrast,
            "association_share": association_share,
            "bulge_mass_density": bulge_density,
        },
    )


def _gaussian(distance: np.ndarray) -> np.ndarray:
    return np.exp(np.float32(-0.5) * distance * distance)
