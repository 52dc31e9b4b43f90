#include <numeric>

#include "tarn/tests/cuda_emulator/testing.h"

using cuda_emulator::Schedule;
using cuda_emulator::settings;
using tarn::gpu::launch;

namespace {

__global__ void scale(float* x, float factor, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) x[i] *= factor;
}

__global__ void __launch_bounds__(256) tree_sum(float* sums, const float* x, int n) {
  TARN_SHARED(tile, Arr<float, 256>);
  int tid = static_cast<int>(threadIdx.x);
  float sum = 0;
  for (int i = static_cast<int>(blockIdx.x) * 256 + tid; i < n;
       i += 256 * static_cast<int>(gridDim.x))
    sum += x[i];
  tile[tid] = sum;
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (tid < half) tile[tid] += tile[tid + half];
    __syncthreads();
  }
  if (tid == 0) sums[blockIdx.x] = tile[0];
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  return value;
}

// The block that is last to finish adds up what the others have left.
__global__ void one_pass_sum(float* partial, float* total, unsigned* finished, const float* x,
                             int n) {
  TARN_DYN_SHARED(float, warps);
  TARN_SHARED(last, bool);
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float sum = 0;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < static_cast<unsigned>(n);
       i += gridDim.x * blockDim.x)
    sum += x[i];
  sum = warp_sum(sum);
  if (lane == 0) warps[warp] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    float block = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) block += warps[w];
    partial[blockIdx.x] = block;
    __threadfence();
    last = atomicAdd(finished, 1) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float all = 0;
    for (unsigned b = 0; b < gridDim.x; ++b) all += partial[b];
    *total = all;
  }
}

__global__ void count_by_value(int* counts, const int* values, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) atomicAdd(&counts[values[i]], 1);
}

struct LaneResults {
  unsigned ballot;
  int up, down, from_third, any, all, sum, highest;
};

__global__ void ask_the_warp(LaneResults* results) {
  int lane = static_cast<int>(threadIdx.x);
  results[lane] = {__ballot_sync(~0u, lane % 3 == 0), __shfl_up_sync(~0u, lane, 1),
                   __shfl_down_sync(~0u, lane, 2, 8), __shfl_sync(~0u, lane * 10, 3),
                   __any_sync(~0u, lane == 31),       __all_sync(~0u, lane == 31),
                   __reduce_add_sync(~0u, lane - 1),  __reduce_max_sync(~0u, -lane)};
}

__global__ void halves_of_a_warp(int* out) {
  unsigned lane = threadIdx.x;
  int value = static_cast<int>(lane);
  if (lane < 16)
    value = __shfl_xor_sync(0xFFFFu, value, 1);
  else
    value = __shfl_xor_sync(0xFFFF0000u, value, 8);
  out[lane] = value;
}

// Turns each block's numbers around.
__global__ void reverse_blocks(int* x) {
  TARN_SHARED(tile, Arr<int, 1024>);
  unsigned i = threadIdx.x + blockDim.x * threadIdx.y, first = blockIdx.x * 1024;
  tile[i] = x[first + i];
  __syncthreads();
  x[first + i] = tile[1023 - i];
}

std::vector<float> numbers(int n) {
  std::vector<float> x(static_cast<std::size_t>(n));
  std::iota(x.begin(), x.end(), 1.0f);
  return x;
}

}  // namespace

TEST_CASE("A kernel runs once for every thread of the grid") {
  Stream stream;
  Buffer<float> x(numbers(1000));
  check(launch(scale, 4, 256, 0, stream, x, 2.0f, 1000));
  std::vector<float> result = x.read(stream);
  for (int i = 0; i < 1000; ++i)
    REQUIRE(result[static_cast<std::size_t>(i)] == 2.0f * float(i + 1));
}

TEST_CASE("Threads of a block meet at barriers, in every order of threads") {
  auto order = GENERATE(Schedule{Schedule::forward}, Schedule{Schedule::reverse},
                        Schedule{Schedule::random, 3});
  Setting set(settings().threads, order);
  Stream stream;
  Buffer<float> x(numbers(2000)), sums(4);
  check(launch(tree_sum, 4, 256, 0, stream, sums, x, 2000));
  std::vector<float> parts = sums.read(stream);
  REQUIRE(std::accumulate(parts.begin(), parts.end(), 0.0f) == 2001000.0f);
}

TEST_CASE("Blocks have up to 1024 threads, in up to three dimensions") {
  Stream stream;
  std::vector<int> values(3 * 1024);
  std::iota(values.begin(), values.end(), 0);
  Buffer<int> x(values);
  check(launch(reverse_blocks, 3, dim3(32, 32), 0, stream, x));
  std::vector<int> result = x.read(stream);
  for (int i = 0; i < 3 * 1024; ++i)
    REQUIRE(result[static_cast<std::size_t>(i)] == i / 1024 * 1024 + 1023 - i % 1024);
}

TEST_CASE("The last block to finish sees what the others wrote before their fence") {
  Stream stream;
  Buffer<float> x(numbers(2000)), partial(8), total(1);
  Buffer<unsigned> finished(std::vector<unsigned>{0});
  check(launch(one_pass_sum, 8, 64, 2 * sizeof(float), stream, partial, total, finished, x, 2000));
  REQUIRE(total.read(stream)[0] == 2001000.0f);
}

TEST_CASE("Atomic additions of all blocks are counted") {
  Stream stream;
  std::vector<int> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i % 7);
  Buffer<int> device_values(values), counts(std::vector<int>(7, 0));
  check(launch(count_by_value, 8, 128, 0, stream, counts, device_values, 1000));
  REQUIRE(counts.read(stream) == std::vector<int>{143, 143, 143, 143, 143, 143, 142});
}

TEST_CASE("Warp operations answer as the device does") {
  Stream stream;
  Buffer<LaneResults> results(32);
  check(launch(ask_the_warp, 1, 32, 0, stream, results));
  std::vector<LaneResults> lanes = results.read(stream);
  for (int lane = 0; lane < 32; ++lane) {
    const LaneResults& r = lanes[static_cast<std::size_t>(lane)];
    CHECK(r.ballot == 0x49249249u);
    CHECK(r.up == (lane == 0 ? 0 : lane - 1));
    CHECK(r.down == (lane % 8 < 6 ? lane + 2 : lane));
    CHECK(r.from_third == 30);
    CHECK(r.any == 1);
    CHECK(r.all == 0);
    CHECK(r.sum == 31 * 32 / 2 - 32);
    CHECK(r.highest == 0);
  }
}

TEST_CASE("Two halves of a warp may do different warp operations") {
  Stream stream;
  Buffer<int> out(32);
  check(launch(halves_of_a_warp, 1, 32, 0, stream, out));
  std::vector<int> lanes = out.read(stream);
  for (int lane = 0; lane < 32; ++lane)
    REQUIRE(lanes[static_cast<std::size_t>(lane)] == (lane ^ (lane < 16 ? 1 : 8)));
}
