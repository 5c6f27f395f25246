"""A catalogue, its mosaics and its model's posteriors as one web page."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
from bokeh.models import BooleanFilter, CDSView, ColumnDataSource
from bokeh.resources import INLINE
from jinja2 import Environment, PackageLoader, StrictUndefined

from clusterkeras.catalogue.read import Catalogue
from clusterkeras.catalogue.table import P_CLUSTER, asked_again
from clusterkeras.completeness.function import Completeness, load_completeness
from clusterkeras.config import ReportConfig
from clusterkeras.report import figures
from clusterkeras.report.clusters import cluster_columns
from clusterkeras.report.contour_lines import HOLE, PLANES
from clusterkeras.report.mosaic_picture import MosaicPicture, mosaic_picture
from clusterkeras.report.pictures import APERTURE_PX, Pictures, picture_clusters
from clusterkeras.report.provenance import every_entry, in_words
from data_tools.mosaics.mosaic import Mosaics, opened
from data_tools.mosaics.stored.extensions import files_of
from data_tools.pictures.colours import say_colours
from data_tools.pictures.cutout_picture import scale_bar
from data_tools.running.output import check_file, whole_file
from data_tools.running.replaced import check_replaced
from data_tools.running.seal import BLANK
from data_tools.schema import FLAGS, PARAMETER_NAMES
from data_tools.target import Target

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

logger = logging.getLogger(__name__)

#: Differences of medians of log age, in dex, that two machines' arithmetic explains.
_SAME_DEX = 0.01

#: Å; the luminosity is shown in the band nearest to it.
_VISUAL = 5500.0

_PACKAGE = "clusterkeras.report"


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes
    ----------
    path : Path
        The page.
    shown, rows : int
        Clusters on it, and rows of the catalogue.
    size_mb : float
        Of the file.
    """

    path: Path
    shown: int
    rows: int
    size_mb: float


def write_page(
    catalogue: str | Path | Table,
    images: Sequence[str | Path] | Mosaics,
    output: str | Path,
    model: PosteriorModel | str | Path | None = None,
    config: ReportConfig | None = None,
    completeness: str | Path | None = None,
    *,
    progress: bool = True,
    overwrite: bool = False,
) -> Report:
    """Write a catalogue as one web page that needs no network.

    The contours are made from new draws: the model is asked once more at the rows.

    Parameters
    ----------
    catalogue : str, Path or Table
        A catalogue written by ``clusterkeras infer``.
    images : sequence of str or Path, or Mosaics
        The mosaics that the catalogue was made from, one a band, in the model's order.
    output : str or Path
        The page (``.html``); it needs no network.
    model : PosteriorModel, str or Path, optional
        The model that made the catalogue; by default what its metadata name.
    config : ReportConfig, optional
        How many clusters, and how finely drawn.
    completeness : str or Path, optional
        What `clusterkeras completeness` made of the same mosaics; the figures then
        show the completeness too.
    progress : bool
        Whether to show progress bars.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files; see `data_tools.running.replaced`.

    Returns
    -------
    Report
        Path, number of clusters and size.

    Raises
    ------
    FileNotFoundError
        If the catalogue, a mosaic or the model is missing.
    ValueError
        If the table is no catalogue, names no model, or the mosaics are not the
        model's.
    FileExistsError
        If something is there that may not be written over.

    Examples
    --------
    >>> import clusterkeras
    >>> from data_tools import Target, make_mosaic
    >>> galaxy = make_mosaic(Target.load("m83-wfc3-uvis"), size_px=192, n=2, seed=1)
    >>> catalogue = clusterkeras.infer(galaxy.mosaics, galaxy.truth, progress=False)
    >>> page = clusterkeras.write_page(
    ...     catalogue, galaxy.mosaics, "report.html", progress=False
    ... )
    >>> page.shown
    2
    """
    config = config or ReportConfig()
    output = check_file(output, "page", (".html", ".htm"))
    check_replaced([output], (*files_of(images), catalogue), overwrite=overwrite)
    name = "catalogue"
    if not isinstance(catalogue, Table):
        name = Path(catalogue).name
        catalogue = Catalogue.read(catalogue)
    catalogue = Catalogue.of(catalogue)
    if not len(catalogue):
        raise ValueError(f"{name}: expected at least one row; received none")
    found = None if completeness is None else load_completeness(completeness)
    model = _find_model(model, catalogue, name)
    rows = catalogue.best_first()[: config.n]
    x, y = (catalogue.numbers(axis)[rows] for axis in "xy")
    target = model.target
    with opened(images, target) as mosaics:
        picture = mosaic_picture(mosaics, config.map_px, progress=progress)
        drawn = picture_clusters(
            *(mosaics, x, y, model, asked_again(catalogue.meta), config.draws),
            progress=progress,
        )
        pivots = [c.photplam for c in mosaics.calibrations]
    columns = cluster_columns(catalogue, rows, target)
    band = int(np.argmin(np.abs(np.array(pivots) - _VISUAL)))
    columns["magnitude"] = drawn.magnitude[:, band]
    if found is not None:
        columns["completeness"] = found(catalogue[rows]).astype(np.float32)
    page = _render(
        columns,
        drawn,
        picture,
        target,
        found,
        title=f"Clusters of {target.name}",
        name=name,
        n_rows=len(catalogue),
        warning=_compare(columns["log_age"], drawn),
        band=target.band_names[band],
        colours=say_colours(target.band_names, pivots),
        n_likely=int(catalogue[rows].are_clusters(P_CLUSTER).sum()),
        provenance=in_words(catalogue.meta),
        entries=list(every_entry(catalogue.meta)),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(output) as file:
        file.write(f"{page}<!-- {BLANK} -->\n".encode())
    return Report(output, len(rows), len(catalogue), len(page) / 1e6)


def _find_model(
    model: PosteriorModel | str | Path | None, catalogue: Table, name: str
) -> PosteriorModel:
    from clusterkeras.serving.served_model import open_model

    if model is None:
        model = catalogue.meta.get("model")
        if model is None:
            raise ValueError(
                f"{name}: its metadata name no model; name the one that made it "
                "(--model)"
            )
    return open_model(model)


def _compare(log_age: np.ndarray, drawn: Pictures) -> str:
    """Say if the model's answer is not the catalogue's; nothing if it is."""
    age = PARAMETER_NAMES.index("log_age")
    away = np.abs(drawn.medians[:, age] - log_age)
    other = np.count_nonzero(away > _SAME_DEX)
    if not other:
        return ""
    words = (
        f"The model's answer today is not the catalogue's for {other} of {len(away)} "
        f"clusters (median log age differs by up to {np.nanmax(away):.2f}): the "
        "contours are those of the model and images given now."
    )
    logger.warning("%s", words)
    return words


def _document(
    columns: dict[str, Any],
    picture: MosaicPicture,
    target: Target,
    found: Completeness | None,
    usual: Mapping[str, float],
    band: str,
) -> Document:
    """Put source, table, map and figures together, which choose and filter as one."""
    source = ColumnDataSource(columns, name="clusters")
    # the page opens on the best cluster
    source.selected.indices = [0]
    keep = BooleanFilter(booleans=None)
    view = CDSView(filter=keep)
    aperture = f"{APERTURE_PX * target.pixel_scale_arcsec:.2f}″"
    parts = {
        "table": figures.make_cluster_table(source, view, band),
        "map": figures.make_map(source, view, picture),
        "age_mass": figures.make_scatter(
            source,
            view,
            target.box,
            found and (lambda plane: found({**plane, **usual})),
        ),
    }
    histograms = {}
    for name, column, label, log_y in (
        ("sizes", "size", "half-light radius [pc]", False),
        ("luminosity", "magnitude", f"{band} [AB mag within {aperture}]", True),
    ):
        parts[name], histograms[name] = figures.make_histogram(
            *(name, column, columns[column], label),
            log_y=log_y,
            corrected=found is not None,
        )
    planes = []
    for i, plane in enumerate(PLANES):
        name = f"contours_{i}"
        parts[name], regions = figures.make_contours(name, *plane, target.box)
        planes.append(
            {
                "regions": regions,
                "ranges": [parts[name].x_range, parts[name].y_range],
                "axes": [PARAMETER_NAMES.index(parameter) for parameter in plane],
                "box": [list(target.box[parameter]) for parameter in plane],
            }
        )
    select = figures.script(
        "select.mjs",
        source=source,
        keep=keep,
        planes=planes,
        styles=list(figures.REGION_STYLES.values()),
        hole=HOLE,
        map=parts["map"],
        table=parts["table"],
        band=band,
        px=target.cutout_px,
        pixel_scale=target.pixel_scale_arcsec,
    )
    filters = figures.script(
        "filter.mjs",
        source=source,
        keep=keep,
        histograms=[h.source for h in histograms.values()],
        counted=[h.column for h in histograms.values()],
        edges=[h.edges for h in histograms.values()],
    )
    marks = figures.script("marks.mjs", glyphs=parts["map"].select_one("marks"))
    source.selected.js_on_change("indices", select)
    document = Document()
    for part in parts.values():
        document.add_root(part)
    document.js_on_event(DocumentReady, select, filters, marks)
    return document


def _render(
    columns: dict[str, Any],
    drawn: Pictures,
    picture: MosaicPicture,
    target: Target,
    found: Completeness | None,
    *,
    title: str,
    band: str,
    **words: Any,
) -> str:
    """Put the words round the figures."""
    usual = _usual(columns, found)
    flags = {name: words for name, (_, words) in FLAGS.items()}
    pictures = {
        "cutouts": drawn.cutouts,
        "white": _json_numbers(drawn.white_mag),
        "contours": drawn.contours,
        "low": _json_numbers(drawn.low),
        "high": _json_numbers(drawn.high),
    }
    environment = Environment(
        loader=PackageLoader(_PACKAGE, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    bar_arcsec, bar_words = scale_bar(
        target.cutout_px * target.pixel_scale_arcsec, target.pc_per_arcsec
    )
    return file_html(
        _document(columns, picture, target, found, usual, band),
        INLINE,
        title=title,
        template=environment.get_template("page.html"),
        template_variables={
            **words,
            "style": (resources.files(_PACKAGE) / "page.css").read_text(),
            # "</" would end the script it stands in
            "pictures": json.dumps(pictures, separators=(",", ":")).replace(
                "</", "<\\/"
            ),
            "flags": flags,
            "bits": {name: bit for name, (bit, _) in FLAGS.items()},
            "n_shown": len(columns["id"]),
            "bar_px": bar_arcsec / target.pixel_scale_arcsec,
            "bar_words": bar_words,
            "row_px": figures.ROW_PX,
            "p_cluster": P_CLUSTER,
            "worst": float(np.nan_to_num(columns["p_cluster"][-1])),
            "band": band,
            "target": target,
            "usual": usual,
        },
    )


def _usual(columns: Mapping[str, Any], found: Completeness | None) -> dict[str, float]:
    """Return where completeness is shown: at the medians of what is in the figure."""
    if found is None:
        return {}
    return {
        "a_v": float(np.nanmedian(columns["a_v"])),
        "log_half_light_radius": float(np.nanmedian(columns["log_half_light_radius"])),
        "log_scatter": float(np.nanmedian(found.scatter)),
    }


def _json_numbers(values: np.ndarray) -> list[Any]:
    """Return numbers as plain lists, rounded; JSON has no NaN."""
    flat = [
        float(f"{value:.5g}") if np.isfinite(value) else None for value in values.flat
    ]
    if values.ndim == 1:
        return flat
    width = values.shape[1]
    return [flat[i : i + width] for i in range(0, len(flat), width)]
