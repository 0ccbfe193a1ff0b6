"""Reading and writing TIFF: this crate against tifffile with imagecodecs, in one run.

pip install tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6 zarr==3.1.6
python benches/peers/tiff.py          (in the root of the workspace; about three minutes)

tifffile writes a stack of 3 x 2054 x 2456 uint16 under every compression, in strips and in tiles. Both
programs read the same files, and write the same stack, with as many threads as there are processors.
Each time is the median of its repetitions. Rounds alternate, so that both see the same machine.
"""

import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

# tifffile takes half of the processors unless told.
os.environ["TIFFFILE_NUM_THREADS"] = str(os.cpu_count())

import numpy as np
import tifffile

ROUNDS = 3
CODECS = {"none": None, "lzw": "lzw", "deflate": "zlib", "zstd": "zstd"}


def scene():
    """A spheroid in shaded light with noise, 12 bits widened to 16 by bit replication."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:2054, :2456].astype(np.float32)
    light = 2600 - 4e-4 * ((rows - 1000) ** 2 + (columns - 1300) ** 2)
    distance = np.hypot(rows - 1020, columns - 1230)
    planes = []
    for blur in (20, 8, 30):
        body = 0.5 - 0.5 * np.tanh((distance - 500) / (2 * blur))
        grain = rng.normal(0, 0.05, rows.shape).astype(np.float32)
        planes.append(light * np.exp(-body * (0.9 + grain)) + rng.normal(0, 18, rows.shape))
    sensor = np.clip(np.stack(planes), 0, 4095).astype(np.uint16)
    return sensor << 4 | sensor >> 8


def timed(job, before=lambda: None, repetitions=7):
    times = []
    for _ in range(repetitions):
        before()
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def region(path):
    """512 x 512 pixels of plane 1, as tifffile's users read it: the segments that it touches."""
    import zarr

    with tifffile.imread(path, aszarr=True, key=1) as store:
        return zarr.open(store, mode="r")[700:1212, 900:1412]


def main():
    stack = scene()
    ours, theirs = {}, {}

    def keep(table, name, seconds):
        table.setdefault(name, []).append(seconds)

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, codec in CODECS.items():
            options = {"photometric": "minisblack", "compression": codec, "predictor": codec and 2}
            tifffile.imwrite(folder / f"{name}.tif", stack, **options)
            tifffile.imwrite(folder / f"{name}_tiled.tif", stack, tile=(256, 256), **options)
        for _ in range(ROUNDS):
            command = ["cargo", "bench", "--bench", "tiff"]
            environment = os.environ | {"TIFF_BENCH_FOLDER": str(folder)}
            subprocess.run(command, check=True, env=environment, capture_output=True)
            for path in pathlib.Path("target/criterion").glob("tiff/*/new/estimates.json"):
                estimates = json.loads(path.read_text())
                name = path.parts[-3].replace("_", "/", 1)
                keep(ours, name, estimates["median"]["point_estimate"] / 1e9)
            for name, codec in CODECS.items():
                path = folder / f"{name}.tif"
                options = {"photometric": "minisblack", "compression": codec, "predictor": codec and 2}
                assert np.array_equal(tifffile.imread(path), stack)
                keep(theirs, f"read/{name}", timed(lambda: tifffile.imread(path)))
                copy = folder / "copy.tif"
                write = lambda: tifffile.imwrite(copy, stack, **options)
                keep(theirs, f"write/{name}", timed(write, before=lambda: copy.unlink(missing_ok=True)))
                for name in [name, f"{name}_tiled"]:
                    path = folder / f"{name}.tif"
                    assert np.array_equal(region(path), stack[1, 700:1212, 900:1412])
                    keep(theirs, f"region/{name}", timed(lambda: region(path)))

    print("| job | spheroid-imaging | tifffile + imagecodecs | times as fast |")
    print("|---|---|---|---|")
    for name in sorted(theirs):
        a, b = (1e3 * statistics.median(table[name]) for table in (ours, theirs))
        print(f"| {name} | {a:.1f} ms | {b:.1f} ms | {b / a:.1f} |")
    print()
    for name in CODECS:
        whole, part = (statistics.median(ours[f"{job}/{name}"]) for job in ("read", "region"))
        print(f"{name}: a region in strips is read {whole / part:.0f} times as fast as the whole")


if __name__ == "__main__":
    main()
