"""Which columns does it need: scikit-learn selectors with scores, a total order and a support of known size.

By what they look at:

- one column at a time: `Variance`, `FTest`, `MutualInformation`, `OutRank` (cardinality), `RandomSelector` (nothing);
- a graph of columns: `InfFS`, `InfFSSupervised`, `ILFS`, `ECFS`;
- what a column adds to those picked: `InformationSelector` (mRMR, JMI, CMIM), `ThreeMR`, `OMP`, `DisCo`,
  `LinearSequentialAttention`, `AspectSelector`;
- a network that learns: `QuickSelection`, `SequentialAttention`, `LLY`, `GroupLasso`, `DeepLasso`, `FeatureGradients`,
  `AttributionElimination`, `DIME` (another set of columns for every row);
- a test for each column: `DRCFS`.

The score functions underneath are in the modules of the same names.
"""

from lib.select.aspects import AspectSelector
from lib.select.attribution_elimination import AttributionElimination
from lib.select.base import ColumnSelector, RankingSelector, rank_columns, support_size
from lib.select.deep_lasso import DeepLasso
from lib.select.dime import DIME
from lib.select.disco import DisCo
from lib.select.drcfs import DRCFS
from lib.select.ec_fs import ECFS
from lib.select.feature_gradients import FeatureGradients
from lib.select.group_lasso import GroupLasso
from lib.select.ilfs import ILFS
from lib.select.inf_fs import InfFS
from lib.select.inf_fs_supervised import InfFSSupervised
from lib.select.linear_sequential_attention import LinearSequentialAttention
from lib.select.lly import LLY
from lib.select.mutual_information import InformationSelector, MutualInformation
from lib.select.omp import OMP
from lib.select.outrank import OutRank
from lib.select.quick_selection import QuickSelection
from lib.select.sequential import SequentialSelector
from lib.select.sequential_attention import SequentialAttention
from lib.select.three_mr import ThreeMR
from lib.select.univariate import FTest, RandomSelector, Variance

__all__ = [
    "AspectSelector",
    "AttributionElimination",
    "ColumnSelector",
    "DIME",
    "DRCFS",
    "DeepLasso",
    "DisCo",
    "ECFS",
    "FTest",
    "FeatureGradients",
    "GroupLasso",
    "ILFS",
    "InfFS",
    "InfFSSupervised",
    "InformationSelector",
    "LLY",
    "LinearSequentialAttention",
    "MutualInformation",
    "OMP",
    "OutRank",
    "QuickSelection",
    "RandomSelector",
    "RankingSelector",
    "SequentialAttention",
    "SequentialSelector",
    "ThreeMR",
    "Variance",
    "rank_columns",
    "support_size",
]
