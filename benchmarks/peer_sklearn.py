"""A peer: `RandomizedSearchCV(MLPClassifier)` on rows prepared beforehand; prints one JSON line.

Run as `python -m benchmarks.peer_sklearn WORK`, WORK being JSON.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import loguniform
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV
from sklearn.neural_network import MLPClassifier


def search(work: dict[str, Any]) -> RandomizedSearchCV:
    """The search that `work` describes: the last rows of all validate, once per trial."""
    net = MLPClassifier(
        hidden_layer_sizes=tuple(work["hidden"]), activation="relu", solver="sgd",
        momentum=0.9, nesterovs_momentum=False, batch_size=work["batch"],
        learning_rate="constant", max_iter=work["epochs"], tol=0.0,
        n_iter_no_change=work["epochs"] + 1,  # never stops early
    )  # fmt: skip
    fold = np.full(work["train_rows"] + work["validation_rows"], -1)
    fold[work["train_rows"] :] = 0
    rates = {
        "learning_rate_init": loguniform(*work["learning_rate"]),
        # scikit-learn divides its penalty by the rows of the minibatch.
        "alpha": loguniform(*(work["batch"] * end for end in work["weight_decay"])),
    }
    return RandomizedSearchCV(
        net, rates, n_iter=work["trials"], cv=PredefinedSplit(fold), refit=False,
        n_jobs=work["jobs"], random_state=work["seed"],
    )  # fmt: skip


def main(work: dict[str, Any]) -> dict[str, float]:
    """Seconds of `fit`, and the best accuracy."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    folder = Path(work["rows"])
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    made = search(work)
    begun = time.monotonic()
    made.fit(x, y)
    ended = time.monotonic()
    return {"begun": begun, "ended": ended, "best": float(made.best_score_), "diverged": 0.0}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
