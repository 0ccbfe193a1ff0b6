"""One training step of SimCLR with a ResNet-18: this workspace against PyTorch, in one run.

pip install torch==2.15.0 torchvision==0.29.2
python benches/peers/simclr_step.py   (in the root of the workspace; about four minutes)

32 views of 3 x 96 x 96 (16 pairs), NT-Xent at a temperature of 0.2, AdamW, 32-bit floats, two threads, views ready
in memory. The head has two layers, 512 -> 256 -> 64. A step is forward, backward and optimiser. Both
networks are torchvision's resnet18 without its last layer. Each time is the median of its repetitions; rounds
alternate, so that both see the same machine.
"""

import json
import os
import pathlib
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F
import torchvision

ROUNDS = 3
PAIRS = 16
PARTS = ("forward", "backward", "optimizer")


def network():
    torch.manual_seed(1)
    network = torchvision.models.resnet18()
    network.fc = torch.nn.Identity()
    return network


def step():
    """Returns a closure that makes one step and tells the seconds of forward, backward and optimiser."""
    encoder = network()
    head = torch.nn.Sequential(torch.nn.Linear(512, 256), torch.nn.ReLU(), torch.nn.Linear(256, 64))
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-4)
    views = torch.rand(2 * PAIRS, 3, 96, 96)
    partner = (torch.arange(2 * PAIRS) + PAIRS) % (2 * PAIRS)

    def run():
        times = [time.perf_counter()]
        rows = F.normalize(head(encoder(views)), dim=1)
        similarities = (rows @ rows.T / 0.2).fill_diagonal_(-torch.inf)
        loss = F.cross_entropy(similarities, partner)
        times.append(time.perf_counter())
        optimizer.zero_grad()
        loss.backward()
        times.append(time.perf_counter())
        optimizer.step()
        times.append(time.perf_counter())
        return [b - a for a, b in zip(times, times[1:])]

    return run


def estimate(group, name):
    paths = pathlib.Path(f"target/criterion/{group}").glob(f"{name}/*flex/new/estimates.json")
    path = max(paths, key=lambda path: path.stat().st_mtime)
    return json.loads(path.read_text())["median"]["point_estimate"] / 1e9


def main():
    torch.set_num_threads(2)
    ours, theirs = {}, {}
    keep = lambda table, name, seconds: table.setdefault(name, []).append(seconds)
    for _ in range(ROUNDS):
        command = ["cargo", "bench", "--bench", "simclr_step", "--", "resnet18.*flex"]
        environment = os.environ | {"RAYON_NUM_THREADS": "2"}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        for part in ("step", *PARTS):
            keep(ours, part, estimate("simclr_step", f"resnet18,{part}"))
        run = step()
        for _ in range(3):
            run()
        times = [run() for _ in range(15)]
        keep(theirs, "step", statistics.median(map(sum, times)))
        for part, seconds in zip(PARTS, zip(*times)):
            keep(theirs, part, statistics.median(seconds))
    print("| job | this workspace, flex | PyTorch | times as long |")
    print("|---|---|---|---|")
    for name in ours:
        a, b = (1e3 * statistics.median(table[name]) for table in (ours, theirs))
        print(f"| {name} | {a:.0f} ms | {b:.0f} ms | {a / b:.2f} |")


if __name__ == "__main__":
    main()
