"""Tree-structured Parzen estimators (Bergstra et al. 2011), by Optuna: draws that learn.

Optuna is asked and told in the memory alone. Every batch begins with a study of its own that is
told the trials before it, in their order, so that its draws are a function of the seed and of
those results: however many jobs there are, and after an interruption too.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hpsearch.errors import ConfigError
from hpsearch.search.conditions import Hparams, Settings, applying
from hpsearch.search.distributions import Value
from hpsearch.search.space import Choice, Distribution, Space

BATCH = 10  # trials, drawn on what those before them showed; the first ones are Sobol points


class Told(NamedTuple):
    """A finished trial: its hparams, and its score, larger being better; -inf if it diverged,
    None where it tells nothing.
    """

    hparams: Mapping[str, Value]
    score: float | None


def propose(
    space: Space, settings: Settings, told: Sequence[Told], *, count: int, seed: int
) -> list[Hparams]:
    """The hparams of the next trials, the first of them being the same whatever the count.
    ConfigError where Optuna is missing.
    """
    optuna = require()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, constant_liar=True)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize", sampler=sampler)
        kinds = {name: _told_as(optuna, kind) for name, kind in space.items()}
        for one in told:
            if one.score is not None:
                study.add_trial(_frozen(optuna, space, kinds, one))
        return [_drawn(space, settings, study.ask(kinds).params) for _ in range(count)]
    finally:
        optuna.logging.set_verbosity(verbosity)


def require() -> Any:
    """Optuna; ConfigError where it is missing."""
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "search.sampler: tpe needs Optuna, which is not installed; "
            "pip install 'hpsearch[optuna]', or set search.sampler: sobol"
        ) from None
    return optuna


def _told_as(optuna: Any, kind: Distribution) -> Any:
    """What Optuna knows of a distribution: a list's items by number, else the share of draws
    below a value, which is uniform.
    """
    if isinstance(kind, Choice):
        return optuna.distributions.CategoricalDistribution(range(len(kind.values)))
    return optuna.distributions.FloatDistribution(0.0, 1.0)


def _frozen(optuna: Any, space: Space, kinds: Mapping[str, Any], one: Told) -> Any:
    params = {name: _param(space[name], value) for name, value in one.hparams.items()}
    return optuna.trial.create_trial(
        value=one.score, params=params, distributions={name: kinds[name] for name in params}
    )


def _param(kind: Distribution, value: Any) -> float:
    return list(kind.values).index(value) if isinstance(kind, Choice) else kind.share(value)


def _drawn(space: Space, settings: Settings, params: Mapping[str, Any]) -> Hparams:
    values = {
        name: kind.values[params[name]] if isinstance(kind, Choice) else kind.at(params[name])
        for name, kind in space.items()
    }
    return applying(space, values, settings)
