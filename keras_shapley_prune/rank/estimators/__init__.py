"""How Shapley values are estimated: the second argument of `ShapleyRanker`.

The games on the network's outputs take all but the last. The short forms
`"permutation"`, `"gradient"`, `"corrected_gradient"`, `"adaptive"`, `"exact"` and
`"shared_permutation"` are these classes with their defaults. The reconstruction game
has an estimator of its own, `ClosedFormPermutation`: there, `"permutation"` means that.

Example:

```python
from keras_shapley_prune import ShapleyRanker, estimators

ranker = ShapleyRanker("loss", estimators.Permutation(num_draws=2))
print(ranker.estimate_cost(model, dataset))
```
"""

from keras_shapley_prune.rank.estimators.adaptive import Adaptive
from keras_shapley_prune.rank.estimators.closed_form import ClosedFormPermutation
from keras_shapley_prune.rank.estimators.corrected import CorrectedGradient
from keras_shapley_prune.rank.estimators.exact import Exact
from keras_shapley_prune.rank.estimators.gradient import Gradient
from keras_shapley_prune.rank.estimators.permutation import (
    Permutation,
    SharedPermutation,
)

__all__ = [
    "Adaptive",
    "ClosedFormPermutation",
    "CorrectedGradient",
    "Exact",
    "Gradient",
    "Permutation",
    "SharedPermutation",
]
