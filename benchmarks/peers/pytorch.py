"""PyTorch as in its tutorial "Learn the Basics", with Adam instead of SGD: a DataLoader with batches of 64 images."""

import mnist
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

x_train, y_train, x_test, y_test = (torch.from_numpy(array) for array in mnist.load())

torch.manual_seed(mnist.seed)
model = nn.Sequential(nn.Flatten(), nn.Linear(784, 784), nn.ReLU(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)
loss_of = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def train_epoch():
    model.train()
    for images, labels in loader:
        loss = loss_of(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def score():
    model.eval()
    with torch.no_grad():
        return (model(x_test).argmax(1) == y_test).float().mean()


mnist.run(train_epoch, score)
