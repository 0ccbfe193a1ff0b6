"""Embedding with a frozen encoder: this workspace against PyTorch and ONNX Runtime, in one run.

pip install torch==2.15.0 torchvision==0.29.2 \
    efficientnet-lite-pytorch==0.1.0 onnx==1.23.2 onnxruntime==1.32.0
python benches/peers/embed.py   (in the root of the workspace; about four minutes)

32 images of three planes in memory, two threads, 32-bit floats, random weights. ONNX Runtime runs the graph that
torch.onnx exports, with all its optimisations (batch norm folded into convolutions). PyTorch and ONNX Runtime give the mean of
the last map; ours also makes a tensor of the images and takes mean and deviation at every depth. Each time is the
median of its repetitions; rounds alternate, so that all see the same machine.
"""

import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import onnxruntime
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet

ROUNDS = 3
IMAGES = 32
CASES = [(name, side) for name in ("resnet18", "efficientnet-lite0") for side in (96, 224)]


class Pooled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network = EfficientNet.from_name("efficientnet-lite0", image_size=224)

    def forward(self, images):
        return self.network.extract_features(images).mean((2, 3))


def network(name):
    torch.manual_seed(1)
    if name == "resnet18":
        network = torchvision.models.resnet18()
        network.fc = torch.nn.Identity()
        return network.eval()
    return Pooled().eval()


def pytorch(name, images):
    encoder = network(name)

    def run():
        with torch.no_grad():
            encoder(images)

    return run


def onnx(name, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "encoder.onnx")
        torch.onnx.export(network(name), (images,), path, dynamo=False, input_names=["images"])
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {"images": images.numpy()}
    return lambda: session.run(None, inputs)


def median_time(run):
    for _ in range(3):
        run()
    times = []
    for _ in range(10):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def estimate(name, side):
    path = f"target/criterion/embed/{name}/images={IMAGES}x3x{side}x{side},flex/new/estimates.json"
    return json.loads(pathlib.Path(path).read_text())["median"]["point_estimate"] / 1e9


def main():
    torch.set_num_threads(2)
    times = {}
    for _ in range(ROUNDS):
        command = ["cargo", "bench", "--bench", "embed", "--", "3x(96x96|224x224),flex"]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"RAYON_NUM_THREADS": "2"})
        for name, side in CASES:
            images = torch.rand(IMAGES, 3, side, side)
            row = (estimate(name, side), median_time(pytorch(name, images)), median_time(onnx(name, images)))
            times.setdefault((name, side), []).append(row)
    print("images a second")
    print("| encoder | side | this workspace, flex | PyTorch | ONNX Runtime |")
    print("|---|---|---|---|---|")
    for (name, side), rows in times.items():
        speeds = [IMAGES / statistics.median(column) for column in zip(*rows)]
        print(f"| {name} | {side} px | " + " | ".join(f"{speed:.0f}" for speed in speeds) + " |")


if __name__ == "__main__":
    main()
