"""What a coalition of units is worth: the first argument of `ShapleyRanker`.

The short forms `"reconstruction"`, `"loss"` and `"kl"` are `Reconstruction`, `Loss` and
`KL` with their defaults; a function of labels and outputs is a `Custom` game.

Example:

```python
from keras_shapley_prune import ShapleyRanker, games

ranker = ShapleyRanker(games.Loss("sparse_categorical_crossentropy"), stages=4)
print(ranker.estimate_cost(model, dataset))
```
"""

from keras_shapley_prune.rank.games.game import Game
from keras_shapley_prune.rank.games.outputs import KL, Custom, Loss
from keras_shapley_prune.rank.games.reconstruction import Reconstruction

__all__ = ["KL", "Custom", "Game", "Loss", "Reconstruction"]
