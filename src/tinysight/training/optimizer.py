"""Adam with its learning rate's schedule, as few operations as can be; does not know what it improves.

Keras's Adam gives the same weights; but traced, and compiled by XLA, it takes 0.3 s longer.
"""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from .settings import TrainingSettings

WARMUP_SHARE = 0.2  # of all steps, in which a rising and falling rate rises
# Shares of Adam's two moving averages that stay at each step. With a rate that falls to nothing a shorter memory learns
# faster: see docs/experiments.md. With a constant rate, Keras's own.
BETAS = {"one-cycle": (0.85, 0.98), "cosine": (0.85, 0.98), "constant": (0.9, 0.999)}
EPSILON = 1e-7  # Keras's own


class Adam:
    """Adam; with weight decay that is decoupled from the gradient (AdamW) if asked for, of all but biases.

    Sources: D. P. Kingma, J. Ba, "Adam", https://arxiv.org/abs/1412.6980, in its section 2's order of computation;
    I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", https://arxiv.org/abs/1711.05101.

    Attributes:
        step: How many steps were taken, an int64 variable.
    """

    def __init__(self, weights: Sequence[Any], settings: TrainingSettings, num_steps: int) -> None:
        """Take a network's weights, Keras variables, and for how many steps in all the schedule is."""
        self.step = tf.Variable(0, dtype=tf.int64)
        self._settings, self._num_steps = settings, num_steps
        self._weights = [weight.value for weight in weights]
        self._means, self._squares = ([tf.Variable(tf.zeros_like(weight)) for weight in self._weights] for _ in "mv")

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Take a step against the gradients, in the order of the weights."""
        settings = self._settings
        rate = learning_rate(self.step, settings, self._num_steps)
        beta_1, beta_2 = BETAS[settings.schedule or "constant"]
        exponent = tf.cast(self.step + 1, tf.float32)
        powers = tf.pow(beta_1, exponent), tf.pow(beta_2, exponent)
        for weight, mean, square, gradient in zip(self._weights, self._means, self._squares, gradients, strict=True):
            if settings.weight_decay and len(weight.shape) > 1:
                weight.assign_sub(rate * settings.weight_decay * weight)
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle, m=mean.handle, v=square.handle, beta1_power=powers[0], beta2_power=powers[1],
                lr=rate, beta1=beta_1, beta2=beta_2, epsilon=EPSILON, grad=gradient,
            )  # fmt: skip
        self.step.assign_add(1)


def learning_rate(step: Any, settings: TrainingSettings, num_steps: int) -> Any:
    """Return the rate of a step, counted from 0: that of the step's middle, so that even a single one trains.

    ``one-cycle`` rises in a straight line to its peak, the settings' rate, after `WARMUP_SHARE` of `num_steps`, and
    falls in one to nearly nothing; ``cosine`` falls along a cosine; ``constant`` stays.

    Sources: L. N. Smith, N. Topin, "Super-Convergence", https://arxiv.org/abs/1708.07120; for the cosine:
    I. Loshchilov, F. Hutter, "SGDR", https://arxiv.org/abs/1608.03983.
    """
    if settings.schedule == "constant":
        return tf.constant(settings.learning_rate, tf.float32)
    done = (tf.cast(step, tf.float32) + 0.5) / num_steps
    left = (1 - done) / (1 - WARMUP_SHARE)
    if settings.schedule == "cosine":
        left = (1 - tf.cos(math.pi * tf.minimum(left, 1.0))) / 2
    return settings.learning_rate * tf.where(done < WARMUP_SHARE, done / WARMUP_SHARE, left)
