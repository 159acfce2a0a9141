"""Raw operations of `keras.ops`, by the name of their class."""

from keras_shapley_prune.flows import concatenate, join, keep, reduce
from keras_shapley_prune.layer_specs import OPERATION_SPECS, LayerSpec
from keras_shapley_prune.stock_layers.constants import forbid_arrays

for name in "Add Subtract Multiply Divide TrueDivide Maximum Minimum".split():
    OPERATION_SPECS[name] = LayerSpec(join)
for name in """Absolute Negative Square Sqrt Exp Relu Relu6 LeakyRelu Elu Selu Gelu Silu
        Sigmoid HardSigmoid HardSilu Tanh Softplus Softsign Cast""".split():
    OPERATION_SPECS[name] = LayerSpec(keep)
OPERATION_SPECS["Clip"] = LayerSpec(keep, unfit=forbid_arrays("x_min", "x_max"))
for name in "Mean Sum Max Min".split():
    OPERATION_SPECS[name] = LayerSpec(reduce)
OPERATION_SPECS["Concatenate"] = LayerSpec(concatenate)
