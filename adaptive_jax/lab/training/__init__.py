"""Trains one model, or a population of models in one compiled program."""

from adaptive_jax.lab.training.callbacks import Callback as Callback
from adaptive_jax.lab.training.callbacks import Callbacks as Callbacks
from adaptive_jax.lab.training.callbacks import Epoch as Epoch
from adaptive_jax.lab.training.config import NONFINITE as NONFINITE
from adaptive_jax.lab.training.config import SCHEDULES as SCHEDULES
from adaptive_jax.lab.training.config import Member as Member
from adaptive_jax.lab.training.config import OptimizerSpec as OptimizerSpec
from adaptive_jax.lab.training.config import RunConfig as RunConfig
from adaptive_jax.lab.training.history import History as History
from adaptive_jax.lab.training.loggers import CsvLogger as CsvLogger
from adaptive_jax.lab.training.loggers import MLflowLogger as MLflowLogger
from adaptive_jax.lab.training.loggers import TensorBoardLogger as TensorBoardLogger
from adaptive_jax.lab.training.loggers import WandbLogger as WandbLogger
from adaptive_jax.lab.training.loop import Recovery as Recovery
from adaptive_jax.lab.training.population import Population as Population
from adaptive_jax.lab.training.progress_bar import ProgressBar as ProgressBar
from adaptive_jax.lab.training.records import RunRecord as RunRecord
from adaptive_jax.lab.training.train import train as train
