"""Curves as SVG text for a page: transparent, in the page's own text colour, the same bytes for the same numbers."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from yolox_core.inference.visualize import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = Mapping[str, Sequence[tuple[float, float]]]  # name -> (x, y) points

INK = "#010203"  # stands for the page's text colour and is replaced by `currentColor`
WIDTH_IN = 5.2  # narrow: texts stay readable where a phone shrinks the drawing
LEGEND_LETTERS = 72  # of its font, side by side
MANY = 8  # more lines than this are drawn thin and unnamed
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it takes the page's font and can be searched
    "font.family": "sans-serif",
    "font.size": 11,
    "text.parse_math": False,  # a class may be called $x$
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Interval:
    """One row of `intervals`."""

    name: str
    middle: float
    low: float
    high: float
    strong: bool


@dataclass(frozen=True)
class Band:
    """A stretch of the x axis that has a name."""

    name: str
    low: float
    high: float


def curves(
    series: Series,
    *,
    title: str,
    x: str,
    y: str,
    top: float | None = None,
    bands: Sequence[Band] = (),
    marks: Mapping[str, float] | None = None,
) -> str:
    """Lines over a common axis. `top`: where the y axis ends (it then starts at 0). `marks`: places on the x axis."""

    def draw(axes: "Axes") -> None:
        _draw_bands(axes, bands)
        many = len(series) > MANY
        for index, (name, points) in enumerate(series.items()):
            xs, ys = [point[0] for point in points], [point[1] for point in points]
            color = PALETTE[index % len(PALETTE)]
            dot = "o" if len(points) == 1 else ""
            width, alpha = (0.8, 0.6) if many else (2.0, 1.0)
            axes.plot(xs, ys, label=name, color=color, linewidth=width, alpha=alpha, marker=dot)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if top is not None:
            axes.set_ylim(0, top)
        if x == "epoch":
            from matplotlib.ticker import MaxNLocator

            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _draw_marks(axes, marks or {})
        if 1 < len(series) <= MANY:
            _legend_below(axes, list(series))

    return _svg(draw, title)


def steps(series: Series, *, title: str, x: str, y: str, marks: Mapping[str, float]) -> str:
    """Histograms of common bins, given by (lower edge, height), over an axis that doubles; bins are half an octave."""

    def draw(axes: "Axes") -> None:
        axes.set_xscale("log", base=2)
        for index, (name, bins) in enumerate(series.items()):
            lows = [low for low, _ in bins]
            edges = [*lows, lows[-1] * 2**0.5]
            color = PALETTE[index % len(PALETTE)]
            axes.stairs([height for _, height in bins], edges, label=name, color=color, linewidth=2.0)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _draw_marks(axes, marks)
        _legend_below(axes, list(series))

    return _svg(draw, title)


def places(shares: Sequence[Sequence[float]], *, title: str) -> str:
    """An upright image in cells, rows from the top, each the darker, the larger its share (0 to 1)."""

    def draw(axes: "Axes") -> None:
        from matplotlib.patches import Rectangle

        rows, columns = len(shares), len(shares[0])
        for row, values in enumerate(shares):
            for column, share in enumerate(values):
                if share > 0:
                    at = (column / columns, row / rows)
                    cell = Rectangle(at, 1 / columns, 1 / rows, facecolor=PALETTE[0], alpha=share, linewidth=0)
                    axes.add_patch(cell)
        axes.set_xlim(0, 1)
        axes.set_ylim(1, 0)
        axes.set_aspect("equal")
        axes.grid(visible=False)
        axes.set_xlabel("share of the width")
        axes.set_ylabel("share of the height")

    return _svg(draw, title)


def _legend_below(axes: "Axes", names: Sequence[str]) -> None:
    """Names under the drawing, where they hide no line; as many in a row as there is room for."""
    columns = max(1, min(len(names), 5, LEGEND_LETTERS // (max(map(len, names)) + 6)))
    figure = axes.get_figure(root=True)
    assert figure is not None  # _svg has made it
    figure.legend(loc="outside lower center", ncols=columns, fontsize=10, columnspacing=1.2, handlelength=1.5)


def _draw_bands(axes: "Axes", bands: Sequence[Band]) -> None:
    """Every second stretch shaded, names above: the first at the left, the last at the right, others in the middle."""
    for index, band in enumerate(bands):
        if index % 2 == 0:
            axes.axvspan(band.low, band.high, color=INK, alpha=0.07, linewidth=0)
        side, place = "center", (band.low + band.high) / 2
        if index == 0:
            side, place = "left", band.low
        elif index == len(bands) - 1:
            side, place = "right", band.high
        top = axes.get_xaxis_transform()
        axes.text(place, 1.02, band.name, transform=top, ha=side, va="bottom", fontsize=9)
    if bands:
        axes.set_xlim(bands[0].low, bands[-1].high)


def _draw_marks(axes: "Axes", marks: Mapping[str, float]) -> None:
    for name, place in marks.items():
        axes.axvline(place, color=INK, linewidth=1.2, linestyle="--")
        top = axes.get_xaxis_transform()
        axes.text(place, 1.02, name, transform=top, ha="center", va="bottom", fontsize=9)


def intervals(rows: Sequence[Interval], *, title: str, x: str) -> str:
    """A dot and its interval a row, the first on top; rows that stand out are drawn in full."""

    def draw(axes: "Axes") -> None:
        for at, row in enumerate(reversed(rows)):
            axes.plot([row.low, row.high], [at, at], color=PALETTE[0], linewidth=2.5, alpha=1 if row.strong else 0.35)
            face = PALETTE[0] if row.strong else "none"
            axes.plot([row.middle], [at], marker="o", color=PALETTE[0], markerfacecolor=face, markersize=7)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
        axes.margins(y=0.5 / max(len(rows), 1))
        axes.set_xlabel(x)

    return _svg(draw, title, height=1.2 + 0.36 * len(rows))


def paired(columns: Sequence[str], series: Mapping[str, Sequence[float]], *, title: str, x: str, y: str) -> str:
    """A thin line a series across the columns, and a bar at each column's mean."""

    def draw(axes: "Axes") -> None:
        for index, (name, values) in enumerate(series.items()):
            color = PALETTE[index % len(PALETTE)]
            axes.plot(range(len(columns)), values, marker="o", markersize=4, linewidth=0.8, color=color, label=name)
        means = [sum(values) / len(series) for values in zip(*series.values(), strict=True)]
        axes.scatter(range(len(columns)), means, marker="_", s=420, linewidths=2.5, color=INK, zorder=3)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(series) <= MANY:
            axes.legend(fontsize=10)

    return _svg(draw, title)


def front(points: Series, chosen: tuple[float, float] | None, *, title: str, x: str, y: str) -> str:
    """Points by kind, and a ring around the one that was chosen."""

    def draw(axes: "Axes") -> None:
        for index, (name, places) in enumerate(points.items()):
            xs, ys = [place[0] for place in places], [place[1] for place in places]
            axes.scatter(xs, ys, label=name, color=PALETTE[index % len(PALETTE)], alpha=0.5 if index else 1.0)
        if chosen:
            axes.scatter([chosen[0]], [chosen[1]], s=160, facecolors="none", edgecolors=INK, label="chosen")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend(fontsize=9)

    return _svg(draw, title)


def parallel(axes_of: Mapping[str, Sequence[str]], rows: Sequence[tuple[Mapping[str, str], float]], title: str) -> str:
    """A line a row over the axes' values, the more opaque the larger the row's figure."""

    def draw(axes: "Axes") -> None:
        figures = [figure for _, figure in rows]
        low, spread = min(figures), (max(figures) - min(figures)) or 1.0
        places = {
            name: {value: at / max(len(vs) - 1, 1) for at, value in enumerate(vs)} for name, vs in axes_of.items()
        }
        for values, figure in sorted(rows, key=lambda row: row[1]):
            strength = (figure - low) / spread
            ys = [*(places[name][values[name]] for name in axes_of), strength]
            axes.plot(range(len(ys)), ys, color=PALETTE[0], alpha=0.1 + 0.9 * strength, linewidth=1 + strength)
        for at, (name, values_of) in enumerate(axes_of.items()):
            for value in values_of:
                axes.annotate(value, (at, places[name][value]), fontsize=8, textcoords="offset points", xytext=(4, 2))
        for figure in (low, max(figures)):
            axes.annotate(f"{figure:.3f}", (len(axes_of), (figure - low) / spread), fontsize=8)
        axes.set_xticks(range(len(axes_of) + 1), [*axes_of, "map"], fontsize=8)
        axes.set_yticks([])

    return _svg(draw, title)


def by_value(values: Sequence[tuple[str, Sequence[float]]], *, title: str, x: str, y: str) -> str:
    """Every trial's figure above its value of one parameter, and the mean of each value."""

    def draw(axes: "Axes") -> None:
        for at, (_, figures) in enumerate(values):
            axes.scatter([at] * len(figures), figures, color=PALETTE[0], alpha=0.4, s=20)
        means = [sum(figures) / len(figures) for _, figures in values]
        axes.plot(range(len(values)), means, color=PALETTE[1], marker="o", linewidth=2.0)
        axes.set_xticks(range(len(values)), [name for name, _ in values])
        axes.set_xlabel(x)
        axes.set_ylabel(y)

    return _svg(draw, title)


def as_file(svg: str) -> str:
    """A drawing for a file of its own, where no page gives it a text colour: dark on white."""
    svg = re.sub(r"var\(--series-\d+, (#\w+)\)", r"\1", svg)
    return svg.replace("currentColor", "#1c2330").replace("<svg", '<svg style="background: #fff"', 1) + "\n"


def _svg(draw: Callable[["Axes"], None], title: str, height: float = 3.4) -> str:
    # the salt makes ids repeatable, and different between the figures of one page
    import matplotlib as mpl  # here and above: half a second, which pages without a drawing do without
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
        draw(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    body = text[text.index("<svg") :].replace(INK, "currentColor")
    for number, color in enumerate(PALETTE):  # a dark page has lighter ones; outside a page these stand
        body = body.replace(color, f"var(--series-{number}, {color})")
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*pt"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*pt"', r"\1", body, count=1)
    return body.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
