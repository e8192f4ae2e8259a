"""A trial's weights as they leave the program: with all that is needed to use them."""

from typing import Any

import numpy as np

from hpsearch.config.schema import Config
from hpsearch.data import Dataset
from hpsearch.nn.folding import fold
from hpsearch.stages.context import net_of
from hpsearch.trial import TrialResult


def portable(config: Config, data: Dataset, result: TrialResult) -> dict[str, Any]:
    """The arrays of `best.npz` by name: batch normalization is folded into the weights, and what
    was done to the rows (D,) is `shift`, `factor` and, where they were whitened, `rotation`.
    """
    model, _ = config.with_hparams(dict(result.hparams))
    assert result.weights is not None
    net, weights = fold(net_of(model, data), result.weights)
    rotation = data.preprocess.rotation
    return {
        "weights": weights, "sizes": np.array(net.sizes),
        "activation": np.array(net.activation), "normalization": np.array(net.normalization),
        "shift": data.preprocess.shift, "factor": data.preprocess.factor,
        "classes": np.array(data.classes), "features": np.array(data.features),
        **({} if rotation is None else {"rotation": rotation}),
    }  # fmt: skip
