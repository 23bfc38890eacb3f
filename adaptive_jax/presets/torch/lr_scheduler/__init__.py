r"""The schedulers of `torch.optim.lr_scheduler`, as schedules to give as `lr`.

In torch a scheduler changes an optimizer; here it is a function of the number of updates already
made, so its first argument is the learning rate that the optimizer would have been given:

    presets.torch.SGD(lr=lr_scheduler.StepLR(0.1, step_size=30, gamma=0.5))

Arguments of all of them:

- `lr`: the base learning rate, which torch reads off the optimizer (`CyclicLR` and `OneCycleLR`
  bring their own; `SequentialLR` and `ChainedScheduler` have that of
  their parts).
- `last_epoch`: where to start, in calls of torch's `step()`; -1 is the beginning.
- `updates_per_step`: updates of the optimizer per call of `step()`; give the number of batches
  where torch's loop steps the scheduler once an epoch. Inside `SequentialLR` and
  `ChainedScheduler`, which have it themselves, leave it out.

Torch's `step()` computes the rate from the current one; here it is computed from the number of
steps directly, and equals torch's to rounding, also in compositions, where a part finds the rate
that the others leave. There torch's schedulers are taken to be constructed in the order in which
they are listed. Where torch takes a list with a value per parameter group, one value stands
for it. `ReduceLROnPlateau` is no function of the number of updates,
but a transformation. Each raises a ValueError for a value out of range, and a TypeError for an
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

if not typing.TYPE_CHECKING:  # a type checker shall say itself that there is no such name

    def __getattr__(name):
        known = [key for key in globals() if key[0].isupper()]
        raise _explain_missing("adaptive_jax.presets.torch.lr_scheduler", name, known, {})
