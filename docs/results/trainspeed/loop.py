"""A plain PyTorch training loop of YOLOv5's v6 network, the peer of `ultrafast train`.

Synthetic pictures that are made once, a loss that costs next to nothing (the mean of the
squared maps), SGD with Nesterov momentum in three groups, clipping, and the moving average
of the weights: no loader, no augmentation, no assignment of labels. It prints pictures per
second of every tenth of the run and the best of them.

    /usr/bin/python3 loop.py --width 0.25 --size 320 --batch 16 --threads 2 [--channels-last] [--bf16]
"""
import argparse
import copy
import math
import time

import torch
from torch import nn


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, c1, c2, k=1, s=1, p=None):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, k // 2 if p is None else p, bias=False)
        self.bn = nn.BatchNorm2d(c2, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, c, shortcut):
        super().__init__()
        self.a, self.b, self.shortcut = Conv(c, c, 1), Conv(c, c, 3), shortcut

    def forward(self, x):
        y = self.b(self.a(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """A cross-stage partial block with three convolutions."""

    def __init__(self, c1, c2, n, shortcut=True):
        super().__init__()
        c = c2 // 2
        self.a, self.b, self.c = Conv(c1, c), Conv(c1, c), Conv(2 * c, c2)
        self.m = nn.Sequential(*(Bottleneck(c, shortcut) for _ in range(n)))

    def forward(self, x):
        return self.c(torch.cat((self.m(self.a(x)), self.b(x)), 1))


class SPPF(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a, self.b, self.pool = Conv(c, c // 2), Conv(2 * c, c), nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        x = self.a(x)
        y = self.pool(x)
        z = self.pool(y)
        return self.b(torch.cat((x, y, z, self.pool(z)), 1))


class Network(nn.Module):
    """Backbone, feature pyramid and path aggregation, three maps."""

    def __init__(self, width, depth, classes):
        super().__init__()
        c = [math.ceil(w * width / 8) * 8 for w in (64, 128, 256, 512, 1024)]
        n = [max(round(k * depth), 1) for k in (3, 6, 9, 3)]
        self.stem = Conv(3, c[0], 6, 2, 2)
        self.down = nn.ModuleList(Conv(c[i], c[i + 1], 3, 2) for i in range(4))
        self.stage = nn.ModuleList(C3(c[i + 1], c[i + 1], n[i]) for i in range(4))
        self.sppf = SPPF(c[4])
        self.lateral = nn.ModuleList((Conv(c[4], c[3]), Conv(c[3], c[2])))
        self.up = nn.ModuleList((C3(2 * c[3], c[3], n[3], False), C3(2 * c[2], c[2], n[3], False)))
        self.back = nn.ModuleList((Conv(c[2], c[2], 3, 2), Conv(c[3], c[3], 3, 2)))
        self.out = nn.ModuleList((C3(2 * c[2], c[3], n[3], False), C3(2 * c[3], c[4], n[3], False)))
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.ModuleList(nn.Conv2d(k, 3 * (5 + classes), 1) for k in c[2:])

    def forward(self, x):
        x = self.stem(x)
        kept = []
        for down, stage in zip(self.down, self.stage):
            x = stage(down(x))
            kept.append(x)
        top = self.lateral[0](self.sppf(x))
        middle = self.lateral[1](self.up[0](torch.cat((self.enlarge(top), kept[2]), 1)))
        small = self.up[1](torch.cat((self.enlarge(middle), kept[1]), 1))
        medium = self.out[0](torch.cat((self.back[0](small), middle), 1))
        large = self.out[1](torch.cat((self.back[1](medium), top), 1))
        return [h(m) for h, m in zip(self.head, (small, medium, large))]


def groups(net):
    """Weights of convolutions, which alone decay, batch norm's scales, biases."""
    weights, scales, biases = [], [], []
    for module in net.modules():
        for name, p in module.named_parameters(recurse=False):
            if name == "bias":
                biases.append(p)
            elif isinstance(module, nn.BatchNorm2d):
                scales.append(p)
            else:
                weights.append(p)
    return [{"params": biases}, {"params": scales}, {"params": weights, "weight_decay": 5e-4}]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--width", type=float, default=0.25)
    a.add_argument("--depth", type=float, default=0.33)
    a.add_argument("--classes", type=int, default=2)
    a.add_argument("--size", type=int, default=320)
    a.add_argument("--batch", type=int, default=16)
    a.add_argument("--steps", type=int, default=30)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--channels-last", action="store_true")
    a.add_argument("--bf16", action="store_true")
    a.add_argument("--profile", action="store_true", help="print where the time of a step goes")
    o = a.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    order = torch.channels_last if o.channels_last else torch.contiguous_format
    net = Network(o.width, o.depth, o.classes).to(memory_format=order)
    average = copy.deepcopy(net)
    optimizer = torch.optim.SGD(groups(net), lr=0.01, momentum=0.937, nesterov=True)
    x = torch.rand(o.batch, 3, o.size, o.size).to(memory_format=order)
    average_state = average.state_dict()

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.bf16):
            loss = sum((m.float() ** 2).mean() for m in net(x))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for k, v in net.state_dict().items():
                if v.dtype.is_floating_point:
                    average_state[k].mul_(0.999).add_(v, alpha=0.001)

    for _ in range(3):
        step()
    if o.profile:
        with torch.autograd.profiler.profile() as p:
            step()
        print(p.key_averages().table(sort_by="self_cpu_time_total", row_limit=30))
        return
    best, part = 0.0, max(1, o.steps // 10)
    for _ in range(o.steps // part):
        begun = time.perf_counter()
        for _ in range(part):
            step()
        best = max(best, part * o.batch / (time.perf_counter() - begun))
    parameters = sum(p.numel() for p in net.parameters())
    print(f"PyTorch {torch.__version__}, {parameters} parameters, {o.threads} threads: {best:.1f} pictures/s")


if __name__ == "__main__":
    main()
