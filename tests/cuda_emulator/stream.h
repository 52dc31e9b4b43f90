#pragma once
// Streams as queues whose operations run as late as the program lets them, and the graphs that
// capturing streams record. The caller of every function here holds the lock.
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tarn/tests/cuda_emulator/launch.h"

namespace cuda_emulator {

struct Capture;

/// One recording of an event.
struct Mark {
  bool done = false;
  CUstream_st* stream = nullptr;  ///< on which, as its operation number `ticket`
  std::uint64_t ticket = 0;
  std::chrono::steady_clock::time_point reached;
  std::shared_ptr<Capture> capture;  ///< or in a capture, after these nodes of its graph
  std::vector<std::size_t> nodes;
};

struct Operation {
  std::function<void()> run;
  std::shared_ptr<Mark> wait = nullptr;  ///< runs after this mark
  std::vector<ArgumentWord> words = {};  ///< a kernel's arguments, checked again in each replay
  std::uint64_t ticket = 0;
};

struct Capture {
  unsigned long long id;
  CUgraph_st* graph;
  cudaStreamCaptureMode mode;
  std::thread::id owner;
  CUstream_st* origin;
  std::vector<CUstream_st*> streams;  ///< the origin, and those that joined it
  bool valid = true;
  bool active = true;
};

/// The stream behind a handle; null if it was destroyed or never was.
CUstream_st* find_stream(cudaStream_t handle);
CUstream_st* create_stream(unsigned flags, int priority);
void destroy_stream(CUstream_st* stream);

/// Queues the operation, or adds it to the graph that the stream records.
cudaError_t submit(CUstream_st* stream, Operation operation);
/// Runs the stream's operations up to and with number `ticket`.
void drain(CUstream_st* stream, std::uint64_t ticket = ~std::uint64_t{0});
void drain_device(int device);
/// Runs one operation, so that a program which asks in a loop comes to an end.
void make_progress(CUstream_st* stream);

cudaError_t record(const std::shared_ptr<Mark>& mark, CUstream_st* stream);
cudaError_t wait_for(CUstream_st* stream, const std::shared_ptr<Mark>& mark);
void wait_on_host(const Mark& mark);

/// What captures forbid the calling thread; cudaThreadExchangeStreamCaptureMode() sets it.
cudaStreamCaptureMode& thread_capture_mode();
/// cudaSuccess, or the error of a call that a capture forbids this thread; that capture is lost.
cudaError_t check_no_capture();
/// The same for a call that waits for the stream.
cudaError_t check_not_capturing(CUstream_st* stream);

/// What kernels may not be given: pointers to freed memory, to another device, to pageable memory.
cudaError_t check_pointers(const std::vector<ArgumentWord>& words, int device);

}  // namespace cuda_emulator

struct CUstream_st {
  int device;
  unsigned flags;
  int priority;
  std::deque<cuda_emulator::Operation> queue = {};
  std::uint64_t submitted = 0;
  std::shared_ptr<cuda_emulator::Capture> capture = nullptr;
  std::vector<std::size_t> last_nodes = {};  ///< of the graph, that what comes next depends on

  bool blocking() const { return !(flags & cudaStreamNonBlocking); }
};

struct CUevent_st {
  int device;
  unsigned flags;
  std::shared_ptr<cuda_emulator::Mark> mark;
};

struct CUgraph_st {
  struct Node {
    cuda_emulator::Operation operation;
    std::vector<std::size_t> after;
    int device;
  };
  std::vector<Node> nodes;
};

struct CUgraphExec_st {
  std::shared_ptr<const CUgraph_st> graph;
};
