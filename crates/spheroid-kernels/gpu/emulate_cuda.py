"""Runs the CUDA C++ of the contrastive kernels on the CPU and compares with NumPy in double precision.

    cargo run --release -- target/cuda-sources
    pip install numpy==2.4.6
    python emulate_cuda.py target/cuda-sources

g++ (12 or later) compiles every source against emulation/cuda.h, which makes a thread of the system of every
CUDA thread. That is slow and says nothing about speed, but it is the source that a GPU gets, tensor cores
included. Fails when a loss, a hit or a gradient is not what the formula says.
"""

import ctypes
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

here = pathlib.Path(__file__).parent
# As in tile.rs: rows of a block, features of a block in the backward pass, and the shape of a block.
PLAIN = {"forward": (64, None, (16, 16)), "backward": (64, 128, (16, 16))}
CORES = {"forward": (64, None, (32, 8)), "backward": (64, 128, (32, 8))}
NO_GROUP = 2**32 - 1


def compiled(source, folder):
    text = source.read_text()
    shared = int(re.findall(r"\d+", text.splitlines()[0])[1])
    name, arguments = re.search(r'extern "C" __global__ void __launch_bounds__\(\d+\)\s+(\w+)\(([^)]*)\)', text).groups()
    buffers = arguments.count(",")
    text = re.sub(r"#include <\w+\.h>", "", text)
    text = re.sub(r"typedef [\w ]+ u?int\d+_t;", "", text)
    text = re.sub(r"extern __shared__ __align__\(16\) char (\w+)\[\];", r"char* \1 = shared_memory;", text)
    types = [re.sub(r"__restrict__|\w+$", "", argument.strip()) for argument in arguments.split(",")]
    calls = ", ".join(f"({kind.strip()})pointers[{i}]" for i, kind in enumerate(types))
    text = f"""#include "cuda.h"
{text}
extern "C" void launch(unsigned* sizes, void** pointers) {{
    run({{sizes[0], sizes[1], 1}}, {{sizes[2], sizes[3], 1}}, {shared}, [=] {{ {name}({calls}); }});
}}
"""
    path = pathlib.Path(folder) / f"{source.stem}.cpp"
    path.write_text(text)
    library = path.with_suffix(".so")
    command = ["g++", "-std=c++20", "-O1", "-w", "-shared", "-fPIC", "-pthread", f"-I{here}/emulation", path, "-o", library]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library)), buffers


def launch(kernel, grid, block, buffers, scalars):
    library, count = kernel
    assert count == len(buffers), "one buffer an argument, and the scalars"
    # Scalars, then the lengths of the buffers; none of these is ever met.
    scalars = np.array(scalars, np.uint32)
    padded = np.full(len(scalars) + len(scalars) % 2 + 64, 2**31 - 1, np.uint32)
    padded[: len(scalars)] = scalars
    arrays = [*buffers, padded]
    pointers = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    sizes = (ctypes.c_uint * 4)(*grid, *block)
    library.launch(sizes, pointers)


def numbers(stored, kind):
    """What values are that kernels have written."""
    if kind == "bf16":
        return (stored.astype(np.uint32) << 16).view(np.float32).astype(float)
    return stored.astype(float)


def rounded(values, kind):
    """Values as the kernels read them, and what they are."""
    if kind == "bf16":
        bits = values.astype(np.float32).view(np.uint32)
        stored = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    else:
        stored = values.astype(np.float32 if kind == "f32" else np.float16)
    return stored, numbers(stored, kind)


def reference(unit, groups, losses, meets, temperature, decoupled, inside, gradient):
    similarity = unit[:losses] @ unit.T / temperature
    positive = (groups[:losses, None] == groups[None, :]) & meets
    negative = ~positive & meets
    count = positive.sum(1)
    log_sum = lambda mask: np.log((np.exp(similarity) * mask).sum(1))
    denominator = log_sum(negative if decoupled else meets)
    positives = log_sum(positive)
    wanted = positives - np.log(count) if inside else (similarity * positive).sum(1) / count
    best = lambda mask: np.where(mask, similarity, -np.inf).max(1)
    hits = best(positive) > best(negative)
    weight = np.exp(similarity - denominator[:, None]) * (negative if decoupled else meets)
    share = np.exp(similarity - positives[:, None]) if inside else 1 / count[:, None]
    weight = gradient[:, None] * (weight - share * positive)
    heat = (weight * similarity).sum(1)
    pull = weight @ unit
    pull[:] += weight[:, :losses].T @ unit[:losses]
    return denominator - wanted, hits, np.stack([denominator, positives], 1), pull, heat, count


def check(name, found, expected, share):
    largest = np.abs(expected).max()
    error = np.abs(found - expected).max()
    if not error <= share * largest:
        sys.exit(f"{name}: off by {error:.3g}, the largest is {largest:.3g}")
    return f"{error / largest:.1e}"


def family(folder, sources, kind, variant, features, between=False):
    """Losses and gradients of rows that meet all others and a bank, or of two sides that meet each other."""
    tolerance = 1e-5 if kind == "f32" else 1e-2
    name = f"{kind} {variant} {features}{' between' if between else ''}"
    generator = np.random.default_rng(1)
    losses, bank, temperature = (140, 0, 0.2) if between else (90, 20, 0.2)
    rows, padded, side = losses + bank, 320, losses // 2
    z = generator.normal(size=(rows, features))
    unit = np.zeros((padded, features))
    unit[:rows] = z / np.linalg.norm(z, axis=1, keepdims=True)
    stored, unit = rounded(unit, kind)
    groups = np.full(padded, NO_GROUP, np.uint32)
    groups[:losses] = np.arange(losses) % (side if between else losses // 3)
    # As small as those of a mean over a large batch: half floats alone could not hold the weights.
    gradient = (generator.normal(size=losses) * 1e-6).astype(np.float32)
    gain = 1.0 if kind == "f32" else 8192 / np.abs(gradient).max()
    decoupled, inside = variant == "decoupled", variant == "inside"
    index = np.arange(rows)
    meets = index[:losses, None] != index
    if between:
        meets = (index[:losses, None] < side) != (index < side)
    expected = reference(unit[:rows], groups[:rows], losses, meets, temperature, decoupled, inside, gradient)
    shares = (1 / expected[5]).astype(np.float32)

    shapes = PLAIN if kind == "f32" else CORES
    ranges = [[0, side, side, rows], [side, rows, 0, side]] if between else [[0, losses, 0, rows]]
    steps = [] if kind == "f32" else [features // 16]
    warm = np.array([temperature], np.float32)
    found_losses, hits, heat = (np.zeros(losses, np.float32) for _ in range(3))
    kept = np.zeros((losses, 2), np.float32)
    height, _, block = shapes["forward"]
    kernel = compiled(sources[f"forward_{kind}_{variant}_d{features}"], folder)
    for part in ranges:
        grid = (-(-(part[1] - part[0]) // height), 1)
        launch(kernel, grid, block, [stored, groups, shares, warm, found_losses, hits, kept], part + steps)
    errors = [check(f"losses, {name}", found_losses, expected[0], tolerance)]
    if kind == "f32" and not np.array_equal(hits > 0, expected[1]):
        sys.exit(f"hits, {name}")
    check(f"logarithms, {name}", kept, expected[2], tolerance)

    asked = np.full((padded, 4), np.nan, np.float32)
    kernel = compiled(sources["ask"], folder)
    buffers = [kept, gradient, shares, np.array([gain], np.float32), asked]
    launch(kernel, (padded // 64, 1), (64, 1), buffers, [padded, losses])
    pull = np.zeros((padded, features), np.float32)
    height, width, block = shapes["backward"]
    kernel = compiled(sources[f"backward_{kind}_{variant}_d{features}"], folder)
    for part in ranges:
        grid = (-(-(part[1] - part[0]) // height), -(-features // width))
        launch(kernel, grid, block, [stored, groups, asked, warm, pull, heat], part + steps)
    errors.append(check(f"gradient, {name}", pull[:losses] / gain, expected[3][:losses], tolerance))
    errors.append(check(f"temperature, {name}", heat / gain, expected[4], tolerance))
    variant += ", two sides" if between else ""
    print(f"| {kind} | {variant} | {features} | {' | '.join(errors)} |", flush=True)


def rows(folder, sources, kind):
    """To rows of length 1 and back, of 100 features in 128."""
    tolerance = {"f32": 1e-6, "bf16": 1e-2, "f16": 2e-3}[kind]
    generator = np.random.default_rng(2)
    count, losses, padded, features, pitch, temperature = 70, 60, 128, 100, 128, 0.2
    stored, z = rounded(generator.normal(size=(count, features)) * 3, kind)
    unit = np.zeros((padded, pitch), stored.dtype)
    norms = np.zeros(count, np.float32)
    grid, block = (padded // 64, 1), (64, 1)
    kernel = compiled(sources[f"normalize_{kind}"], folder)
    launch(kernel, grid, block, [stored, unit, norms], [count, padded])
    lengths = np.linalg.norm(z, axis=1)
    expected = np.zeros((padded, pitch))
    expected[:count, :features] = z / lengths[:, None]
    check(f"lengths, {kind}", norms, lengths, 1e-6)
    check(f"rows, {kind}", numbers(unit, kind), expected, tolerance)

    pull = generator.normal(size=(padded, pitch)).astype(np.float32)
    gradient = np.zeros((count, features), stored.dtype)
    warm = np.array([temperature], np.float32)
    kernel = compiled(sources[f"denormalize_{kind}"], folder)
    gain = np.array([4.0], np.float32)
    launch(kernel, grid, block, [pull * gain, unit, norms, warm, gain, gradient], [count, losses])
    unit, pull = expected[:count, :features], pull[:count, :features].astype(float)
    expected = (pull - unit * (pull * unit).sum(1, keepdims=True)) / lengths[:, None] / temperature
    expected[losses:] = 0
    check(f"gradients through the length, {kind}", numbers(gradient, kind), expected, tolerance)


def main():
    sources = {source.stem: source for source in pathlib.Path(sys.argv[1]).glob("*.cu")}
    print("| floats | loss | features | losses off by | gradients | temperature |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("f32", "bf16", "f16"):
            rows(folder, sources, kind)
            for variant in ("nt_xent", "decoupled", "inside"):
                family(folder, sources, kind, variant, 128)
            family(folder, sources, kind, "nt_xent", 128, between=True)
            # Two parts of the features in the backward pass, the second smaller than the first.
            family(folder, sources, kind, "nt_xent", 192)


if __name__ == "__main__":
    main()
