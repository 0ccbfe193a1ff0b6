"""Compiles the CUDA C++ of the contrastive kernels for GPUs that are not there, and says what they use.

    cargo run --release -- target/cuda-sources
    pip install nvidia-cuda-nvcc-cu12==12.8.93 nvidia-cuda-nvrtc-cu12==12.8.93 nvidia-cuda-runtime-cu12==12.8.90
    python compile_cuda.py target/cuda-sources

NVRTC makes PTX of every source, as CubeCL does on a machine with a GPU, and ptxas makes machine code of it. Fails
when a kernel does not compile, keeps anything on the stack, spills a register, or takes more registers than
BUDGET. Prints a table: registers a thread, shared memory a block, blocks that fit on a multiprocessor, and
the share of its threads that they are. No GPU and no driver are needed.
"""

import ctypes
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile

ARCHITECTURES = ["sm_80", "sm_90a"]
# Two blocks of 256 threads fit on a multiprocessor while a thread takes no more than 128 registers.
BUDGET = {"forward": 128, "backward": 128, "normalize": 64, "ask": 32, "denormalize": 64}
REGISTERS = 65536
THREADS = {"sm_80": 2048, "sm_90a": 2048}
SHARED = {"sm_80": 164 << 10, "sm_90a": 228 << 10}
BLOCKS = 32
# Bytes of shared memory of every block that the system keeps for itself.
RESERVED = 1 << 10

packages = pathlib.Path(sysconfig.get_paths()["purelib"]) / "nvidia"


def load_nvrtc():
    return ctypes.CDLL(str(packages / "cuda_nvrtc/lib/libnvrtc.so.12"))


def ptx(nvrtc, source, architecture):
    program = ctypes.c_void_p()
    check = lambda code, what: sys.exit(f"{what}: NVRTC error {code}") if code else None
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.read_bytes(), None, 0, None, None), source)
    options = [
        f"--gpu-architecture={architecture}",
        f"--include-path={packages}/cuda_runtime/include",
        f"--include-path={packages}/cuda_nvcc/include",
    ]
    values = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    code = nvrtc.nvrtcCompileProgram(program, len(options), values)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    check(code, f"{source}\n{log.value.decode()}")
    check(nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size)), source)
    text = ctypes.create_string_buffer(size.value)
    check(nvrtc.nvrtcGetPTX(program, text), source)
    return text.value


def resources(nvrtc, source, architecture):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "kernel.ptx"
        path.write_bytes(ptx(nvrtc, source, architecture))
        command = [packages / "cuda_nvcc/bin/ptxas", f"-arch={architecture}", "-v", path, "-o", path.with_suffix(".cubin")]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{source} for {architecture}: {done.stderr}")
    number = lambda pattern: int(re.search(pattern, done.stderr)[1])
    return {
        "registers": number(r"Used (\d+) registers"),
        "stack": number(r"(\d+) bytes stack frame"),
        "spills": number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
    }


def occupancy(threads, registers, shared, architecture):
    """Blocks a multiprocessor: registers are handed out to warps in steps of 256."""
    warps = threads // 32
    by_registers = REGISTERS // (-(-registers * 32 // 256) * 256) // warps
    by_shared = SHARED[architecture] // (shared + RESERVED)
    return min(by_registers, by_shared, THREADS[architecture] // threads, BLOCKS)


def main():
    folder = pathlib.Path(sys.argv[1])
    sources = sorted(folder.glob("*.cu"))
    if not sources:
        sys.exit(f"{folder} holds no .cu file")
    nvrtc = load_nvrtc()
    faults = []
    print("| kernel | GPU | threads | registers | shared memory | blocks | share of the threads |")
    print("|---|---|---|---|---|---|---|")
    for source in sources:
        threads, shared = map(int, re.findall(r"\d+", source.read_text().splitlines()[0]))
        budget = BUDGET[source.stem.split("_")[0]]
        for architecture in ARCHITECTURES:
            used = resources(nvrtc, source, architecture)
            blocks = occupancy(threads, used["registers"], shared, architecture)
            share = blocks * threads / THREADS[architecture]
            print(
                f"| {source.stem} | {architecture} | {threads} | {used['registers']} | {shared / 1024:.1f} KiB "
                f"| {blocks} | {share:.0%} |"
            )
            if used["stack"] or used["spills"]:
                faults.append(f"{source.stem}, {architecture}: {used['stack']} bytes of stack, {used['spills']} of spills")
            if used["registers"] > budget:
                faults.append(f"{source.stem}, {architecture}: {used['registers']} registers, {budget} are allowed")
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
