"""NT-Xent, forward and backward: this workspace against PyTorch, lightly and burn's tensor formula, in one run.

pip install torch==2.15.0 lightly==1.5.26
python benches/peers/contrastive_loss.py   (in the root of the workspace; about fifteen minutes)

Two threads, 32-bit floats, a temperature of 0.2. `torch` is F.normalize, a product with its transpose, the
diagonal filled with -inf, and F.cross_entropy; `lightly` is its NTXentLoss. Times are medians of the
repetitions that fit into two seconds, at least three. Memory is what forward and backward take above their
input: of the allocator here, of the process (its peak resident set) there. Every peer runs in a process of
its own, and the sizes alternate between all, so that all see the same machine. `of gemm` says which share of
the best rate of PyTorch's own matrix product (4096 x 512 by 512 x 4096) our operations are done at, of which there
are 4 M^2 D: half of the similarities twice, and a product with all of them once.
"""

import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

ROWS = (256, 1024, 4096, 16384)
MOST = 65536
FEATURES = (128, 512)
TEMPERATURE = 0.2


def peer(name, rows, features):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(2)
    torch.manual_seed(1)
    z = torch.randn(rows, features)
    z[rows // 2 :] = z[: rows // 2] + 0.3 * z[rows // 2 :]
    z.requires_grad_()
    if name == "torch":
        partner = (torch.arange(rows) + rows // 2) % rows

        def loss():
            unit = F.normalize(z, dim=1)
            similarities = (unit @ unit.T / TEMPERATURE).fill_diagonal_(-torch.inf)
            return F.cross_entropy(similarities, partner)
    else:
        from lightly.loss import NTXentLoss

        criterion = NTXentLoss(TEMPERATURE)
        loss = lambda: criterion(*z.chunk(2))

    def run(backward):
        z.grad = None
        start = time.perf_counter()
        value = loss()
        if backward:
            value.backward()
        return time.perf_counter() - start

    # Libraries that load at the first call are no memory of the loss.
    small = torch.randn(4, 8, requires_grad=True)
    F.cross_entropy(small @ small.T, torch.arange(4)).backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(True)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    times = []
    for backward in (False, True):
        seconds = [run(backward) for _ in range(3)]
        while sum(seconds) < 2:
            seconds.append(run(backward))
        times.append(statistics.median(seconds))
    print(json.dumps([*times, memory]))


def of_peer(name, rows, features):
    command = [sys.executable, __file__, name, str(rows), str(features)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def ours(name, rows, features):
    size = f"rows={rows},features={features}"
    command = ["cargo", "bench", "--bench", "contrastive_loss", "--", f"{name},.*flex/{size}$"]
    environment = os.environ | {"RAYON_NUM_THREADS": "2"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    memory = float(re.search(rf"memory of {name},flex/{size}: ([\d.]+) MiB", done.stdout)[1])
    times = []
    for part in ("forward", "forward+backward"):
        path = pathlib.Path(f"target/criterion/nt_xent/{name},{part},flex/{size}/new/estimates.json")
        times.append(json.loads(path.read_text())["median"]["point_estimate"] / 1e9)
    return [*times, memory]


def gemm_rate():
    import torch

    torch.set_num_threads(2)
    a, b = torch.randn(4096, 512), torch.randn(512, 4096)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * 4096 * 4096 * 512 / min(times)


def duration(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def main():
    rate = gemm_rate()
    print(f"matrix product of PyTorch: {rate / 1e9:.0f} GFLOP/s, two threads\n")
    print("| rows | features | loss | forward | with backward | memory | of gemm |")
    print("|---|---|---|---|---|---|---|")
    for features in FEATURES:
        for rows in (*ROWS, *[MOST] * (features == 128)):
            table = {"fused": ours("fused", rows, features)}
            if rows < MOST:
                table["burn's formula"] = ours("formula", rows, features)
                table["torch"] = of_peer("torch", rows, features)
                table["lightly"] = of_peer("lightly", rows, features)
            for name, (forward, backward, memory) in table.items():
                share = 4 * rows**2 * features / backward / rate
                share = f"{share:.0%}" if name == "fused" else ""
                print(
                    f"| {rows} | {features} | {name} | {duration(forward)} | {duration(backward)} "
                    f"| {memory:.1f} MiB | {share} |",
                    flush=True,
                )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        peer(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
