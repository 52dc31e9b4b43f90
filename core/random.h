// Random number generators. Source: https://pytorch.org/docs/stable/random.html.
#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "tarn/core/ops.h"
#include "tarn/kernels/kernel_table.h"

namespace tarn {

// A stream of random numbers for one device: one seed gives one sequence, PyTorch's on the CPU.
// Every draw locks the generator, so threads may share one, but then in no fixed order.
class Generator {
 public:
  // PyTorch's seed of a new generator.
  static constexpr uint64_t kDefaultSeed = 67280421310721;

  explicit Generator(Device device = {}, uint64_t seed = kDefaultSeed);
  explicit Generator(uint64_t seed) : Generator(Device(), seed) {}
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // Starts the sequence of `seed`.
  void manual_seed(uint64_t seed);
  void set_current_seed(uint64_t seed) { manual_seed(seed); }
  // Starts a sequence of a seed taken from the operating system, and returns that seed.
  uint64_t seed();
  // The seed the sequence was started with.
  uint64_t current_seed() const;
  Device device() const { return device_; }

  // The whole state as a uint8 tensor on the CPU, laid out as PyTorch's get_rng_state(): 5056 bytes
  // for the CPU, 16 (seed, offset) for CUDA.
  Tensor get_state() const;
  // Continues where get_state() was called, here or in PyTorch. Throws ValueError for a tensor that
  // is no such state; then nothing has changed.
  void set_state(const Tensor& state);

  // For ops: hold mutex() while drawing from engine().
  std::mutex& mutex() const { return mutex_; }
  RandomEngine& engine() { return engine_; }

 private:
  const Device device_;
  mutable std::mutex mutex_;
  RandomEngine engine_;
};

// The generator that ops use unless given one. It starts from a seed of the operating system's, or,
// on a device first used after it, from that of manual_seed().
Generator& default_generator(Device device = {});
// Seeds the default generators of all devices.
void manual_seed(uint64_t seed);
namespace cuda {
// Seed the default generator of the current CUDA device, or of all. Nothing happens without one.
void manual_seed(uint64_t seed);
void manual_seed_all(uint64_t seed);
}  // namespace cuda
// While one lives, the calling thread has a default CPU generator of its own, started from `seed`;
// the process's stays untouched. Guards may nest.
class ThreadSeedGuard {
 public:
  explicit ThreadSeedGuard(uint64_t seed) noexcept;
  ~ThreadSeedGuard();
  ThreadSeedGuard(const ThreadSeedGuard&) = delete;
  ThreadSeedGuard& operator=(const ThreadSeedGuard&) = delete;

 private:
  friend Generator& default_generator(Device device);
  const uint64_t seed_;
  std::optional<Generator> generator_;  // from the first use on: seeding costs microseconds
  ThreadSeedGuard* const outer_;
};
// The state of the default generator of a device.
Tensor get_rng_state(Device device = {});
void set_rng_state(const Tensor& state, Device device = {});

// Elements are 1 with probability x[i], else 0; dtype of x, whose values are in [0, 1].
inline Tensor bernoulli(const Tensor& x, Generator* generator = nullptr) {
  return x.bernoulli(generator);
}
// Elements are 1 with probability p.
Tensor bernoulli(const Tensor& x, double p, Generator* generator = nullptr);
// Normally distributed elements; tensors give each element's mean and standard deviation and
// broadcast.
Tensor normal(double mean, double std, IntArrayRef sizes, Generator* generator = nullptr,
              const TensorOptions& options = {});
Tensor normal(const Tensor& mean, double std = 1, Generator* generator = nullptr);
Tensor normal(double mean, const Tensor& std, Generator* generator = nullptr);
Tensor normal(const Tensor& mean, const Tensor& std, Generator* generator = nullptr);

namespace detail {

// The CPU, and the CUDA devices whose default generator has been asked for.
std::vector<Device> devices_with_generators();
// Overwrites `out`, without autograd and without checks of a and b (kernels/kernel_table.h). `op`
// is for errors. generator null: the default one of out's device.
void draw(const char* op, const Tensor& out, RandomKind kind, double a, double b, int64_t low,
          int64_t high, Generator* generator);
// Throws unless integers in [low, high) exist and dtype can hold them.
void check_integer_range(const char* op, ScalarType dtype, int64_t low, int64_t high);

}  // namespace detail
}  // namespace tarn
