"""What trained nets answer: class probabilities, averaged over nets and over flipped images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hpsearch.data import Preprocess
from hpsearch.data.arrays import archive
from hpsearch.errors import DataError
from hpsearch.nn.mlp import Tape, forward
from hpsearch.nn.net import Net
from hpsearch.nn.params import Params
from hpsearch.nn.products import batch

CHUNK = 1000  # rows at a time
SHAPE = (0, 0, 0)  # of what is no image


@dataclass(frozen=True, eq=False)
class Member:
    """One net: its architecture without batch normalization, and its numbers (n_numbers,)."""

    net: Net
    weights: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Predictor:
    """Nets with all that they need to answer for raw rows. With `flip` the rows are images of
    `image_shape`, and each answer is the mean of those for the image and its mirror image.
    """

    members: Sequence[Member]
    preprocess: Preprocess
    classes: tuple[str, ...]
    features: tuple[str, ...]
    image_shape: tuple[int, int, int] | None = None
    flip: bool = False

    def probabilities(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """The mean probabilities (N, C) for the raw rows x (N, D): softmax of each net's logits,
        also of those that were trained with another loss.
        """
        views = [x, self._mirrored(x)] if self.flip else [x]
        found = [_answers(m, self.preprocess, view) for m in self.members for view in views]
        return np.asarray(np.mean(found, axis=0))

    def _mirrored(self, x: NDArray[Any]) -> NDArray[Any]:
        assert self.image_shape is not None
        return np.ascontiguousarray(x.reshape(-1, *self.image_shape)[:, :, ::-1]).reshape(x.shape)

    def only(self, *places: int, flip: bool) -> "Predictor":
        """The same with the members at `places` alone."""
        return replace(self, members=[self.members[place] for place in places], flip=flip)

    def arrays(self) -> dict[str, Any]:
        """As an .npz file keeps it: the first member as `best.npz` of a stage has its own, the
        others as `weights_1`, `sizes_1`, ...
        """
        rotation = self.preprocess.rotation
        nets = [_arrays(member, f"_{n}" if n else "") for n, member in enumerate(self.members)]
        return {
            **{name: array for each in nets for name, array in each.items()},
            "members": np.array(len(self.members)), "flip": np.array(self.flip),
            "image_shape": np.array(self.image_shape or SHAPE),
            "shift": self.preprocess.shift, "factor": self.preprocess.factor,
            "classes": np.array(self.classes), "features": np.array(self.features),
            **({} if rotation is None else {"rotation": rotation}),
        }  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> Self:
        """The inverse of `arrays`, also of a single net's file; DataError where it is none."""
        arrays = {name: stored.read() for name, stored in archive(path).items()}
        try:
            return cls._of(arrays)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise DataError(
                f"{path}: must be a model that hpsearch saved, got {error!r} in reading it; name"
                " models/best.npz of a run"
            ) from error

    @classmethod
    def _of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        shift, factor, rotation = arrays["shift"], arrays["factor"], arrays.get("rotation")
        shape = tuple(int(n) for n in arrays.get("image_shape", np.array(SHAPE)))
        return cls(
            [_member(arrays, f"_{n}" if n else "") for n in range(int(arrays.get("members", 1)))],
            Preprocess("", "", shift, factor, "none" if rotation is None else "pca", rotation),
            tuple(map(str, arrays["classes"])), tuple(map(str, arrays["features"])),
            (shape[0], shape[1], shape[2]) if any(shape) else None,
            bool(arrays.get("flip", False)),
        )  # fmt: skip


def _arrays(member: Member, ending: str) -> dict[str, Any]:
    net = member.net
    named = {
        "weights": member.weights, "sizes": np.array(net.sizes),
        "activation": np.array(net.activation), "normalization": np.array(net.normalization),
    }  # fmt: skip
    return {f"{name}{ending}": array for name, array in named.items()}


def _member(arrays: Mapping[str, NDArray[Any]], ending: str) -> Member:
    sizes = tuple(int(size) for size in arrays[f"sizes{ending}"])
    activation, normalization = (
        str(arrays[f"{name}{ending}"]) for name in ("activation", "normalization")
    )
    net = Net(sizes, activation, normalization=normalization)
    weights = arrays[f"weights{ending}"].astype(np.float32, copy=False)
    if weights.shape != (net.n_numbers,):
        raise ValueError(f"{weights.size} weights for a net of {net.n_numbers}")
    return Member(net, weights)


def _answers(
    member: Member, preprocess: Preprocess, x: NDArray[Any]
) -> NDArray[np.float64]:
    """One net's probabilities (N, C)."""
    net, params = member.net, Params.over(member.weights[None].copy(), member.net)
    found = np.empty((len(x), net.sizes[-1]))
    for start in range(0, len(x), CHUNK):
        inputs = preprocess.apply(x[start : start + CHUNK])
        tape = Tape.for_(net, 1, len(inputs), np.float32, train=False)
        logits = forward(net, params, batch(inputs), tape)[0].T.astype(np.float64)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        found[start : start + CHUNK] = shifted / shifted.sum(axis=1, keepdims=True)
    return found
