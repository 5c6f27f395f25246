"""The page's live parts: table, map and figures over one source of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from bokeh.models import (
    CDSView,
    ColumnDataSource,
    CustomJS,
    DataRange1d,
    DataTable,
    HoverTool,
    InlineStyleSheet,
    NumberFormatter,
    Range1d,
    StringFormatter,
    TableColumn,
    TapTool,
)
from bokeh.plotting import figure
from numpy.typing import NDArray

from clusterkeras.report.clusters import ON_WHITE
from clusterkeras.report.mosaic_picture import MosaicPicture
from clusterkeras.report.pictures import jpeg
from data_tools.schema import PARAMETERS

#: What is chosen stands out on white and, as no star is green, on the mosaic.
CHOSEN, CHOSEN_ON_MAP = "#D55E00", "#59F08A"
_CHOSEN_PX = 15

#: Quality of the map's JPEG.
_MAP_QUALITY = 80

#: The chosen row is seen without colour too, by the bar at its left.
_TABLE_STYLE = f"""
.slick-cell.selected, .slick-row.odd .slick-cell.selected {{ background: #fbe3d3; }}
.slick-cell.selected.l0 {{ box-shadow: inset 4px 0 {CHOSEN}; font-weight: bold; }}
.slick-cell.active {{ border-color: {CHOSEN}; }}
.slick-header-column {{ font-weight: 600; white-space: nowrap; }}
"""

#: Height of a row of the table; the style sheet cuts the table at whole rows.
ROW_PX = 24

_TOOLS = "pan,wheel_zoom,box_zoom,tap,reset"

_UNITS = {"dex(yr)": "yr", "dex(solMass)": "M☉", "dex(arcsec)": "arcsec"}

#: Opacity and line of the regions of 68 and 95 %.
REGION_STYLES = {0.68: (0.5, 1.6), 0.95: (0.22, 0.9)}

#: Completeness that is drawn as a line, and its dashes.
COMPLETENESS_LINES = {0.5: "dashed", 0.9: "solid"}

#: Columns of the table: name, title, width in px, format.
_COLUMNS = (
    ("id", "id", 64, None),
    ("p_cluster", "p", 46, "0.00"),
    ("log_age", "log age [yr]", 88, "0.00"),
    ("a_v", "A_V [mag]", 78, "0.00"),
    ("log_mass", "log M [M☉]", 92, "0.00"),
    ("size", "r_h [pc]", 70, "0.00"),
    ("log_snr", "log S/N", 60, "0.00"),
)


@dataclass(frozen=True)
class Histogram:
    """A histogram that follows the page's filter.

    Attributes
    ----------
    column : str
        What is counted.
    edges : list of float
        Edges of its bins.
    source : ColumnDataSource
        ``left``, ``right``, ``rows`` (number), ``clusters`` (sum of p_cluster),
        ``corrected`` (that over the completeness) and ``floor`` of each bin.
    """

    column: str
    edges: list[float]
    source: ColumnDataSource


def make_cluster_table(source: ColumnDataSource, view: CDSView, band: str) -> DataTable:
    """Return the table of clusters; it draws the rows in sight only."""

    def column(name: str, title: str, width: int, numeral: str | None) -> TableColumn:
        formatter = (
            NumberFormatter(format=numeral, nan_format="-", text_align="right")
            if numeral
            else StringFormatter()
        )
        return TableColumn(field=name, title=title, width=width, formatter=formatter)

    columns = [column(*given) for given in _COLUMNS]
    columns.append(column("magnitude", band, 60, "0.00"))
    columns.append(column("words", "flags", 156, None))
    return DataTable(
        source=source,
        view=view,
        columns=columns,
        name="table",
        index_position=None,
        row_height=ROW_PX,
        autosize_mode="force_fit",
        # would need jQuery UI
        reorderable=False,
        stylesheets=[InlineStyleSheet(css=_TABLE_STYLE)],
        sizing_mode="stretch_both",
    )


def make_map(source: ColumnDataSource, view: CDSView, picture: MosaicPicture) -> figure:
    """Return the mosaic with the clusters on it."""
    rows, columns = (side * picture.step for side in picture.rgb.shape[:2])
    plot = figure(
        name="map",
        tools=_TOOLS,
        active_scroll="wheel_zoom",
        match_aspect=True,
        # equal scales need ranges that follow data: those of the picture alone
        x_range=DataRange1d(range_padding=0),
        y_range=DataRange1d(range_padding=0),
        x_axis_label="x [px]",
        y_axis_label="y [px]",
        sizing_mode="stretch_both",
        background_fill_color="black",
    )
    plot.toolbar.logo = None
    plot.grid.visible = False
    image = plot.image_url(
        url=["data:image/jpeg;base64," + jpeg(picture.rgb, _MAP_QUALITY)],
        x=-0.5,
        y=rows - 0.5,
        w=columns,
        h=rows,
        anchor="top_left",
    )
    # as wide as it gets, so that the frame stays where it is
    plot.min_border_left = 60
    plot.x_range.renderers = plot.y_range.renderers = [image]
    marks = ("on_map", CHOSEN_ON_MAP, "marker_px", "opacity")
    _add_clusters(plot, source, view, "x", "y", *marks)
    return plot


def make_scatter(
    source: ColumnDataSource,
    view: CDSView,
    box: Mapping[str, tuple[float, float]],
    found: Callable[[Mapping[str, Any]], NDArray[np.float64]] | None = None,
) -> figure:
    """Return the figure of mass against age.

    `found` gives the completeness of columns ``log_age`` and ``log_mass``; its lines
    of `COMPLETENESS_LINES` are drawn.
    """
    plot = _figure("age_mass", "log_age", "log_mass", box)
    if found is not None:
        axes = [np.linspace(*box[name], 60) for name in ("log_age", "log_mass")]
        age, mass = np.meshgrid(*axes)
        plot.contour(
            *(age, mass, found({"log_age": age, "log_mass": mass})),
            levels=list(COMPLETENESS_LINES),
            line_color="#007a5a",
            line_width=2,
            line_dash=list(COMPLETENESS_LINES.values()),
        )
    marks = ("on_white", CHOSEN, 6, 0.9)
    _add_clusters(plot, source, view, "log_age", "log_mass", *marks)
    return plot


def make_contours(
    name: str, x: str, y: str, box: Mapping[str, tuple[float, float]]
) -> tuple[figure, ColumnDataSource]:
    """Return an empty figure of a plane, and the source of the regions drawn in it."""
    plot = _figure(name, x, y, box)
    source = ColumnDataSource({"xs": [], "ys": [], "alpha": [], "width": []})
    plot.multi_polygons(
        "xs",
        "ys",
        source=source,
        fill_color=ON_WHITE[0],
        fill_alpha="alpha",
        line_color=ON_WHITE[0],
        line_width="width",
    )
    # room for the posterior; wheel and drag zoom and move without a toolbar
    plot.toolbar_location = None
    plot.min_border_right = 12
    plot.min_border_left = 0
    for axis in plot.axis:
        axis.ticker.desired_num_ticks = 4
        axis.axis_label_standoff = 2
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "11px"
    return plot, source


def make_histogram(
    name: str,
    column: str,
    values: NDArray[np.floating],
    label: str,
    *,
    log_y: bool,
    corrected: bool,
) -> tuple[figure, Histogram]:
    """Return a figure of how many rows and clusters there are; the page counts them.

    Bars are the sum of ``p_cluster``, the number of clusters to expect; the line is
    the number of rows, and a dashed one that of clusters if none were missed.
    """
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [0.2, 99.8]) if known.size else (0.0, 1.0)
    edges = np.linspace(low, max(high, low + 1e-3), 31)
    floor = 0.5 if log_y else 0.0
    empty = np.full(len(edges) - 1, floor)
    source = ColumnDataSource(
        {
            "left": edges[:-1],
            "right": edges[1:],
            "rows": empty,
            "clusters": empty,
            "corrected": empty,
            "floor": empty,
        }
    )
    plot = figure(
        name=name,
        tools="pan,wheel_zoom,box_zoom,reset",
        x_axis_label=label,
        y_axis_label="number a bin",
        y_axis_type="log" if log_y else "linear",
        sizing_mode="stretch_both",
    )
    plot.toolbar.logo = None
    bars = {"left": "left", "right": "right", "bottom": "floor", "source": source}
    plot.quad(
        top="clusters",
        fill_color=ON_WHITE[0],
        fill_alpha=0.45,
        line_color=None,
        legend_label="clusters: sum of p",
        **bars,
    )
    plot.quad(
        top="rows",
        fill_color=None,
        line_color="#222222",
        legend_label="rows",
        **bars,
    )
    if corrected:
        plot.quad(
            top="corrected",
            fill_color=None,
            line_color=CHOSEN,
            line_dash="dashed",
            line_width=1.6,
            legend_label="clusters / completeness",
            **bars,
        )
    # magnitudes rise towards the faint end, sizes fall
    plot.legend.location = "top_left" if log_y else "top_right"
    plot.legend.background_fill_alpha = 0.7
    plot.legend.padding = plot.legend.margin = 4
    plot.legend.label_text_font_size = "11px"
    return plot, Histogram(column, [float(edge) for edge in edges], source)


def script(file: str, **arguments: Any) -> CustomJS:
    """Return a script of the page, with the parts of the page that it works on."""
    code = (resources.files("clusterkeras.report") / file).read_text()
    return CustomJS(args=arguments, code=code, module=True)


def axis_label(name: str) -> str:
    """Return the label of a parameter's axis, with its unit, in plain text."""
    parameter = next(p for p in PARAMETERS if p.name == name)
    return f"{parameter.label} [{_UNITS.get(parameter.unit, parameter.unit)}]"


def _figure(
    name: str, x: str, y: str, box: Mapping[str, tuple[float, float]]
) -> figure:
    plot = figure(
        name=name,
        tools=_TOOLS if name == "age_mass" else "pan,wheel_zoom,box_zoom,reset",
        x_range=Range1d(*box[x]),
        y_range=Range1d(*box[y]),
        x_axis_label=axis_label(x),
        y_axis_label=axis_label(y),
        active_scroll="wheel_zoom",
        sizing_mode="stretch_both",
    )
    plot.toolbar.logo = None
    return plot


def _add_clusters(
    plot: figure,
    source: ColumnDataSource,
    view: CDSView,
    x: str,
    y: str,
    colour: str,
    chosen: str,
    size: int | str,
    opacity: float | str,
) -> None:
    """Draw the clusters so that those chosen stand out and the others stay."""
    glyphs = plot.scatter(
        x,
        y,
        source=source,
        view=view,
        marker="marker",
        size=size,
        fill_color=None,
        line_color=colour,
        line_width=1.2,
        line_alpha=opacity,
        name="marks",
    )
    glyphs.nonselection_glyph = glyphs.glyph.clone()
    glyphs.selection_glyph = glyphs.glyph.clone(
        size=_CHOSEN_PX, line_color=chosen, line_width=3.0, line_alpha=1.0
    )
    tap = plot.select_one(TapTool)
    tap.renderers = [glyphs]
    tap.callback = script("nearest.mjs", source=source, x=x, y=y, plot=plot)
    plot.add_tools(
        HoverTool(
            renderers=[glyphs],
            tooltips=[
                ("id", "@id"),
                ("p", "@p_cluster{0.00}"),
                ("log age", "@log_age{0.00}"),
                ("log M", "@log_mass{0.00}"),
            ],
        )
    )
