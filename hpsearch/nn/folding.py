"""Batch normalization folded into the layers before it: a plain network with the same answers."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.net import Net
from hpsearch.nn.normalization import EPSILON
from hpsearch.nn.params import Params


def fold(net: Net, flat: NDArray[np.floating]) -> tuple[Net, NDArray[np.floating]]:
    """The net without batch normalization and its numbers, from those of a trial (n_numbers,).

    gamma (W a - mean)/sd + beta = (gamma/sd W) a + (beta - gamma mean/sd), with the running mean
    and sd. Other nets are returned as they are.
    """
    if net.normalization != "batch":
        return net, flat
    plain = replace(net, normalization="none")
    old = Params.over(flat[None].astype(np.float64), net)
    numbers = np.zeros((1, plain.n_numbers))
    new = Params.over(numbers, plain)
    for kind in ("weights", "biases", "slopes"):
        for target, source in zip(getattr(new, kind), getattr(old, kind), strict=True):
            target[:] = source
    for layer, gamma in enumerate(old.gammas):
        factor = gamma / np.sqrt(old.variances[layer] + EPSILON)
        new.weights[layer][:] *= factor
        new.biases[layer][:] -= factor * old.means[layer]
    return plain, numbers[0].astype(flat.dtype)
