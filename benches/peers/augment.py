"""Two views of one frame by the recipe of SimCLR: this crate against its peers, in one run.

pip install torch==2.15.0 torchvision==0.29.2 albumentations==2.0.8 opencv-python-headless==5.0.0.93 \
    tifffile==2026.3.3 numpy==2.4.6
python benches/peers/augment.py       (in the root of the workspace; about ten minutes)

All three take a uint16 frame of three planes from memory and make two float32 views of 96 x 96 pixels,
the planes as red, green and blue: a crop of 8 to 100 % of the area resized with antialiasing, flip, colour
jitter (p = 0.8), grey (p = 0.2), Gaussian blur over 9 x 9, mean and deviation of 0.5. Conversion to float
counts. With two threads a peer may use them within an operation, as two Python threads, or as two
processes of a DataLoader whose start does not count. Each figure is the median of the rounds, a peer's
that of its fastest way, which the lines under the table name. Rounds alternate, so that all see the same
machine. The draws differ between the libraries.

torchvision: its RandomResizedCrop takes uint16 (it crops, converts the crop to float32, resizes, and rounds
to uint16 again), its ToDtype too; only Normalize refuses ("Input tensor should be a float tensor"), and
below it torch's interpolate ("not implemented for 'UInt16'"). So both ways work and both are timed, in
their fastest form: crop the uint16 frame, convert the crop, resize; or convert the whole frame, then crop
and resize. Both convert into one buffer and scale to [0, 1] after the resize, which saves the second way
two fifths of its time, the first an eighth. Denormals are flushed, without which a blur with a sigma of
0.3 takes sixteen times as long.

albumentations: the frame lies in memory as it wants it, with interleaved planes; a TIFF has them apart. Its
resize is INTER_AREA, a box filter, since its INTER_LINEAR does not antialias. RandomResizedCrop takes
uint16, ColorJitter refuses (OpenCV's colour conversion), so ToFloat follows the crop, or the whole frame
is multiplied first.
"""

import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import warnings

# albumentations asks the network for a newer version unless told.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations
import cv2
import numpy as np
import tifffile
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

ROUNDS = 3
SIDE = 96
SHAPES = {"full": (2054, 2456), "small": (512, 512)}
# Frames per time.
COUNTS = {"full": 100, "small": 400}


def scene(height, width):
    """A spheroid in shaded light with noise, 12 bits widened to 16 by bit replication."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    rows, columns = (rows - 0.5 * height) / height, (columns - 0.5 * width) / height
    light = 2600 - 1700 * ((rows + 0.01) ** 2 + (columns - 0.03) ** 2)
    distance = np.hypot(rows, columns)
    planes = []
    for blur in (0.010, 0.004, 0.015):
        body = 0.5 - 0.5 * np.tanh((distance - 0.24) / (2 * blur))
        grain = rng.normal(0, 0.05, rows.shape).astype(np.float32)
        planes.append(light * np.exp(-body * (0.9 + grain)) + rng.normal(0, 18, rows.shape))
    sensor = np.clip(np.stack(planes), 0, 4095).astype(np.uint16)
    return sensor << 4 | sensor >> 8


class Torchvision:
    def __init__(self, frame, crop_first):
        self.frame = torch.from_numpy(frame)
        self.crop_first = crop_first
        self.buffer = torch.empty(frame.size, dtype=torch.float32)
        self.crop = v2.RandomResizedCrop(SIDE, scale=(0.08, 1), ratio=(3 / 4, 4 / 3), antialias=True)
        self.transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(0.5),
                v2.RandomApply([v2.ColorJitter(0.5, 0.5, 0.5, 0.1)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.GaussianBlur(9, sigma=(0.1, 2)),
                v2.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def to_float(self, image):
        return self.buffer[: image.numel()].view(image.shape).copy_(image)

    def crops(self):
        if self.crop_first:
            for _ in range(2):
                crop = functional.crop(self.frame, **self.crop.make_params([self.frame]))
                yield functional.resize(self.to_float(crop), [SIDE, SIDE], antialias=True)
        else:
            frame = self.to_float(self.frame)
            for _ in range(2):
                yield self.crop(frame)

    def views(self):
        return tuple(self.transform(crop * (1 / 65535)) for crop in self.crops())

    def seed(self, seed):
        torch.manual_seed(seed)


class Albumentations:
    def __init__(self, frame, crop_first):
        self.frame = np.ascontiguousarray(frame.transpose(1, 2, 0))
        self.crop_first = crop_first
        crop = albumentations.RandomResizedCrop(
            (SIDE, SIDE), scale=(0.08, 1), ratio=(3 / 4, 4 / 3), interpolation=cv2.INTER_AREA
        )
        self.transform = albumentations.Compose(
            [
                crop,
                *([albumentations.ToFloat(max_value=65535)] if crop_first else []),
                albumentations.HorizontalFlip(p=0.5),
                albumentations.ColorJitter((0.5, 1.5), (0.5, 1.5), (0.5, 1.5), (-0.1, 0.1), p=0.8),
                albumentations.ToGray(p=0.2),
                albumentations.GaussianBlur(blur_limit=(9, 9), sigma_limit=(0.1, 2), p=1),
                # One number for all planes is twice as fast as three.
                albumentations.Normalize(mean=0.5, std=0.5, max_pixel_value=1),
            ]
        )

    def views(self):
        frame = self.frame
        if not self.crop_first:
            # Ten times as fast as ToFloat on a whole frame.
            frame = frame * np.float32(1 / 65535)
        return self.transform(image=frame)["image"], self.transform(image=frame)["image"]

    def seed(self, seed):
        self.transform.set_random_seed(seed)


PEERS = {"torchvision": Torchvision, "albumentations": Albumentations}


def use_threads(threads):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    cv2.setNumThreads(threads)


def check(peer):
    for view in map(np.asarray, peer.views()):
        assert view.dtype == np.float32 and sorted(view.shape) == [3, SIDE, SIDE]
        assert np.isfinite(view).all() and -1 <= view.min() < view.max() <= 1


def within_operations(make, count, seed, threads):
    """Frames per second with `threads` threads within each operation."""
    use_threads(threads)
    peer = make()
    peer.seed(seed)
    check(peer)
    start = time.perf_counter()
    for _ in range(count):
        peer.views()
    return count / (time.perf_counter() - start)


def in_threads(make, count, seed, threads):
    """Frames per second of `threads` Python threads with a peer each."""
    use_threads(1)
    peers = [make() for _ in range(threads)]

    def work(peer, frames):
        for _ in range(frames):
            peer.views()

    with concurrent.futures.ThreadPoolExecutor(threads, initializer=use_threads, initargs=(1,)) as pool:
        for index, peer in enumerate(peers):
            peer.seed(seed + index)
        list(pool.map(work, peers, [1] * threads))
        start = time.perf_counter()
        list(pool.map(work, peers, [count // threads] * threads))
        return count / (time.perf_counter() - start)


class Frames(torch.utils.data.Dataset):
    def __init__(self, peer, count):
        self.peer, self.count = peer, count

    def __len__(self):
        return self.count

    def __getitem__(self, _):
        return self.peer.views()


def in_processes(make, count, seed, threads):
    """Frames per second of a DataLoader with `threads` processes; its second epoch, as they wait for it."""
    use_threads(1)
    peer = make()

    def start_process(index):
        use_threads(1)
        peer.seed(seed + index)

    loader = torch.utils.data.DataLoader(
        Frames(peer, count),
        batch_size=5,
        num_workers=threads,
        worker_init_fn=start_process,
        persistent_workers=True,
        multiprocessing_context="fork",
    )
    assert sum(len(first) for first, _ in loader) == count
    start = time.perf_counter()
    for _ in loader:
        pass
    return count / (time.perf_counter() - start)


def ways(threads):
    return [within_operations] if threads == 1 else [within_operations, in_threads, in_processes]


def time_peer(make, count, seed, threads):
    """Frames per second of each way to use a peer, by the way's name."""
    speeds = {}
    for crop_first in (True, False):
        for way in ways(threads):
            name = f"{'crop' if crop_first else 'frame to float'} first, {way.__name__}"
            speeds[name] = way(lambda: make(crop_first), count, seed, threads)
    return speeds


def main():
    warnings.simplefilter("ignore")
    frames = {name: scene(*shape) for name, shape in SHAPES.items()}
    ours, theirs = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in frames.items():
            tifffile.imwrite(pathlib.Path(folder) / f"{name}.tif", frame, photometric="minisblack")
        for seed in range(ROUNDS):
            command = ["cargo", "bench", "--bench", "augment", "--", "two_views"]
            environment = os.environ | {"AUGMENT_BENCH_FOLDER": folder}
            subprocess.run(command, check=True, env=environment, capture_output=True)
            for name, frame in frames.items():
                for threads in (1, 2):
                    path = pathlib.Path("target/criterion/two_views", name, f"threads={threads}/new/estimates.json")
                    nanoseconds = json.loads(path.read_text())["median"]["point_estimate"]
                    # An iteration takes as many frames as threads.
                    ours.setdefault((name, threads), []).append(threads * 1e9 / nanoseconds)
                    for peer, kind in PEERS.items():
                        make = lambda crop_first: kind(frame, crop_first)
                        for way, speed in time_peer(make, COUNTS[name], seed, threads).items():
                            table = theirs.setdefault((name, threads, peer), {})
                            table.setdefault(way, []).append(speed)

    fastest = []
    print("| frame | threads | spheroid-augment (frames/s) | torchvision | albumentations ", end="")
    print("| times torchvision | times albumentations |")
    print("|---|---|---|---|---|---|---|")
    for (name, threads), speeds in ours.items():
        own = statistics.median(speeds)
        best = []
        for peer in PEERS:
            medians = {way: statistics.median(s) for way, s in theirs[name, threads, peer].items()}
            way = max(medians, key=medians.get)
            best.append(medians[way])
            fastest.append(f"{peer}, {name}, {threads} threads: {way}")
        cells = [f"{own:.0f}", *(f"{b:.0f}" for b in best), *(f"{own / b:.1f}" for b in best)]
        print(f"| {name} | {threads} | {' | '.join(cells)} |")
    print()
    print("\n".join(fastest))


if __name__ == "__main__":
    main()
