"""What trained nets answer: class probabilities, averaged over nets and over flipped images."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hpsearch.data import Preprocess
from hpsearch.data.arrays import archive
from hpsearch.errors import DataError, HostError
from hpsearch.nn.mlp import Tape, forward
from hpsearch.nn.net import Net
from hpsearch.nn.params import Params
from hpsearch.nn.products import Batch, batch
from hpsearch.seal import check_archive

CHUNK = 1000  # rows at a time
SHAPE = (0, 0, 0)  # of what is no image


@dataclass(frozen=True, eq=False)
class Member:
    """One net: its architecture without batch normalization, and its numbers (n_numbers,). With
    `flip` it is asked about an image and its mirror image, and answers their mean.
    """

    net: Net
    weights: NDArray[np.float32]
    flip: bool = False


@dataclass(frozen=True, eq=False)
class Predictor:
    """Nets with all that they need to answer for raw rows; where one of them flips, these are
    images of `image_shape`.
    """

    members: Sequence[Member]
    preprocess: Preprocess
    classes: tuple[str, ...]
    features: tuple[str, ...]
    image_shape: tuple[int, int, int] | None = None

    def probabilities(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """The mean probabilities (N, C) for the raw rows x (N, D): softmax of each net's logits,
        also of those that were trained with another loss.
        """
        return np.asarray(np.mean(self.flipped(x, self.plain(x)), axis=0))

    def plain(self, x: NDArray[Any], *, jobs: int = 1) -> NDArray[np.float64]:
        """Every member's probabilities (M, N, C) without flips, so many members at a time."""
        return _answers(self.members, self.preprocess, x, jobs)

    def flipped(
        self, x: NDArray[Any], plain: NDArray[np.float64], *, jobs: int = 1
    ) -> NDArray[np.float64]:
        """The `plain` answers (M, N, C), flips taken into account where members flip."""
        places = [place for place, member in enumerate(self.members) if member.flip]
        found = plain.copy()
        if places:
            nets, mirrored = [self.members[place] for place in places], self._mirrored(x)
            found[places] += _answers(nets, self.preprocess, mirrored, jobs)
            found[places] /= 2
        return found

    def _mirrored(self, x: NDArray[Any]) -> NDArray[Any]:
        assert self.image_shape is not None
        return np.ascontiguousarray(x.reshape(-1, *self.image_shape)[:, :, ::-1]).reshape(x.shape)

    def arrays(self) -> dict[str, Any]:
        """As an .npz file keeps it: the first member as `best.npz` of a stage has its own, the
        others as `weights_1`, `sizes_1`, ...
        """
        rotation = self.preprocess.rotation
        nets = [_arrays(member, f"_{n}" if n else "") for n, member in enumerate(self.members)]
        return {
            **{name: array for each in nets for name, array in each.items()},
            "members": np.array(len(self.members)),
            "image_shape": np.array(self.image_shape or SHAPE),
            "shift": self.preprocess.shift, "factor": self.preprocess.factor,
            "classes": np.array(self.classes), "features": np.array(self.features),
            **({} if rotation is None else {"rotation": rotation}),
        }  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> Self:
        """The inverse of `arrays`, also of a single net's file; DataError where it is none,
        HostError where it cannot be read.
        """
        _require_readable(path)
        arrays = {name: stored.read() for name, stored in archive(path).items()}
        try:
            check_archive(path.read_bytes())
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
        found = cls(
            [_member(arrays, f"_{n}" if n else "") for n in range(int(arrays.get("members", 1)))],
            Preprocess("", "", shift, factor, "none" if rotation is None else "pca", rotation),
            tuple(map(str, arrays["classes"])), tuple(map(str, arrays["features"])),
            (shape[0], shape[1], shape[2]) if any(shape) else None,
        )  # fmt: skip
        found._check()
        return found

    def _check(self) -> None:
        """ValueError where the nets and what is around them are not of one size."""
        if not self.members:
            raise ValueError("no net")
        inputs, classes = len(self.features), len(self.classes)
        ends = {(member.net.sizes[0], member.net.sizes[-1]) for member in self.members}
        if ends != {(inputs, classes)}:
            said = f"{inputs} inputs and {classes} classes"
            raise ValueError(f"{said} for nets from and to {sorted(ends)}")
        for array in (self.preprocess.shift, self.preprocess.factor):
            if array.shape not in ((), (inputs,)):
                raise ValueError(f"a shift or factor of shape {array.shape} for {inputs} inputs")


def _require_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except FileNotFoundError:  # for its reader to say
        return
    except OSError as error:
        raise HostError(f"{path}: cannot be read: {error.strerror}; make it readable") from error


def _arrays(member: Member, ending: str) -> dict[str, Any]:
    net = member.net
    named = {
        "weights": member.weights, "sizes": np.array(net.sizes),
        "activation": np.array(net.activation), "normalization": np.array(net.normalization),
        "flip": np.array(member.flip),
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
    flip = arrays.get(f"flip{ending}", arrays.get("flip", False))  # once one for all
    return Member(net, weights, bool(flip))


def _answers(
    members: Sequence[Member], preprocess: Preprocess, x: NDArray[Any], jobs: int
) -> NDArray[np.float64]:
    """Every net's probabilities (M, N, C) for the raw rows."""
    params = [Params.over(member.weights[None].copy(), member.net) for member in members]
    found = np.empty((len(members), len(x), members[0].net.sizes[-1]))
    with ThreadPoolExecutor(jobs) as pool:
        for start in range(0, len(x), CHUNK):
            answer = partial(_softmax, batch(preprocess.apply(x[start : start + CHUNK])))
            for place, chunk in enumerate(pool.map(answer, members, params)):
                found[place, start : start + CHUNK] = chunk
    return found


def _softmax(inputs: Batch, member: Member, params: Params) -> NDArray[np.float64]:
    """One net's probabilities (n, C); NaN for a row that single precision has no numbers for."""
    tape = Tape.for_(member.net, 1, len(inputs.x), np.float32, train=False)
    with np.errstate(over="ignore", invalid="ignore"):
        logits = forward(member.net, params, inputs, tape)[0].T.astype(np.float64)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
