"""What the winner is and where it errs: its first weights, its confusions, its mistakes.

Texts in a drawing go through `label`; those of a `Gallery`, a `Picture` and a `Listing` are as the
user wrote them, for the page escapes them.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.report.plots.plot import (
    SCALE,
    Drawing,
    Gallery,
    Listing,
    Picture,
    Plot,
    joined,
    label,
)
from hpsearch.report.plots.png import png, smaller
from hpsearch.report.tables import winner as tables
from hpsearch.report.tables.material import Material
from hpsearch.report.text import accuracy, counted, number, plain, share

if TYPE_CHECKING:
    import pandas as pd

UNITS = 24  # of a first layer, at most
PIXELS = 64  # a side of a picture, at most
NOISE = 0.2  # neighbouring pixels' weights that correlate less look like noise
SMOOTH = 0.5
COARSE = 16  # pixels a side: of smaller images neighbours differ for good reasons
CLASSES = 25  # of a confusion matrix, at most
WRITTEN = 12  # classes up to which its cells say their numbers
SHORT = 14  # characters of a class's name on an axis
NEGATIVE, ZERO, POSITIVE = (0, 90, 181), (240, 240, 240), (220, 80, 0)  # told apart by anybody
STANDS_OUT = ("stands out (sd from the mean)", "then", "and then")  # columns of the listing
ONLY_VALIDATION = (
    "These are validation rows: whoever looks at the mistakes on the test rows and mends the model"
    " has no test set any more."
)


def weights(material: Material) -> Gallery | None:
    """The first layer's weights as images; None for tables, and before there is a model."""
    found = tables.first_layer(material, UNITS)
    if found is None:
        return None
    images = smaller(found.images, PIXELS)
    unit = "piece" if found.pieces else "unit"
    what = [f"class {name}" for name in found.classes] or [f"{unit} {n}" for n in found.units]
    pictures = [
        Picture(png(_signed(image)), name, f"weights of {name}")
        for name, image in zip(what, images, strict=False)
    ]
    units = "classes" if found.classes else f"hidden {unit}s"
    shown = counted(len(pictures), "small image")
    alt = f"{shown}, one for each of the {units}. {_texture(found)}"
    return Gallery(
        "first-weights", "What the first layer looks for", _weights_say(found, units), alt,
        pictures, _units_left_out(found, units, images.shape),
    )  # fmt: skip


def _signed(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Weights (H, W, C) as bytes, the largest of either sign full: three channels as a colour
    each around grey, others from blue (negative) over white to orange.
    """
    colour = image.shape[2] == 3
    values = image if colour else image.mean(axis=2, keepdims=True)
    most = np.abs(values).max()
    part = values / most if most > 0 else values
    if colour:
        return np.asarray(np.rint(127.5 + 127.5 * part), np.uint8)
    ends = np.where(part < 0, np.array(NEGATIVE), np.array(POSITIVE))
    return np.asarray(np.rint(ZERO + np.abs(part) * (ends - np.array(ZERO))), np.uint8)


def _texture(found: tables.Filters) -> str:
    """What the correlation of neighbours means."""
    height, width = found.images.shape[1:3]
    if math.isnan(found.neighbours):
        return "There are too few pixels to tell shapes from noise."
    correlation = f"{round(found.neighbours, 2) + 0:.2f}"
    value = f"the weights of neighbouring pixels correlate {correlation}"
    if min(height, width) < COARSE:
        return (
            f"At {height} x {width} pixels a shape may be one of them wide, so that it is hard to"
            f" tell from noise ({value})."
        )
    if found.neighbours >= NOISE:
        kind = "smooth" if found.neighbours >= SMOOTH else "shapes with noise over them"
        return f"They are {kind}: {value}."
    return (
        f"They are mostly noise: neighbouring pixels correlate {correlation} (smooth"
        f" filters: above {SMOOTH:g}). Noisy weights in the first layer say that the net has not"
        " converged, or is too little regularised (CS231n): look at the learning rate, the decay,"
        " and how long it was trained."
    )


def _weights_say(found: tables.Filters, units: str) -> str:
    colours = "grey is zero" if found.images.shape[3] == 3 else (
        "orange adds to the unit's input, blue takes away, white is zero"
    )
    which = f", the first of {found.nets} nets" if found.nets > 1 else ""
    said = f"{found.where}{which}: the weights from the pixels to the {units}, each picture scaled"
    said += f" to its own largest weight; {colours}. {_texture(found)}"
    turned = ", turned back from the whitened inputs" if found.whitened else ""
    said += f" The pixels are those that the net sees, centred and scaled{turned}."
    if found.constant:
        are = "varies; it is" if found.constant == 1 else "vary; they are"
        said += f" {counted(found.constant, 'input')} never {are} drawn as zero."
    return said


def _units_left_out(found: tables.Filters, units: str, shape: Sequence[int]) -> str:
    said = []
    if len(found.images) < found.total:
        which = "the first" if found.classes else "those with the largest norm"
        said.append(f"{len(found.images)} of {found.total:,} {units} are shown: {which}")
    if tuple(shape) != found.images.shape:
        said.append(f"pixels are averaged to {shape[1]} x {shape[2]}")
    if shape[3] not in (1, 3):
        said.append(f"the {shape[3]} channels are averaged")
    return "; ".join(said)


def confusion(material: Material) -> Plot | None:
    """Which classes are taken for which on the validation rows; None where nobody counted."""
    counts = tables.confusion(material)
    if counts is None:
        return None
    classes = tables.per_class(counts)
    places = tables.most_confused(counts, CLASSES)
    matrix = _Matrix(counts, places)
    thinned = "" if len(places) == len(counts) else (
        f"{len(places)} of {len(counts)} classes are drawn, those with the most mistakes; shares"
        " are of all rows of a class"
    )
    said = _confusions_say(counts, classes)
    alt = f"A table of colours, true classes by row and predicted ones by column. {said}"
    views = {
        "share of the class": matrix.shares(), "mistakes alone": matrix.mistakes(),
        "rows": matrix.rows(),
    }  # fmt: skip
    return Plot(
        "confusion", "What the winner takes for what", said, alt, views, classes, thinned=thinned,
        height=520,
    )  # fmt: skip


def _confusions_say(counts: "pd.DataFrame", classes: "pd.DataFrame") -> str:
    numbers = counts.to_numpy()
    rows, right = int(numbers.sum()), int(numbers.diagonal().sum())
    are = "is" if right == 1 else "are"
    said = f"Of {counted(rows, 'validation row')} {right:,} {are} right ({share(right / rows)})."
    wrong = numbers - np.diag(numbers.diagonal())
    if not wrong.any():
        return f"{said} Nothing is confused."
    worst = classes.iloc[int(np.nanargmin(classes.recall))]
    return (
        f"{said} {_most_often(counts, wrong)} The hardest class is {plain(worst['class'], 30)},"
        f" {share(float(worst.recall))} right."
    )


def _most_often(counts: "pd.DataFrame", wrong: NDArray[Any]) -> str:
    """The confusion that stands out, if one does."""
    true, taken = divmod(int(wrong.argmax()), len(wrong))
    names, times = [plain(name, 30) for name in counts.index], int(wrong.max())
    alike = int((wrong == times).sum()) - 1
    if times == 1 and alike:
        return f"No confusion stands out: each of the {alike + 1} mistakes is of another kind."
    if times == 1:
        return f"The only mistake: {names[true]} is taken for {names[taken]}."
    others = f" (as is the case with {counted(alike, 'other pair')})" if alike else ""
    return (
        f"Most often {names[true]} is taken for {names[taken]}: {times:,} times,"
        f" {share(times / int(counts.iloc[true].sum()))} of its rows{others}."
    )


class _Matrix:
    """Drawings of some classes of the table, in its order."""

    def __init__(self, counts: "pd.DataFrame", places: NDArray[np.intp]) -> None:
        numbers = counts.to_numpy()
        self.counts = numbers[np.ix_(places, places)]
        self.part = self.counts / np.maximum(numbers.sum(axis=1), 1)[places, None]
        self.names = [label(plain(counts.index[n], SHORT)) for n in places]
        self.full = [label(counts.index[n]) for n in places]

    def shares(self) -> Drawing:
        text = [[f"{p:.2f}".lstrip("0") if n else "" for p, n in zip(*row, strict=True)]
                for row in zip(self.part, self.counts, strict=True)]  # fmt: skip
        return self._drawing(self.part, text, "share")

    def rows(self) -> Drawing:
        return self._drawing(self.counts, self._numbers(self.counts), "rows")

    def mistakes(self) -> Drawing:
        """Without the diagonal, which outshines them."""
        off = ~np.eye(len(self.counts), dtype=bool)
        part = np.where(off, self.part, math.nan)
        return self._drawing(part, self._numbers(self.counts * off), "share")

    def _numbers(self, counts: NDArray[Any]) -> list[list[str]]:
        return [[str(n) if n else "" for n in row] for row in counts.tolist()]

    def _drawing(self, z: NDArray[Any], text: list[list[str]], title: str) -> Drawing:
        values = [[None if math.isnan(v) else v for v in row] for row in z.tolist()]
        written = {"text": text, "texttemplate": "%{text}"} if len(z) <= WRITTEN else {}
        trace = {
            "type": "heatmap", "z": values, "colorscale": SCALE, "zmin": 0, "xgap": 1, "ygap": 1,
            "colorbar": {"title": {"text": title}, "thickness": 10}, **written,
            "customdata": self._hover(), "hovertemplate": "%{customdata}<extra></extra>",
        }  # fmt: skip
        axis = {
            "tickvals": list(range(len(z))), "ticktext": self.names, "automargin": True,
            "showgrid": False, "zeroline": False,
        }  # fmt: skip
        layout = {
            "xaxis": {**axis, "title": {"text": "predicted class"}},
            "yaxis": {**axis, "title": {"text": "true class"}, "autorange": "reversed"},
            "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        }
        return {"data": [trace], "layout": layout}

    def _hover(self) -> list[list[str]]:
        return [
            [joined([f"{true} taken for {said}" if k != n else f"{true}, right",
                     label(f"{counted(int(self.counts[k, n]), 'row')},"
                           f" {share(float(self.part[k, n]))} of the class")])
             for n, said in enumerate(self.full)]
            for k, true in enumerate(self.full)
        ]  # fmt: skip


def mistakes(material: Material) -> Gallery | Listing | None:
    """The rows that the winner is most surely wrong about: pictures, or of a table what stands out
    in them. None where `final` kept none.
    """
    found = tables.mistakes(material)
    if found is None or not len(found.table):
        return None
    first, title = found.table.iloc[0], "The surest mistakes"
    said = (
        f"At its surest the winner takes {plain(first.truth, 30)} for {plain(first.said, 30)}"
        f" ({share(float(first.probability))} sure). Are the labels right, would you have known"
        f" better, have these rows something in common? {ONLY_VALIDATION} Rows are counted from 0."
    )
    if found.images is None:
        return Listing("mistakes", title, said, _listed(found.table))
    pictures = list(_pictured(found.table, found.images))
    alt = f"{counted(len(pictures), 'validation image')} with their true and their predicted class"
    shown, shape = smaller(found.images[:1], PIXELS).shape, found.images.shape
    thinned = f"pixels are averaged to {shown[1]} x {shown[2]}" if shown[1:] != shape[1:] else ""
    return Gallery("mistakes", title, said, alt, pictures, thinned)


def _pictured(table: "pd.DataFrame", images: NDArray[np.uint8]) -> Iterator[Picture]:
    for row, image in zip(table.to_dict("records"), smaller(images, PIXELS), strict=True):
        colour = image if image.shape[2] == 3 else image.mean(axis=2)
        data = png(np.asarray(np.rint(colour), np.uint8))
        true, said = (plain(row[name], 30) for name in ("truth", "said"))
        sure = accuracy(row["probability"])
        alt = f"row {row['row']}: {true}, taken for {said} with probability {sure}"
        yield Picture(data, f"row {row['row']}: {true}, said {said} {row['probability']:.2f}", alt)


def _listed(table: "pd.DataFrame") -> "pd.DataFrame":
    """Its features in words: value and standard deviations from the mean."""
    words = [[*map(_feature, row), *[""] * len(STANDS_OUT)] for row in table["features"]]
    named = {name: [row[n] for row in words] for n, name in enumerate(STANDS_OUT)}
    return table.drop(columns="features").assign(**named)


def _feature(found: tuple[str, float, float]) -> str:
    name, value, away = found
    return f"{plain(name, 30)} {number(value)} ({away:+.1f})"
