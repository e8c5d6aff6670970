"""Which columns does it need: scikit-learn selectors with scores, a total order and a support of known size.

The score functions behind :class:`InfFS` and its comparators are in :mod:`lib.select.inf_fs`.
"""

from lib.select.base import RankingSelector, rank_columns, support_size
from lib.select.inf_fs import InfFS
from lib.select.univariate import FTest, RandomSelector, Variance

__all__ = ["FTest", "InfFS", "RandomSelector", "RankingSelector", "Variance", "rank_columns", "support_size"]
