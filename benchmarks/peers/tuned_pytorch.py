"""PyTorch, tuned by us to be fast: whole tensors, Tinysight's batch size and schedule, and exactly 3 epochs."""

import mnist
import torch
from torch import nn

EPOCHS, BATCH_SIZE = 3, 256

x_train, y_train, x_test, y_test = (torch.from_numpy(array) for array in mnist.load())

torch.manual_seed(mnist.seed)
model = nn.Sequential(nn.Flatten(), nn.Linear(784, 784), nn.ReLU(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, fused=True)
steps = len(x_train) // BATCH_SIZE
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, max_lr=3e-3, total_steps=EPOCHS * steps, pct_start=0.3, anneal_strategy="linear", cycle_momentum=False
)


def train_epoch():
    for rows in torch.randperm(len(x_train))[: steps * BATCH_SIZE].view(steps, BATCH_SIZE):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x_train[rows]), y_train[rows]).backward()
        optimizer.step()
        schedule.step()


def score():
    with torch.no_grad():
        return (model(x_test).argmax(1) == y_test).float().mean()


mnist.max_epochs = EPOCHS
mnist.run(train_epoch, score)
