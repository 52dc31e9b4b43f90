// What the two sides of a comparison share: how a case is timed and reported. Knows no library.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace bench {

// One thing both libraries can do. `setup` makes its data and returns the call to time and a
// function that describes what the calls so far came to, in a few numbers that must agree between
// the libraries.
struct Run {
  std::function<void()> step;
  std::function<std::vector<double>()> result;
};
struct Case {
  std::string name;
  bool records_gradients;  // whether autograd is on
  std::function<Run()> setup;
};

// `count` numbers in [low, high), the same on every side.
inline std::vector<float> numbers(int64_t count, float low, float high, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(count));
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (float& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = low + (high - low) * static_cast<float>(state >> 40) / static_cast<float>(1 << 24);
  }
  return values;
}

inline double now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// The median over batches of the time of one call, in seconds. `budget` is for all of them
// together.
inline double seconds_per_call(const std::function<void()>& step, double budget) {
  constexpr int kBatches = 7;
  int64_t calls = 0;
  double start = now(), elapsed = 0;
  do {
    step();
    ++calls;
    elapsed = now() - start;
  } while (elapsed < budget / 8);
  const auto batch = std::max<int64_t>(
      1, static_cast<int64_t>(budget / kBatches / (elapsed / static_cast<double>(calls))));
  std::vector<double> times;
  for (int i = 0; i < kBatches; ++i) {
    start = now();
    for (int64_t j = 0; j < batch; ++j) step();
    times.push_back((now() - start) / static_cast<double>(batch));
  }
  std::sort(times.begin(), times.end());
  return times[kBatches / 2];
}

// usage: PROGRAM <threads> [text]: runs the cases whose name contains the text, and prints for each
// a line name, seconds per call, result numbers, separated by tabs. Within(on) makes a guard of
// autograd's mode.
template <class Within>
int run(int argc, char** argv, const std::vector<Case>& cases, void (*set_threads)(int)) {
  if (argc < 2 || std::atoi(argv[1]) < 1) {
    std::fprintf(stderr, "usage: %s <threads> [part of a case's name]\n", argv[0]);
    return 2;
  }
  set_threads(std::atoi(argv[1]));
  for (const Case& c : cases) {
    if (argc > 2 && c.name.find(argv[2]) == std::string::npos) continue;
    const Run run = c.setup();
    const Within guard(c.records_gradients);
    for (int i = 0; i < 5; ++i) run.step();
    const std::vector<double> result = run.result();
    std::printf("%s\t%.9g", c.name.c_str(), seconds_per_call(run.step, 0.25));
    for (double value : result) std::printf("\t%.9g", value);
    std::printf("\n");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace bench
