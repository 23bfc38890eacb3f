r"""The schedulers of `torch.optim.lr_scheduler`, as schedules to pass as `lr`.

In torch a scheduler modifies an optimizer. Here it is a function of the number of updates made so
far, and its first argument is the learning rate that torch's optimizer would have:

    presets.torch.SGD(lr=lr_scheduler.StepLR(0.1, step_size=30, gamma=0.5))

Common arguments:

- `lr`: the base learning rate, which torch reads from the optimizer. (`CyclicLR` and `OneCycleLR`
  have their own; `SequentialLR` and `ChainedScheduler` use that of their parts.)
- `last_epoch`: the starting point, in calls of torch's `step()`; -1 is the beginning.
- `updates_per_step`: the number of updates of the optimizer per call of `step()`. If torch's loop
  steps the scheduler once per epoch, pass the number of batches. Omit it for schedulers inside
  `SequentialLR` and `ChainedScheduler`, which have this argument themselves.

Torch's `step()` computes the rate from the current rate. Here the rate is computed directly from
the number of steps, and it equals torch's to rounding. This also holds in compositions, where each
part modifies the rate that the others leave; torch's schedulers are then assumed to be constructed
in the order in which they are listed. Where torch takes a list with one value per parameter group,
pass one value. `ReduceLROnPlateau` is not a function of the number of updates, but a
transformation. Each scheduler raises a ValueError for a value out of range, and a TypeError for an
argument that torch does not have.
"""

import typing

from adaptive_jax.presets.arguments import explain_missing as _explain_missing
from adaptive_jax.presets.torch.lr_scheduler.composites import ChainedScheduler as ChainedScheduler
from adaptive_jax.presets.torch.lr_scheduler.composites import SequentialLR as SequentialLR
from adaptive_jax.presets.torch.lr_scheduler.cycles import SWALR as SWALR
from adaptive_jax.presets.torch.lr_scheduler.cycles import CosineAnnealingLR as CosineAnnealingLR
from adaptive_jax.presets.torch.lr_scheduler.cycles import (
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from adaptive_jax.presets.torch.lr_scheduler.cycles import CyclicLR as CyclicLR
from adaptive_jax.presets.torch.lr_scheduler.cycles import OneCycleLR as OneCycleLR
from adaptive_jax.presets.torch.lr_scheduler.decay import ConstantLR as ConstantLR
from adaptive_jax.presets.torch.lr_scheduler.decay import ExponentialLR as ExponentialLR
from adaptive_jax.presets.torch.lr_scheduler.decay import LambdaLR as LambdaLR
from adaptive_jax.presets.torch.lr_scheduler.decay import LinearLR as LinearLR
from adaptive_jax.presets.torch.lr_scheduler.decay import MultiplicativeLR as MultiplicativeLR
from adaptive_jax.presets.torch.lr_scheduler.decay import MultiStepLR as MultiStepLR
from adaptive_jax.presets.torch.lr_scheduler.decay import PolynomialLR as PolynomialLR
from adaptive_jax.presets.torch.lr_scheduler.decay import StepLR as StepLR
from adaptive_jax.presets.torch.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from adaptive_jax.presets.torch.lr_scheduler.scheduler import Scheduler as Scheduler

if not typing.TYPE_CHECKING:  # with __getattr__, a type checker would accept every name

    def __getattr__(name):
        known = [key for key in globals() if key[0].isupper()]
        raise _explain_missing("adaptive_jax.presets.torch.lr_scheduler", name, known, {})
