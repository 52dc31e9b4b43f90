#include <cstring>

#include "tarn/tests/cuda_emulator/testing.h"

using cuda_emulator::settings;
using tarn::gpu::launch;

namespace {

__global__ void add_one(int* x) { x[threadIdx.x] += 1; }

struct Numbers {
  int low, high;
};
struct Pointers {
  int* out;
  const int* in;
};
__global__ void add_numbers(int* x, Numbers numbers) { *x = numbers.low + numbers.high; }
__global__ void copy_first(Pointers p) {
  if (p.in) *p.out = *p.in;
}

}  // namespace

TEST_CASE("Device memory is aligned to 256 bytes and has no contents at first") {
  Stream stream;
  Buffer<unsigned> x(3);
  REQUIRE(reinterpret_cast<std::uintptr_t>(static_cast<unsigned*>(x)) % 256 == 0);
  REQUIRE(x.read(stream) == std::vector<unsigned>(3, 0xFFFFFFFFu));
}

TEST_CASE("A device is full when its capacity is used up, and free again afterwards") {
  Setting limit(settings().capacity, std::size_t{1} << 20);
  std::size_t free = 0, total = 0;
  {
    Buffer<char> most(std::size_t{900} << 10);
    void* more = nullptr;
    REQUIRE(cudaMalloc(&more, std::size_t{200} << 10) == cudaErrorMemoryAllocation);
    REQUIRE(more == nullptr);
    REQUIRE(cudaGetLastError() == cudaErrorMemoryAllocation);
    check(cudaMemGetInfo(&free, &total));
    REQUIRE(free == std::size_t{124} << 10);
  }
  check(cudaMemGetInfo(&free, &total));
  REQUIRE(free == total);
}

TEST_CASE("A freed block rests before its memory is given out again") {
  int* first = nullptr;
  check(cudaMalloc(&first, 64));
  check(cudaFree(first));
  Buffer<int> second(16);
  REQUIRE(static_cast<int*>(second) != first);
  REQUIRE(cudaFree(first) == cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST_CASE("Stream-ordered frees leave the memory to what was queued before") {
  Stream stream;
  int *x = nullptr, result[4];
  check(cudaMallocAsync(&x, sizeof result, stream));
  check(cudaMemsetAsync(x, 0, sizeof result, stream));
  check(launch(add_one, 1, 4, 0, stream, x));
  check(cudaMemcpyAsync(result, x, sizeof result, cudaMemcpyDeviceToHost, stream));
  check(cudaFreeAsync(x, stream));
  stream.wait();
  REQUIRE(result[3] == 1);
  REQUIRE(launch(add_one, 1, 4, 0, stream, x) == cudaErrorIllegalAddress);
  cudaGetLastError();
}

TEST_CASE("Kernels reach pinned and registered host memory") {
  Stream stream;
  int* pinned = nullptr;
  check(cudaMallocHost(&pinned, 32 * sizeof(int)));
  std::memset(pinned, 0, 32 * sizeof(int));
  std::vector<int> registered(32, 5);
  check(cudaHostRegister(registered.data(), 32 * sizeof(int), cudaHostRegisterDefault));
  REQUIRE(cudaHostRegister(registered.data(), 4, 0) == cudaErrorHostMemoryAlreadyRegistered);
  cudaGetLastError();
  check(launch(add_one, 1, 32, 0, stream, pinned));
  check(launch(add_one, 1, 32, 0, stream, registered.data()));
  stream.wait();
  REQUIRE(pinned[31] == 1);
  REQUIRE(registered == std::vector<int>(32, 6));
  check(cudaHostUnregister(registered.data()));
  REQUIRE(launch(add_one, 1, 32, 0, stream, registered.data()) == cudaErrorIllegalAddress);
  cudaGetLastError();
  check(cudaFreeHost(pinned));
}

TEST_CASE("Pointers in a structure are checked, numbers in one are not taken for pointers") {
  Stream stream;
  Buffer<int> x(1), y(1);
  // From 31744 (0x7C00) on, pairs may be addresses of the devices' memory.
  for (int high : {0, 512, 4096, 24576, 24608, 31488})
    for (int low : {0, 16, 4096})
      check(launch(add_numbers, 1, 1, 0, stream, x, Numbers{low, high}));
  check(launch(copy_first, 1, 1, 0, stream, Pointers{x, y}));
  check(launch(copy_first, 1, 1, 0, stream, Pointers{x, nullptr}));
  std::vector<int> host(1 << 20);
  CHECK(launch(copy_first, 1, 1, 0, stream, Pointers{x, host.data()}) == cudaErrorIllegalAddress);
  cudaGetLastError();
}

TEST_CASE("A pointer tells where it points") {
  Buffer<int> on_device(1);
  int on_host = 0;
  cudaPointerAttributes attributes;
  check(cudaPointerGetAttributes(&attributes, on_device));
  REQUIRE(attributes.type == cudaMemoryTypeDevice);
  REQUIRE(attributes.device == 0);
  check(cudaPointerGetAttributes(&attributes, &on_host));
  REQUIRE(attributes.type == cudaMemoryTypeUnregistered);
}

TEST_CASE("Kernels reach a peer's memory once access is enabled") {
  int can = 0;
  check(cudaDeviceCanAccessPeer(&can, 0, 1));
  REQUIRE(can == 1);
  check(cudaSetDevice(1));
  int* there = nullptr;
  check(cudaMalloc(&there, 32 * sizeof(int)));
  check(cudaMemset(there, 0, 32 * sizeof(int)));
  check(cudaDeviceSynchronize());
  check(cudaSetDevice(0));
  Stream stream;
  REQUIRE(launch(add_one, 1, 32, 0, stream, there) == cudaErrorIllegalAddress);
  cudaGetLastError();
  check(cudaDeviceEnablePeerAccess(1, 0));
  REQUIRE(cudaDeviceEnablePeerAccess(1, 0) == cudaErrorPeerAccessAlreadyEnabled);
  cudaGetLastError();
  check(launch(add_one, 1, 32, 0, stream, there));
  std::vector<int> result(32);
  check(cudaMemcpyAsync(result.data(), there, 32 * sizeof(int), cudaMemcpyDeviceToHost, stream));
  stream.wait();
  REQUIRE(result == std::vector<int>(32, 1));
  check(cudaDeviceDisablePeerAccess(1));
  check(cudaFree(there));
}

TEST_CASE("Copies between devices arrive, and damaged ones are damaged") {
  std::vector<int> values = {1, 2, 3, 4, 5, 6, 7, 8};
  Buffer<int> here(values);
  check(cudaSetDevice(1));
  Buffer<int> there(8);
  check(cudaSetDevice(0));
  Stream stream;
  check(cudaMemcpyPeerAsync(there, 1, here, 0, 32, stream));
  REQUIRE(there.read(stream) == values);
  REQUIRE(cudaMemcpyPeerAsync(there, 0, here, 1, 32, stream) == cudaErrorInvalidValue);
  cudaGetLastError();

  Setting from(settings().bad_peer_from, 0);
  Setting to(settings().bad_peer_to, 1);
  check(cudaMemcpyPeerAsync(there, 1, here, 0, 32, stream));
  REQUIRE(there.read(stream) != values);
  check(cudaMemcpyPeerAsync(here, 0, there, 1, 32, stream));
  stream.wait();
}

TEST_CASE("Copies of rows keep the pitches of both sides") {
  Stream stream;
  std::vector<int> values = {1, 2, 3, 4, 5, 6};
  Buffer<int> padded(std::vector<int>(8, 0));
  check(cudaMemcpy2DAsync(padded, 16, values.data(), 12, 8, 2, cudaMemcpyHostToDevice, stream));
  REQUIRE(padded.read(stream) == std::vector<int>{1, 2, 0, 0, 4, 5, 0, 0});
}

TEST_CASE("Copies that leave an allocation or name the wrong direction are refused") {
  Stream stream;
  Buffer<int> x(4);
  int host[5] = {};
  REQUIRE(cudaMemcpyAsync(x, host, 20, cudaMemcpyHostToDevice, stream) == cudaErrorInvalidValue);
  REQUIRE(cudaMemcpyAsync(x, host, 16, cudaMemcpyDeviceToHost, stream) == cudaErrorInvalidValue);
  REQUIRE(cudaMemsetAsync(x, 0, 17, stream) == cudaErrorInvalidValue);
  REQUIRE(cudaMemsetAsync(host, 0, 4, stream) == cudaErrorInvalidValue);
  check(cudaMemcpyAsync(x, host, 16, cudaMemcpyDefault, stream));
  stream.wait();
  cudaGetLastError();
}
