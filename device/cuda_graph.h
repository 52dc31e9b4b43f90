// CUDA graphs: a training step recorded once and then started as a whole, at the cost of one call.
// Source: https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
//
//   Tensor x = empty({256, 784}, kCUDA), y = empty({256}, kCUDA, kLong);
//   auto step = cuda::graph_step([&] {
//     optimizer.zero_grad();
//     Tensor loss = cross_entropy(net(x), y);
//     loss.backward();
//     optimizer.step();
//     return loss;
//   });
//   for (auto& batch : loader) {
//     x.copy_(batch.data);
//     y.copy_(batch.target);
//     Tensor loss = step();
//   }
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "tarn/device/check.h"
#include "tarn/device/cuda.h"

namespace tarn::cuda {

// Whether the work of the calling thread is being recorded, not done.
bool is_current_stream_capturing() noexcept;

// Work on one device, recorded to be replayed. One thread at a time.
class CUDAGraph {
 public:
  // -1: the current device.
  explicit CUDAGraph(int64_t device = -1);
  // Waits for the device, then gives back the memory of the graph. A tensor made in the capture
  // that still lives keeps its own.
  ~CUDAGraph();
  CUDAGraph(const CUDAGraph&) = delete;
  CUDAGraph& operator=(const CUDAGraph&) = delete;

  // Records what `work` enqueues on the device; nothing of it is done yet. Memory allocated
  // meanwhile comes from a pool of the graph. Throws Error where `work` waits for the device, uses
  // another one, or a stream that was not told to wait_stream(current_stream()); what `work` throws
  // comes through. Then the graph is as before.
  void capture(const std::function<void()>& work);
  // Enqueues the recorded work on the current stream. Throws Error if what it stands on has
  // changed, such as the state of an optimizer.
  void replay();
  Device device() const { return Device(kCUDA, device_); }

  struct Recording;

 private:
  const int device_;
  std::unique_ptr<Recording> recording_;
};

struct GraphStepOptions {
  int64_t device = -1;  // where the step works, current meanwhile; -1: the current device
  int64_t warmup = 3;   // calls before the capture, at least 1 for optimizers to have their state
};

// What graph_step() returns: a function object, to be called from one thread and on one stream.
template <class Fn>
class GraphStep {
 public:
  using Result = std::decay_t<std::invoke_result_t<Fn&>>;

  GraphStep(Fn step, const GraphStepOptions& options)
      : step_(std::move(step)),
        warmup_(options.warmup),
        graph_(std::make_unique<CUDAGraph>(options.device)) {
    if (warmup_ < 0) throw ValueError(str("[graph_step] warmup must not be negative: ", warmup_));
  }

  Result operator()() {
    if (warmup_ > 0) {
      const CUDAGuard on_device(graph_->device());  // as in the capture
      if constexpr (std::is_void_v<Result>) {
        step_();
        --warmup_;
        return;
      } else {
        Result result = step_();
        --warmup_;
        return result;
      }
    }
    if (!captured_) {
      graph_->capture([this] {
        if constexpr (std::is_void_v<Result>)
          step_();
        else
          result_.emplace(step_());
      });
      captured_ = true;
    }
    graph_->replay();
    if constexpr (!std::is_void_v<Result>) return *result_;
  }

 private:
  Fn step_;
  int64_t warmup_;  // calls left
  bool captured_ = false;
  std::unique_ptr<CUDAGraph> graph_;
  std::optional<std::conditional_t<std::is_void_v<Result>, bool, Result>> result_;
};

// Makes a training step of `step`: each call is one step, equal to calling `step` itself to the
// last bit, with the same state of optimizers and generators afterwards. The first calls are that;
// then one is captured and replayed, and all further ones are replays. For these,
//   - `step` does not run: what it does on the CPU has been done, and numbers and CPU tensors it
//     used keep their values. Two things do follow: the options of SGD, Adam and AdamW, such as a
//     learning rate set by a scheduler, and generators, which may be seeded between calls;
//   - tensors from outside are read and written where they were. Write into them (`x.copy_(batch)`)
//     instead of replacing them, and keep them alive;
//   - the result and the gradients are memory of the graph, which the next call overwrites. Where
//     something else has set or cleared a parameter's grad() since, a replay does not set it back.
// `step` may not wait for the device: item(), cpu(), printing and nonzero() throw an Error while it
// is captured, to be used on the result after the call. When the capture throws, optimizers and
// generators are as before and work goes on; gradients must be cleared, since what the capture made
// holds no numbers. Throws DeviceError without CUDA.
template <class Fn>
GraphStep<std::decay_t<Fn>> graph_step(Fn&& step, const GraphStepOptions& options = {}) {
  return {std::forward<Fn>(step), options};
}

}  // namespace tarn::cuda
