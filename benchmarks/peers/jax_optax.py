"""JAX as in its tutorials: one compiled step on 128 images, with Optax's Adam."""

import jax
import jax.numpy as jnp
import mnist
import numpy as np
import optax

BATCH_SIZE = 128

x_train, y_train, x_test, y_test = mnist.load()
x_train, x_test = x_train.reshape(len(x_train), -1), x_test.reshape(len(x_test), -1)

initialize = jax.nn.initializers.glorot_uniform()
keys = jax.random.split(jax.random.key(mnist.seed), 3)
sizes = ((784, 784), (784, 512), (512, 10))
params = [(initialize(key, size), jnp.zeros(size[1])) for key, size in zip(keys, sizes, strict=True)]
optimizer = optax.adam(1e-3)
state = optimizer.init(params)
rng = np.random.default_rng(mnist.seed)


def predict(params, images):
    for weights, bias in params[:-1]:
        images = jax.nn.relu(images @ weights + bias)
    weights, bias = params[-1]
    return images @ weights + bias


def loss_of(params, images, labels):
    return optax.softmax_cross_entropy_with_integer_labels(predict(params, images), labels).mean()


@jax.jit
def update(params, state, images, labels):
    gradients = jax.grad(loss_of)(params, images, labels)
    changes, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, changes), state


@jax.jit
def accuracy(params, images, labels):
    return (predict(params, images).argmax(1) == labels).mean()


def train_epoch():
    global params, state
    order = rng.permutation(len(x_train))
    for start in range(0, len(order), BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        params, state = update(params, state, x_train[rows], y_train[rows])


mnist.run(train_epoch, lambda: accuracy(params, x_test, y_test))
