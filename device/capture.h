// What the layers above do about CUDA graphs (device/cuda_graph.h): they say what cannot be
// recorded, and what a replay has to do besides. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace tarn::cuda {

// The number of the recording the calling thread makes, never used again; 0 outside of one.
uint64_t capture_id() noexcept;

// Throws Error "[op] ... <problem>" in a thread that records.
inline constexpr const char* kWaits =
    "it waits for the device. HINT: return the tensor from the step and read it after the call";
void check_not_capturing(const char* op, const char* problem = kWaits);

// While recording: calls `work`, and again before each replay, after the `check` of all such work,
// which throws if the recording is out of date. Before a replay `work` changes what is the CPU's
// and brings its graph_value()s up to date; it must not enqueue anything.
void each_replay(std::function<void()> check, std::function<void()> work);

// While recording: device memory that holds the value when the recorded kernel runs. Before a
// replay: the same memory, in the order of the recording, which is to hold this value now.
// Otherwise null: the kernel takes the value as its argument. 16-byte aligned.
const void* graph_value(const void* value, size_t bytes);
// Whether work of each_replay() runs before a replay, and kernels must not be launched.
bool is_before_replay() noexcept;

}  // namespace tarn::cuda
