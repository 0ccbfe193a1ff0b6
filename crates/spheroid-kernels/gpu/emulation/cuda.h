// Enough of CUDA to run the generated kernels on a CPU, one block at a time, every thread of it a thread of
// the system. A fragment of a tensor core is held whole by every thread, so that all threads of a warp compute
// and store the same.
#pragma once
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(threads)
#define __restrict__

struct Place {
    unsigned x, y, z;
};
inline thread_local Place threadIdx, blockIdx;
inline Place blockDim, gridDim;
inline std::barrier<>* threads_of_the_block;
inline char* shared_memory;

inline void __syncthreads() { threads_of_the_block->arrive_and_wait(); }
inline void __syncwarp() { threads_of_the_block->arrive_and_wait(); }

using std::exp, std::fabs, std::fma, std::log, std::sqrt;
template <typename T> T max(T a, T b) { return a > b ? a : b; }
template <typename T> T min(T a, T b) { return a < b ? a : b; }

struct __half {
    _Float16 value;
    __half() = default;
    __half(float number) : value(number) {}
    operator float() const { return value; }
};

struct __nv_bfloat16 {
    uint16_t bits;
    __nv_bfloat16() = default;
    __nv_bfloat16(float number) {
        uint32_t all;
        std::memcpy(&all, &number, 4);
        // To the nearest, to even between two.
        bits = (all + 0x7fff + ((all >> 16) & 1)) >> 16;
    }
    operator float() const {
        uint32_t all = uint32_t(bits) << 16;
        float number;
        std::memcpy(&number, &all, 4);
        return number;
    }
};

namespace nvcuda::wmma {
struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

template <typename Use, int M, int N, int K, typename T, typename Layout = void> struct fragment {
    float values[16][16];
};

template <typename F> void fill_fragment(F& fragment, float value) {
    for (auto& row : fragment.values)
        for (auto& entry : row) entry = value;
}

template <typename Use, int M, int N, int K, typename T, typename Layout>
void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& fragment, T const* from, unsigned pitch) {
    constexpr bool rows = std::is_same_v<Layout, row_major>;
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 16; j++)
            fragment.values[i][j] = float(rows ? from[i * pitch + j] : from[j * pitch + i]);
}

template <typename D, typename A, typename B, typename C> void mma_sync(D& d, A const& a, B const& b, C const& c) {
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 16; j++) {
            float sum = c.values[i][j];
            for (unsigned k = 0; k < 16; k++) sum += a.values[i][k] * b.values[k][j];
            d.values[i][j] = sum;
        }
}

template <typename F> void store_matrix_sync(float* to, F const& fragment, unsigned pitch, layout_t) {
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 16; j++) to[i * pitch + j] = fragment.values[i][j];
}
}  // namespace nvcuda::wmma

// Runs `kernel` for every thread of every block.
template <typename Kernel> void run(Place grid, Place block, size_t shared, Kernel kernel) {
    gridDim = grid;
    blockDim = block;
    std::vector<char> memory(shared + 16);
    shared_memory = memory.data() + (16 - reinterpret_cast<uintptr_t>(memory.data()) % 16);
    for (unsigned y = 0; y < grid.y; y++)
        for (unsigned x = 0; x < grid.x; x++) {
            // What nobody has written is no number.
            std::memset(shared_memory, 0xff, shared);
            std::barrier<> barrier(block.x * block.y);
            threads_of_the_block = &barrier;
            std::vector<std::thread> threads;
            for (unsigned thread = 0; thread < block.x * block.y; thread++)
                threads.emplace_back([=] {
                    threadIdx = {thread % block.x, thread / block.x, 0};
                    blockIdx = {x, y, 0};
                    kernel();
                });
            for (auto& thread : threads) thread.join();
        }
}
