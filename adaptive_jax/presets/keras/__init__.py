"""The optimizers of `keras.optimizers` 3.15 and its schedules, as compositions.

`presets.keras.Adam(learning_rate=1e-3, beta_1=0.95, clipnorm=1.0)` is an Optax transformation that
reproduces `keras.optimizers.Adam` with these arguments number for number. All arguments are
Keras's, in its order and with its defaults. `beta_1` and `beta_2` are our `b1` and `b2`. Each
constructor says where `epsilon` is added. All constructors take the arguments of Keras's base
class:

- `learning_rate`: a number, a schedule of the number of `update` calls made so far (Keras's are in
  `presets.keras.schedules`), or a function without arguments. `jit` calls such a function once; to
  change a rate between steps, use `adaptive_jax.tunable`.
- `clipvalue`, `clipnorm`, `global_clipnorm`: limits on each coordinate, on the norm of each array,
  and on the global norm. Only one of them can be set. None, 0 and negative numbers mean no limit.
- `weight_decay`: before the step, learning_rate · weight_decay times the parameters is subtracted
  from them.
- `use_ema`, `ema_momentum`, `ema_overwrite_frequency`: keep a moving average of the parameters, and
  set the parameters to it every so many steps. `finalize_variable_values(params, state)` returns
  the average at the end of training, as `fit` does in Keras.
- `gradient_accumulation_steps`: make an update only at the last of so many calls, with their mean
  gradient. As in Keras, schedules still count calls, and the moving average is updated at every
  call.
- `loss_scale_factor`: gradients are divided by it; multiply the loss by it yourself.
- `name`: accepted and ignored. In Keras it names variables; the state here has no names.

All numbers may be arrays or traced, as everywhere in this library. Intermediate values between the
stages are in float32 or wider, also for parameters in half precision. Instead of
`exclude_from_weight_decay`, put `adaptive_jax.add_decayed_weights(weight_decay, mask)` into your
own chain.

Each constructor raises a ValueError that names Keras's argument if a value is out of range or more
than one clipping is set, and a TypeError for an argument that Keras 3 does not have.
"""

import typing

from adaptive_jax.presets.arguments import explain_missing as _explain_missing
from adaptive_jax.presets.keras import schedules as schedules
from adaptive_jax.presets.keras.adam_variants import Adam as Adam
from adaptive_jax.presets.keras.adam_variants import Adamax as Adamax
from adaptive_jax.presets.keras.adam_variants import AdamW as AdamW
from adaptive_jax.presets.keras.adam_variants import Lamb as Lamb
from adaptive_jax.presets.keras.adam_variants import Lion as Lion
from adaptive_jax.presets.keras.adam_variants import Nadam as Nadam
from adaptive_jax.presets.keras.adam_variants import ScheduleFreeAdamW as ScheduleFreeAdamW
from adaptive_jax.presets.keras.classic import SGD as SGD
from adaptive_jax.presets.keras.classic import Adadelta as Adadelta
from adaptive_jax.presets.keras.classic import Adagrad as Adagrad
from adaptive_jax.presets.keras.classic import Ftrl as Ftrl
from adaptive_jax.presets.keras.classic import RMSprop as RMSprop
from adaptive_jax.presets.keras.matrices import Adafactor as Adafactor
from adaptive_jax.presets.keras.matrices import Muon as Muon
from adaptive_jax.presets.keras.wrapping import (
    finalize_variable_values as finalize_variable_values,
)

_INSTEAD = {
    "LossScaleOptimizer": "bfloat16 has float32's range and needs none; for float16, scale the "
    "loss yourself and skip updates that overflow with optax.apply_if_finite",
    "MultiOptimizer": "use optax.partition",
    "OptimizerMap": "use optax.partition, or partition_by_mask and mask_by_path for two optimizers",
}


if not typing.TYPE_CHECKING:  # with __getattr__, a type checker would accept every name

    def __getattr__(name):
        known = [key for key in globals() if key[0].isupper()]
        raise _explain_missing("adaptive_jax.presets.keras", name, known, _INSTEAD)
