"""The optimizers of `torch.optim` 2.15 and its learning-rate schedulers, as compositions.

`presets.torch.Adam(lr=1e-3, betas=(0.9, 0.98))` is what `torch.optim.Adam(model.parameters(),
lr=1e-3, betas=(0.9, 0.98))` is, number for number, and an ordinary Optax transformation. So
somebody who ports a recipe copies the constructor call and leaves `model.parameters()` out. All
other arguments are torch's, in its order and with its defaults. What those of several
constructors mean:

- `lr`: a number or a schedule; `presets.torch.lr_scheduler` has torch's.
- `betas`: our `b1` and `b2`. `eps`: ours, where the constructor does not say otherwise.
- `betas`, `momentum`, `eps`, `weight_decay` and all other numbers may be arrays, PyTorch's tensors
  among them, or traced, as everywhere in this library; `momentum` and the first of the `betas`
  also a schedule, such as the `.momentum` of `CyclicLR` and `OneCycleLR`.
- `weight_decay`: coupled, that is added to the gradient, except where torch decouples it: in
  `AdamW`, `Adafactor` and `Muon`, and with `decoupled_weight_decay=True`. It is times the
  learning rate then.
- `maximize`: the gradient's sign is changed, before the decay.
- `foreach`, `fused`, `capturable`, `differentiable`: accepted and ignored. They choose between
  implementations of the same numbers; here XLA fuses, everything can be captured by `jit`, and
  every update can be differentiated.

Parameter groups are `optax.partition` with a constructor call for each group.

Each raises a ValueError that names torch's argument where a value is out of range, or where `lr` is
of a scheduler that cycles the momentum too and that is not given; and a TypeError for an argument
that torch does not have, for the model's parameters, and for a tuple of another length.
"""

import typing

from adaptive_jax.presets.arguments import explain_missing as _explain_missing
from adaptive_jax.presets.torch import lr_scheduler as lr_scheduler
from adaptive_jax.presets.torch.adam_kin import Adam as Adam
from adaptive_jax.presets.torch.adam_kin import Adamax as Adamax
from adaptive_jax.presets.torch.adam_kin import AdamW as AdamW
from adaptive_jax.presets.torch.adam_kin import NAdam as NAdam
from adaptive_jax.presets.torch.adam_kin import RAdam as RAdam
from adaptive_jax.presets.torch.classic import ASGD as ASGD
from adaptive_jax.presets.torch.classic import SGD as SGD
from adaptive_jax.presets.torch.classic import Adadelta as Adadelta
from adaptive_jax.presets.torch.classic import Adagrad as Adagrad
from adaptive_jax.presets.torch.classic import RMSprop as RMSprop
from adaptive_jax.presets.torch.classic import Rprop as Rprop
from adaptive_jax.presets.torch.matrices import Adafactor as Adafactor
from adaptive_jax.presets.torch.matrices import Muon as Muon

_INSTEAD = {
    "LBFGS": "it evaluates the loss several times an update, so it is no transformation of one "
    "gradient; use optax.lbfgs",
    "SparseAdam": "gradients are dense in JAX; use Adam, or optax.partition for rows that rarely "
    "have a gradient",
}


if not typing.TYPE_CHECKING:  # a type checker shall say itself that there is no such name

    def __getattr__(name):
        known = [key for key in globals() if key[0].isupper()]
        raise _explain_missing("adaptive_jax.presets.torch", name, known, _INSTEAD)
