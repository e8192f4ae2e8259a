"""The recipe: the stages in order. Each is a pair of pure functions, plan and judge."""

from hpsearch.stages import data, overfit, sanity, search, sweep
from hpsearch.verdict import CHECKING

CHECKS = (data.STAGE, sanity.STAGE, overfit.STAGE, sweep.STAGE)
RECIPE = (*CHECKS, search.COARSE, search.REFINE)

assert tuple(stage.name for stage in CHECKS) == CHECKING
