"""Tables and a picture of which clusters are found."""

import os
import platform
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

BINS = {
    "mag": (np.array([14, 18, 19, 20, 21, 22, 23, 24, 26]), "F814W [AB mag]"),
    "log_snr": (np.array([0.5, 1, 1.5, 2, 2.5, 3, 4]), "log S/N"),
    "log_mass": (np.arange(2.5, 6.1, 0.5), "log mass [Msun]"),
    "log_age": (np.array([6.6, 7, 7.5, 8, 8.5, 9, 9.5, 10.1]), "log age [yr]"),
    "a_v": (np.arange(0, 4.1, 0.5), "A_V [mag]"),
    "log_half_light_radius": (
        np.array([-1.6, -1.4, -1.2, -1, -0.8, -0.6, -0.4, -0.2]),
        "log r_h [arcsec]",
    ),
    "log_scatter": (np.array([-1, -0.3, 0, 0.3, 0.6, 1, 2]), "log crowding [nJy]"),
}


def draw(result: dict, path: Path) -> None:
    """Draw the curves, and completeness against everything at one purity."""
    figure = Figure(figsize=(14, 7), layout="constrained")
    panels = figure.subplots(2, 4).ravel()
    styles = {"ours": ("#D55E00", "s"), "legus": ("#0072B2", "o")}
    labels = {
        "ours": "detect + infer",
        "legus": "DAOFind + CI, tuned",
        "legus_1.4": "DAOFind + CI ≥ 1.4",
    }
    for name, points in result["curves"].items():
        _, complete, pure = np.transpose(points)
        style = styles.get(name, ("#999999", ""))
        panels[0].plot(pure, complete, color=style[0], label=labels[name])
    panels[0].set(xlabel="purity", ylabel="completeness", xlim=(0, 1), ylim=(0, 1))
    panels[0].legend(fontsize="small")
    for axes, (name, bins) in zip(panels[1:], result["bins"].items(), strict=True):
        for method, (colour, marker) in styles.items():
            x = [(b["low"] + b["high"]) / 2 for b in bins[method]]
            y = np.array([b["share"] for b in bins[method]])
            n = np.array([b["n"] for b in bins[method]])
            error = np.sqrt(y * (1 - y) / n)
            axes.errorbar(x, y, error, color=colour, marker=marker, ms=4)
        axes.set(xlabel=BINS[name][1], ylabel="completeness", ylim=(0, 1.03))
    panels[1].invert_xaxis()
    purity = f"both at purity {result['compared_at']:.2f}"
    panels[1].set_title(purity, fontsize="medium")
    figure.savefig(path, dpi=120)


def markdown(result: dict) -> str:
    """Return the tables."""
    lines = [
        f"{result['clusters']} true clusters on {result['mosaics']} mosaics.",
        "",
        "| purity | detect + infer | false in a million px | like M83's | "
        "DAOFind + CI, tuned | false in a million px | like M83's | its choice |",
        "| --- |" + 7 * " --- |",
    ]
    for row in result["at_purity"]:
        lines.append(
            f"| {row['purity']:.2f} | {row['ours']:.3f} | {_beside(row['ours_at'])} | "
            f"{row['legus']:.3f} | {_beside(row['legus_at'])} | {row['choice']} |"
        )
    lines += [
        "",
        "| p_cluster | completeness | purity | false in a million px | like M83's |",
        "| - | - | - | - | - |",
    ]
    for row in result["at_limit"]:
        lines.append(
            f"| >= {row['limit']} | {row['completeness']:.3f} | {row['purity']:.3f} | "
            f"{_beside(row)} |"
        )
    lines += ["", "| p_cluster | rows | mean | true clusters |", "| - | - | - | - |"]
    for row in result["calibration"]:
        lines.append(
            f"| {row['low']:g} to {row['high']:g} | {row['n']} | "
            f"{row['p_cluster']:.3f} | {row['share']:.3f} |"
        )
    candidates = result["candidates"].items()
    lines += [
        "",
        "Clusters with a candidate within 3 px: "
        + ", ".join(f"S/N > {k}: {100 * v:.0f} %" for k, v in candidates)
        + ".",
        "",
        f"Completeness, both at purity {result['compared_at']:.2f}:",
    ]
    for name, bins in result["bins"].items():
        lines += [
            "",
            f"| {BINS[name][1]} | n | ours | LEGUS way |",
            "| - | - | - | - |",
        ]
        for ours, legus in zip(bins["ours"], bins["legus"], strict=True):
            lines.append(
                f"| {ours['low']:g} to {ours['high']:g} | {ours['n']} | "
                f"{ours['share']:.2f} | {legus['share']:.2f} |"
            )
    machine = f"{platform.platform()}, {os.cpu_count()} cores"
    return "\n".join([*lines, "", machine]) + "\n"


def _beside(row: dict) -> str:
    """Return what stands beside purity: false ones, completeness for M83's clusters."""
    taken = row["like_m83"]["taken"]
    like = "none" if taken is None else f"{taken:.3f}"
    return f"{row['false_per_million_pixels']:.1f} | {like}"
