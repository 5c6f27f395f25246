"""Mocks: a cluster, or something that is none, put into a galaxy field."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from data_tools.compiled import compiled
from data_tools.fields.galaxy_field import FieldMaker, GalaxyField
from data_tools.imaging.field_spectrum import FieldSpectrum, measure_spectrum
from data_tools.imaging.observation import Observation
from data_tools.imaging.psf import fwhm_px
from data_tools.imaging.render import Filters, Renderer
from data_tools.imaging.visibility import visibility
from data_tools.mocks.blemishes import blemished
from data_tools.mocks.complexes import PeakGrounds
from data_tools.mocks.negatives import NegativeMaker
from data_tools.mocks.surroundings import Surroundings
from data_tools.priors import NEIGHBOUR_PX, Priors
from data_tools.schema import (
    FIELD_TRAIT_NAMES,
    KINDS,
    PARAMETER_NAMES,
    PIXEL_UNIT_NJY,
    TRAIT_NAMES,
)
from data_tools.stars.cluster import ClusterMaker, Expected, Points
from data_tools.streams import streams
from data_tools.target import Target

if TYPE_CHECKING:
    from data_tools.fields.backgrounds import Backgrounds

_MARGIN_PX = 16
#: Largest float16; a brighter pixel is far beyond saturation.
_FLOAT16_MAX = 65504.0
#: Bits of the smallest normal float16 as a float32, and the bits between the exponents.
_NORMAL, _REBIAS = 113 << 23, 112 << 23


def _stored(image: np.ndarray) -> np.ndarray:
    """Return an image as a record stores it."""
    stored = np.clip(image / PIXEL_UNIT_NJY, -_FLOAT16_MAX, _FLOAT16_MAX)
    stored = np.ascontiguousarray(stored, np.float32)
    out = np.empty(image.shape, np.float16)
    _round_to_half(stored.view(np.uint32).ravel(), out.view(np.uint16).ravel())
    return out


@compiled
def _round_to_half(single, half):
    """Do what ``values.astype(np.float16)`` does, on the bits of float32 values.

    NumPy takes 25 times as long for numbers below the smallest normal one, of which the
    wings of clusters are full.
    """
    for i in range(len(single)):
        size = single[i] & 0x7FFFFFFF
        if size > 0x7F800000:  # not a number
            bits = 0x7E00
        elif size >= _NORMAL:
            # to the nearest; of two, to the even one
            bits = (size - _REBIAS + 0x0FFF + ((size >> 13) & 1)) >> 13
        else:
            # the fraction with its leading one, less what the exponent takes away
            shift = 126 - (size >> 23)
            bits = 0
            if shift < 25:
                whole = (size & 0x7FFFFF) | 0x800000
                bits = (
                    whole + (1 << (shift - 1)) - 1 + ((whole >> shift) & 1)
                ) >> shift
        half[i] = ((single[i] >> 16) & 0x8000) | bits


class MockMaker:
    """Make the records of a training set, field by field.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        What is drawn.
    backgrounds : Backgrounds, optional
        Real mosaics to cut fields from; without, fields are synthetic.

    Notes
    -----
    Place, kind and parameters of each record, its neighbour, and its light have
    randomness of their own: they stay what they are where another target, other priors
    or another processor's last digits take more or fewer draws for one of them.
    """

    def __init__(
        self,
        target: Target,
        priors: Priors,
        backgrounds: Backgrounds | None = None,
    ) -> None:
        self.target = target
        self.priors = priors = priors.fixed_by(target)
        if backgrounds is None:
            self._fields = FieldMaker(target, priors)
        else:
            from data_tools.fields.mosaic_field import BackgroundMaker

            self._fields = BackgroundMaker(target, priors, backgrounds)
        self.clusters = ClusterMaker(target, priors)
        self._renderer = Renderer(target.cutout_px, _MARGIN_PX)
        # for visibility, which sees next to nothing of the edges
        self._narrow = Renderer(target.cutout_px, 0)
        self.surroundings = Surroundings(self.clusters)
        self._negatives = NegativeMaker(self.clusters, self._renderer)
        kinds = {k: v for k, v in priors.negatives.items() if v > 0}
        self._negative_kinds = tuple(kinds)
        until = np.cumsum(list(kinds.values()))
        self._negative_edges = (until / until[-1:]).tolist()

    def make_field(self, rng: np.random.Generator, split: str = "train") -> GalaxyField:
        """Draw a field; see `FieldMaker.make` and `BackgroundMaker.make`.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        split : {"train", "validation", "test"}
            Part of the set; it matters where fields are cut from real mosaics.
        """
        return self._fields.make(rng, split)

    def mocks(
        self,
        field: GalaxyField,
        n: int,
        rng: np.random.Generator,
        field_id: int,
        first_mock_id: int,
    ) -> Iterator[dict[str, np.ndarray | int | float]]:
        """Draw records on one field.

        Parameters
        ----------
        field : GalaxyField
            Where the backgrounds are cut from.
        n : int
            Number of records.
        rng : numpy.random.Generator
            Source of randomness.
        field_id, first_mock_id : int
            Numbers written into the records.

        Yields
        ------
        dict
            The features of `data_tools.schema.FEATURES` but for ``schema_version``.
        """
        px = self.target.cutout_px
        seen = field.observation
        spectra = seen.psf(self.target, self._renderer.grid)
        psf = self._renderer.filters(spectra)
        narrow_psf = self._narrow.filters(seen.psf(self.target, self._narrow.grid))
        # with the star on the middle of the grid
        images = np.fft.fftshift(scipy.fft.irfft2(spectra), axes=(1, 2))
        fwhm = np.array([fwhm_px(image) for image in images])
        stored_field = _stored(field.image)
        spectrum = measure_spectrum(field.image, px)
        drawn_with = {
            **field.properties,
            "full_well": seen.full_well,
            "transfer_loss": abs(seen.trail).mean(),
        }
        priors = self.priors
        if field.corners is not None:
            # a real mosaic has its own
            priors = replace(priors, cosmic_ray_fraction=0.0, complex_peak_fraction=0.0)
        grounds = PeakGrounds(
            field, self.surroundings, priors.complex_peak_fraction, *streams(rng, 1)
        )
        # nothing shines in from beyond
        reach = px / 2 + _MARGIN_PX
        for i in range(n):
            drawn, beside, inside, near, of_blemishes = streams(rng, 5)
            kind = self._kind(drawn)
            centre = drawn.uniform(-1, 1, 2) * self.priors.centre_offset_px
            row, column = self._corner(field, drawn)
            ground = field
            if kind == "field_peak":
                ground = grounds.draw()
                peak = self._corner_at_peak(ground, centre, drawn)
                if peak is None:
                    kind, ground = "empty", field
                else:
                    row, column = peak
            window = (slice(row, row + px), slice(column, column + px))
            background = ground.image[window]
            stored_background = (
                stored_field[window] if ground is field else _stored(background)
            )
            others = []
            if drawn.random() < self.priors.neighbour_fraction:
                others.append(self._neighbour(psf, seen, beside))
            parameters = np.full(len(PARAMETER_NAMES), np.nan)
            traits = np.full(len(TRAIT_NAMES), np.nan)
            cluster = None
            if kind == "cluster":
                parameters = self._parameters(drawn)
                cluster = self.clusters.draw(parameters, inside)
            around = self.surroundings.draw(
                near, cluster, parameters, reach_px=reach + abs(centre).max()
            )
            if around is not None:
                others.append(self._light(around, centre, psf))
            if others:
                light = seen.saturated(sum(others), background)
                background = background + light + seen.noise(light, beside)
                stored_background = _stored(background)
            if cluster is None:
                light, sought = self._negatives.with_expected(
                    kind, centre, psf, spectrum, seen.electron_njy, inside
                )
            else:
                light = self._light(cluster, centre, psf)
                sought = self._expected(cluster.expected, centre, narrow_psf)
                own = dict(cluster.traits)
                if around is not None:
                    own["host_log_mass"] = around.host_log_mass
                traits = np.array([own[name] for name in TRAIT_NAMES])
            log_snr = np.nan
            if kind not in ("empty", "field_peak"):
                log_snr = visibility(sought, spectrum, seen.electron_njy)
                light = seen.saturated(light, background)
            variance = seen.pixel_variance(background)
            whole = background
            background, blemishes = blemished(
                whole, seen.electron_njy, priors, of_blemishes
            )
            if background is not whole:
                stored_background = _stored(background)
            around_it = {**drawn_with, **blemishes}
            field_traits = [around_it.get(name, np.nan) for name in FIELD_TRAIT_NAMES]
            yield {
                "cluster": _stored(light),
                "background": stored_background,
                "parameters": parameters.astype(np.float32),
                "traits": traits.astype(np.float32),
                "field_traits": np.array(field_traits, np.float32),
                "is_cluster": int(kind == "cluster"),
                "kind": KINDS.index(kind),
                "log_snr": log_snr,
                "centre": centre.astype(np.float32),
                "electron_njy": seen.electron_njy.astype(np.float32),
                "background_variance": variance.astype(np.float32),
                "noise_shift_px": seen.noise_shift_px.astype(np.float32),
                "psf_fwhm_px": fwhm.astype(np.float32),
                "field_id": field_id,
                "mock_id": first_mock_id + i,
            }

    def _kind(self, rng: np.random.Generator) -> str:
        """Draw what is in the middle, of `data_tools.schema.KINDS`."""
        if rng.random() < self.priors.cluster_fraction:
            return "cluster"
        return self._negative_kinds[bisect_right(self._negative_edges, rng.random())]

    def _parameters(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a cluster's parameters from the box."""
        return np.array(
            [rng.uniform(*self.target.box[name]) for name in PARAMETER_NAMES]
        )

    def _corner(
        self, field: GalaxyField, rng: np.random.Generator
    ) -> tuple[int, int] | np.ndarray:
        """Draw the first pixel (row, column) of a cutout."""
        if field.corners is not None:
            return field.corners[rng.integers(len(field.corners))]
        return rng.integers(0, len(field.image) - self.target.cutout_px + 1, 2)

    def _corner_at_peak(
        self, field: GalaxyField, centre: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        """Draw a peak of the field; give the corner of a cutout that has it there.

        None if no such cutout lies on the field.
        """
        px = self.target.cutout_px
        corners = np.rint(field.peaks - (px - 1) / 2 - centre[::-1]).astype(int)
        inside = (corners >= 0) & (corners <= np.array(field.image.shape[:2]) - px)
        corners = corners[inside.all(axis=1)]
        return corners[rng.integers(len(corners))] if len(corners) else None

    def _neighbour(
        self, psf: Filters, seen: Observation, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw the light of a cluster or of a bright star beside the middle."""
        # evenly over the ring's area, as far as a small cutout reaches
        inner, outer = np.square(np.minimum(NEIGHBOUR_PX, self.target.cutout_px / 2))
        distance = np.sqrt(rng.uniform(inner, outer))
        angle = rng.uniform(0, 2 * np.pi)
        place = distance * np.array([np.cos(angle), np.sin(angle)])
        if rng.random() < 0.5:
            cluster = self.clusters.draw(self._parameters(rng), rng)
            return self._light(cluster, place, psf)
        sky = FieldSpectrum.white(seen.white_variance, self.target.cutout_px)
        return self._negatives.draw(
            "bright_star", place, psf, sky, seen.electron_njy, rng
        )

    def _light(self, points: Points, place: np.ndarray, psf: Filters) -> np.ndarray:
        """Return the noise-free light of points about a place (x, y) in pixels."""
        middle = (self._renderer.size_px - 1) / 2
        x, y = points.x + (middle + place[0]), points.y + (middle + place[1])
        return self._renderer.draw(x, y, points.flux, psf)

    def _expected(
        self, points: Expected, place: np.ndarray, psf: Filters
    ) -> np.ndarray:
        """Return expected light about a place, that beyond an edge at the opposite."""
        middle = (self._narrow.size_px - 1) / 2
        x, y = points.x + (middle + place[0]), points.y + (middle + place[1])
        return self._narrow.draw(x, y, points.share, psf, points.colours)
