"""One member's optimizer inside a compiled program: its state, its updates and its rates."""

import contextlib
import inspect

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import diagnostics
from adaptive_jax.algebra import chain
from adaptive_jax.lab.training.config import OptimizerSpec
from adaptive_jax.lab.training.network import Network
from adaptive_jax.typing import Schedule
from adaptive_jax.wrappers.evaluation import evaluation_params, has_schedule_free_average


class Updates:
    """Initializes and updates one member's parameters with any optimizer.

    Nothing here has a member axis: `Programs` adds it with `vmap`. In the methods, `hyper` maps
    the names of the hyperparameters that vary between members to traced scalars.

    Args:
      network: The network that is trained.
      schedule: `count -> factor` of the learning rate.
    """

    def __init__(self, network: Network, schedule: Schedule):
        self._network, self._schedule = network, schedule
        self._averages: dict[OptimizerSpec, bool] = {}

    def init(self, optimizer, params, hyper):
        """Returns the optimizer's initial state."""
        with _named_errors(optimizer):
            return self._transformation(optimizer, hyper).init(params)

    def update(self, optimizer, grads, loss, model, batch, state, hyper, on_loss=None):
        """Returns the parameters and the optimizer's state after one update.

        Args:
          optimizer: An `OptimizerSpec`.
          grads, loss: The gradients and the loss of the batch.
          model: The `ModelState` before the update.
          batch: The mini-batch, for optimizers that evaluate the loss themselves.
          state, hyper: The optimizer's state and varying hyperparameters.
          on_loss: Is called with the parameters whenever, during tracing, the optimizer
            evaluates the loss.
        """
        with _named_errors(optimizer):
            tx = optax.with_extra_args_support(self._transformation(optimizer, hyper))
            extra = self._extra_args(grads, loss, model, batch, on_loss)
            updates, state = tx.update(grads, state, model.params, **extra)
        return optax.apply_updates(model.params, updates), state

    def rate_histogram(self, optimizer, grads, loss, model, batch, state, hyper):
        """Returns the histogram of effective learning rates, (bins,).

        It is None for an optimizer whose update is not a direction times a scale.
        """
        with _named_errors(optimizer):
            tx = self._transformation(optimizer, hyper)
            extra = self._extra_args(grads, loss, model, batch)
            args = tx, grads, state, model.params
            try:
                rates = diagnostics.effective_learning_rates(*args, **extra)
            except ValueError:  # the optimizer has no scale
                return None
        # One array compiles in less time than many.
        leaves = [x.ravel() for x in jax.tree.leaves(rates)]
        return diagnostics.rate_histogram(jnp.concatenate(leaves) if leaves else leaves)

    def evaluation_params(self, optimizer):
        """Returns `(state, params) -> params` to evaluate at, or None for the trained ones."""
        average = evaluation_params if self.averages(optimizer) else None
        return optimizer.entry.evaluated_at or average

    def averages(self, optimizer):
        """Returns whether the optimizer's state holds a Schedule-Free average."""
        if optimizer not in self._averages:
            lowest = {name: searched.at(0) for name, searched in optimizer.search.items()}
            with _named_errors(optimizer):
                state = jax.eval_shape(optimizer.build(**lowest).init, self._network.shapes.params)
            self._averages[optimizer] = has_schedule_free_average(state)
        return self._averages[optimizer]

    def _transformation(self, optimizer, hyper):
        """Returns the optimizer with the schedule applied."""
        entry = optimizer.entry
        rate = {**optimizer.given, **hyper}.get("learning_rate")
        if not entry.scheduled or self.averages(optimizer):
            return chain(_built(optimizer, hyper))
        if entry.takes_schedule and rate is not None:
            scheduled = {**hyper, "learning_rate": lambda count: rate * self._schedule(count)}
            return chain(_built(optimizer, scheduled))
        # As a stage of its own the schedule is the same for every optimizer: AdaBound's base_lr
        # and decoupled weight decay need no special case.
        return chain(_built(optimizer, hyper), optax.scale_by_schedule(self._schedule))

    def _extra_args(self, grads, loss, model, batch, on_loss=None):
        """Returns the extra arguments that Optax's methods may ask for.

        A line search takes `value`, `grad` and `value_fn`, and passes its other extra arguments
        on to `value_fn`. Sophia takes `obj_fn`, sharpness-aware minimization `grad_fn`.
        """

        def value_fn(params, obj_fn=None, grad_fn=None):
            if on_loss is not None:
                on_loss(params)
            # The random keys and counters are those of the step's own gradient. So dropout has
            # the same mask there and here, and the losses can be compared.
            scores, _ = self._network.train_scores(model._replace(params=params), batch)
            return jnp.mean(scores["loss"])

        return {
            "value": loss,
            "grad": grads,
            "value_fn": value_fn,
            "obj_fn": value_fn,
            "grad_fn": lambda params, *_: jax.grad(value_fn)(params),
        }


def _built(optimizer, hyper):
    """Returns the optimizer, wrapped such that it gets only the extra arguments it declares."""
    tx = optimizer.build(**hyper)
    parameters = inspect.signature(tx.update).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if takes_all or not isinstance(tx, optax.GradientTransformationExtraArgs):
        return tx

    def update(updates, state, params=None, **extra):
        declared = {name: value for name, value in extra.items() if name in parameters}
        return tx.update(updates, state, params, **declared)

    return optax.GradientTransformationExtraArgs(tx.init, update)


@contextlib.contextmanager
def _named_errors(optimizer):
    """Adds the optimizer's name to an error that it raises because of how it is called."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ValueError(
            f"{optimizer.label} cannot be trained here: {type(error).__name__}: {error}. An "
            "optimizer gets gradients of the mini-batch's mean loss, its state and the parameters, "
            "and by name value, grad, value_fn, obj_fn and grad_fn"
        ) from error
