"""The optimizers of `torch.optim` 2.15 and its learning-rate schedulers, as compositions.

`presets.torch.Adam(lr=1e-3, betas=(0.9, 0.98))` is an Optax transformation that reproduces
`torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98))` number for number. To port a
recipe, copy the constructor call and leave out `model.parameters()`. All other arguments are
torch's, in its order and with its defaults. Several constructors share these arguments:

- `lr`: a number or a schedule; `presets.torch.lr_scheduler` has torch's schedulers.
- `betas`: our `b1` and `b2`. `eps`: our `eps`, unless the constructor says otherwise.
- `betas`, `momentum`, `eps`, `weight_decay` and all other numbers may be arrays (including
  PyTorch's tensors) or traced, as everywhere in this library. `momentum` and the first of the
  `betas` may also be a schedule, such as the `.momentum` of `CyclicLR` and `OneCycleLR`.
- `weight_decay`: coupled, that is, added to the gradient, except where torch decouples it: in
  `AdamW`, `Adafactor` and `Muon`, and with `decoupled_weight_decay=True`. Decoupled decay is
  multiplied by the learning rate.
- `maximize`: flips the sign of the gradient, before the decay.
- `foreach`, `fused`, `capturable`, `differentiable`: accepted and ignored. They select between
  implementations of the same computation. Here XLA fuses operations, `jit` can compile everything,
  and every update is differentiable.

For parameter groups, use `optax.partition` with a constructor call for each group.

Each constructor raises a ValueError that names torch's argument if a value is out of range, or if
`lr` is a scheduler that also cycles the momentum and the momentum is not passed. It raises a
TypeError for an argument that torch does not have, for the model's parameters, and for a tuple of
the wrong length.
"""

import typing

from adaptive_jax.presets.arguments import explain_missing as _explain_missing
from adaptive_jax.presets.torch import lr_scheduler as lr_scheduler
from adaptive_jax.presets.torch.adam_variants import Adam as Adam
from adaptive_jax.presets.torch.adam_variants import Adamax as Adamax
from adaptive_jax.presets.torch.adam_variants import AdamW as AdamW
from adaptive_jax.presets.torch.adam_variants import NAdam as NAdam
from adaptive_jax.presets.torch.adam_variants import RAdam as RAdam
from adaptive_jax.presets.torch.classic import ASGD as ASGD
from adaptive_jax.presets.torch.classic import SGD as SGD
from adaptive_jax.presets.torch.classic import Adadelta as Adadelta
from adaptive_jax.presets.torch.classic import Adagrad as Adagrad
from adaptive_jax.presets.torch.classic import RMSprop as RMSprop
from adaptive_jax.presets.torch.classic import Rprop as Rprop
from adaptive_jax.presets.torch.matrices import Adafactor as Adafactor
from adaptive_jax.presets.torch.matrices import Muon as Muon

_INSTEAD = {
    "LBFGS": "it evaluates the loss several times per update, so it is not a transformation of one "
    "gradient; use optax.lbfgs",
    "SparseAdam": "gradients are dense in JAX; use Adam, or optax.partition for rows that rarely "
    "have a gradient",
}


if not typing.TYPE_CHECKING:  # with __getattr__, a type checker would accept every name

    def __getattr__(name):
        known = [key for key in globals() if key[0].isupper()]
        raise _explain_missing("adaptive_jax.presets.torch", name, known, _INSTEAD)
