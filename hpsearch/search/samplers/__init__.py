"""Samplers: which hparams the trials of a stage have.

Those in POINTS give a trial's hparams as a pure function of its place in the stage. The grid
turns the space into a finite one; tpe learns from the trials before.
"""

from hpsearch.search.samplers import halton, independent, sobol
from hpsearch.search.samplers.place import Place, Sampler

__all__ = ["POINTS", "SAMPLERS", "Place", "Sampler"]

POINTS: dict[str, Sampler] = {
    "random": independent.draw, "halton": halton.draw, "sobol": sobol.draw,
}  # fmt: skip
SAMPLERS = (*POINTS, "grid", "tpe")
