// planted_bugs NAME: a program with one bug, for check.sh to see that the emulator finds it.
// Exit status 0 means that the bug went unnoticed. Without a NAME: the list of names.
#include <cublasLt.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tarn/tests/cuda_emulator/device.h"

using tarn::gpu::launch;

namespace {

template <class T, int N>
using Arr = T[N];

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("%s\n", cudaGetErrorName(error));
  std::exit(3);
}

cudaStream_t new_stream() {
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

float* device_floats(std::size_t n) {
  float* memory;
  check(cudaMalloc(&memory, n * sizeof(float)));
  return memory;
}

void expect(float got, float wanted) {
  if (got == wanted) return;
  std::printf("wrong result: %g, not %g\n", static_cast<double>(got), static_cast<double>(wanted));
  std::exit(4);
}

// --- kernels, right in themselves

__global__ void fill(float* x, float value, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) x[i] = value;
}

__global__ void fill_listed(float** list, float value, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) list[0][i] = value;
}

// --- kernels with a bug

__global__ void write_one_too_many(float* x, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i <= n) x[i] = 1;
}

__global__ void read_beyond_shared(float* x) {
  TARN_SHARED(tile, Arr<float, 64>);
  unsigned i = threadIdx.x;
  tile[i] = 1;
  __syncthreads();
  x[i] = tile[i + 1];
}

__global__ void read_beyond_dynamic_shared(float* x) {
  TARN_DYN_SHARED(float, tile);
  unsigned i = threadIdx.x;
  tile[i] = 1;
  __syncthreads();
  x[i] = tile[i + 1];
}

__global__ void sum_without_a_barrier(float* sum) {
  TARN_SHARED(tile, Arr<float, 256>);
  int i = static_cast<int>(threadIdx.x);
  tile[i] = 1;
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (i < half) tile[i] += tile[i + half];
    if (half != 64) __syncthreads();
  }
  if (i == 0) *sum = tile[0];
}

__global__ void add_without_atomics(float* sum) {
  if (threadIdx.x == 0) *sum += 1;
}

__global__ void last_block_without_fence(float* partial, float* total, unsigned* finished) {
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = 1;
  if (atomicAdd(finished, 1) != gridDim.x - 1) return;
  float sum = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) sum += partial[b];
  *total = sum;
}

__global__ void barrier_for_some(float* x) {
  if (threadIdx.x < 40) __syncthreads();
  x[threadIdx.x] = 1;
}

__global__ void barriers_apart(float* x) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  x[threadIdx.x] = 1;
}

__global__ void shuffle_with_absent_lanes(float* x) {
  float value = 1;
  if (threadIdx.x < 16) value = __shfl_xor_sync(~0u, value, 1);
  x[threadIdx.x] = value;
}

__global__ void sum_what_was_never_written(float* sum, const float* x, int n) {
  float total = 0;
  for (int i = 0; i < n; ++i) total += x[i];
  *sum = total;
}

// --- the programs

void global_out_of_bounds() {
  float* x = device_floats(1000);
  cudaStream_t stream = new_stream();
  check(launch(write_one_too_many, 4, 256, 0, stream, x, 1000));
  check(cudaStreamSynchronize(stream));
  check(cudaFree(x));
}

void shared_out_of_bounds() {
  check(launch(read_beyond_shared, 1, 64, 0, new_stream(), device_floats(64)));
  check(cudaDeviceSynchronize());
}

void dynamic_shared_out_of_bounds() {
  check(launch(read_beyond_dynamic_shared, 1, 64, 64 * sizeof(float), new_stream(),
               device_floats(64)));
  check(cudaDeviceSynchronize());
}

void missing_barrier() {
  check(launch(sum_without_a_barrier, 1, 256, 0, new_stream(), device_floats(1)));
  check(cudaDeviceSynchronize());
}

void cross_block_race() {
  float* sum = device_floats(1);
  cudaStream_t stream = new_stream();
  check(cudaMemsetAsync(sum, 0, sizeof(float), stream));
  check(launch(add_without_atomics, 4, 32, 0, stream, sum));
  check(cudaStreamSynchronize(stream));
}

void missing_fence() {
  float *partial = device_floats(8), *total = device_floats(1);
  unsigned* finished;
  check(cudaMalloc(&finished, sizeof(unsigned)));
  cudaStream_t stream = new_stream();
  check(cudaMemsetAsync(finished, 0, sizeof(unsigned), stream));
  check(launch(last_block_without_fence, 8, 32, 0, stream, partial, total, finished));
  check(cudaStreamSynchronize(stream));
}

void divergent_barrier() {
  check(launch(barrier_for_some, 1, 64, 0, new_stream(), device_floats(64)));
  check(cudaDeviceSynchronize());
}

void two_barriers() {
  check(launch(barriers_apart, 1, 64, 0, new_stream(), device_floats(64)));
  check(cudaDeviceSynchronize());
}

void absent_lanes() {
  check(launch(shuffle_with_absent_lanes, 1, 32, 0, new_stream(), device_floats(32)));
  check(cudaDeviceSynchronize());
}

void wrong_device() {
  check(cudaSetDevice(1));
  float* x = device_floats(100);
  check(cudaSetDevice(0));
  check(launch(fill, 1, 128, 0, new_stream(), x, 1.0f, 100));
}

void wrong_device_in_a_list() {
  check(cudaSetDevice(1));
  float* x = device_floats(100);
  check(cudaSetDevice(0));
  float** list;
  check(cudaMalloc(&list, sizeof x));
  check(cudaMemcpy(list, &x, sizeof x, cudaMemcpyHostToDevice));
  check(launch(fill_listed, 1, 128, 0, new_stream(), list, 1.0f, 100));
  check(cudaDeviceSynchronize());
}

void use_after_free() {
  float* x = device_floats(100);
  check(cudaFree(x));
  check(launch(fill, 1, 128, 0, new_stream(), x, 1.0f, 100));
}

void use_after_free_in_a_list() {
  float* x = device_floats(100);
  float** list;
  check(cudaMalloc(&list, sizeof x));
  check(cudaMemcpy(list, &x, sizeof x, cudaMemcpyHostToDevice));
  check(cudaFree(x));
  check(launch(fill_listed, 1, 128, 0, new_stream(), list, 1.0f, 100));
  check(cudaDeviceSynchronize());
}

void pageable_pointer() {
  std::vector<float> x(100);
  check(launch(fill, 1, 128, 0, new_stream(), x.data(), 1.0f, 100));
}

void host_touches_device() {
  float* x = device_floats(100);
  check(cudaDeviceSynchronize());
  x[5] = 1;
}

void missing_event() {
  float* x = device_floats(100);
  check(cudaMemset(x, 0, 100 * sizeof(float)));
  check(cudaDeviceSynchronize());
  cudaStream_t writer = new_stream(), reader = new_stream();
  check(launch(fill, 1, 128, 0, writer, x, 3.0f, 100));
  float result;
  check(cudaMemcpyAsync(&result, x, sizeof result, cudaMemcpyDeviceToHost, reader));
  check(cudaStreamSynchronize(reader));
  expect(result, 3.0f);
}

void pinned_read_too_early() {
  float *x = device_floats(1), *result;
  check(cudaMallocHost(&result, sizeof(float)));
  cudaStream_t stream = new_stream();
  check(launch(fill, 1, 32, 0, stream, x, 3.0f, 1));
  check(cudaMemcpyAsync(result, x, sizeof(float), cudaMemcpyDeviceToHost, stream));
  expect(*result, 3.0f);
}

void uninitialised_read() {
  float *x = device_floats(100), *sum = device_floats(1);
  cudaStream_t stream = new_stream();
  check(launch(sum_what_was_never_written, 1, 1, 0, stream, sum, x, 100));
  float result;
  check(cudaMemcpyAsync(&result, sum, sizeof result, cudaMemcpyDeviceToHost, stream));
  expect(result, 0.0f);
}

void sync_in_capture() {
  cudaStream_t stream = new_stream();
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  check(cudaStreamSynchronize(stream));
}

void allocation_in_capture() {
  check(cudaStreamBeginCapture(new_stream(), cudaStreamCaptureModeThreadLocal));
  device_floats(100);
}

void pageable_copy_in_capture() {
  float *x = device_floats(1), value = 1;
  cudaStream_t stream = new_stream();
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  check(cudaMemcpyAsync(x, &value, sizeof value, cudaMemcpyHostToDevice, stream));
}

void graph_of_freed_memory() {
  float* x = device_floats(100);
  cudaStream_t stream = new_stream();
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  check(launch(fill, 1, 128, 0, stream, x, 1.0f, 100));
  cudaGraph_t graph;
  check(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable;
  check(cudaGraphInstantiate(&executable, graph, 0));
  check(cudaFree(x));
  check(cudaGraphLaunch(executable, stream));
}

void unjoined_capture() {
  float* x = device_floats(100);
  cudaStream_t stream = new_stream(), other = new_stream();
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  check(cudaEventRecord(event, stream));
  check(cudaStreamWaitEvent(other, event, 0));
  check(launch(fill, 1, 128, 0, other, x, 1.0f, 100));
  cudaGraph_t graph;
  check(cudaStreamEndCapture(stream, &graph));
}

void large_shared_without_asking() {
  check(launch(read_beyond_dynamic_shared, 1, 64, std::size_t{64} << 10, new_stream(),
               device_floats(64)));
}

// x (100 x 100) times itself, in memory for 99 of its rows.
void product_beyond_memory() {
  float *x = device_floats(9900), *y = device_floats(10000);
  cublasLtHandle_t handle;
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t layout;
  cublasLtCreate(&handle);
  cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 100, 100, 100);
  const float alpha = 1, beta = 0;
  if (cublasLtMatmul(handle, product, &alpha, x, layout, x, layout, &beta, y, layout, y, layout,
                     nullptr, nullptr, 0, new_stream()) != CUBLAS_STATUS_SUCCESS)
    std::exit(3);
  check(cudaDeviceSynchronize());
}

void leak() { device_floats(100); }

struct Program {
  const char* name;
  void (*run)();
};
constexpr Program programs[] = {
    {"global-out-of-bounds", global_out_of_bounds},
    {"shared-out-of-bounds", shared_out_of_bounds},
    {"dynamic-shared-out-of-bounds", dynamic_shared_out_of_bounds},
    {"missing-barrier", missing_barrier},
    {"cross-block-race", cross_block_race},
    {"missing-fence", missing_fence},
    {"divergent-barrier", divergent_barrier},
    {"two-barriers", two_barriers},
    {"absent-lanes", absent_lanes},
    {"wrong-device", wrong_device},
    {"wrong-device-in-a-list", wrong_device_in_a_list},
    {"use-after-free", use_after_free},
    {"use-after-free-in-a-list", use_after_free_in_a_list},
    {"pageable-pointer", pageable_pointer},
    {"host-touches-device", host_touches_device},
    {"missing-event", missing_event},
    {"pinned-read-too-early", pinned_read_too_early},
    {"uninitialised-read", uninitialised_read},
    {"sync-in-capture", sync_in_capture},
    {"allocation-in-capture", allocation_in_capture},
    {"pageable-copy-in-capture", pageable_copy_in_capture},
    {"graph-of-freed-memory", graph_of_freed_memory},
    {"unjoined-capture", unjoined_capture},
    {"large-shared-without-asking", large_shared_without_asking},
    {"product-beyond-memory", product_beyond_memory},
    {"leak", leak},
};

}  // namespace

int main(int argc, char** argv) {
  for (const Program& program : programs)
    if (argc == 2 && std::strcmp(argv[1], program.name) == 0) {
      program.run();
      std::printf("unnoticed\n");
      return 0;
    }
  if (argc == 1)
    for (const Program& program : programs) std::printf("%s\n", program.name);
  return 2;
}
