#pragma once
// The one property every hostile file is tested for.

#include <ctime>
#include <string>

#include "tarn/device/allocator.h"
#include "tarn/io/serialize.h"
#include "tarn/tests/io/largest_block.h"
#include "tarn/tests/io/raw_files.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/sanitizers.h"

namespace tarn::testing {

// `file` must be refused with a tarn::Error that contains `word`, within a second of processor
// time, and without asking for more than 64 MiB at once.
inline void check_refused(const std::string& name, const std::string& file,
                          const std::string& word) {
  std::string thrown = "(nothing was thrown)";
  reset_largest_block();
  reset_peak_memory_stats();
  const size_t before = memory_stats().allocated;
  const std::clock_t start = std::clock();
  try {
    load(file.data(), file.size());
  } catch (const Error& error) {
    thrown = error.what();
  } catch (const std::exception& error) {
    thrown = str("(not a tarn::Error: ", error.what(), ")");
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  INFO(name << ", wanted text: " << word << "\nthrown text: " << thrown);
  CHECK(thrown.find(word) != std::string::npos);
  CHECK(thrown.starts_with("[load] <memory>: "));
  CHECK(seconds < (kAddressSanitizer || kThreadSanitizer ? 10.0 : 1.0));
  CHECK(largest_block() <= 64u << 20);
  CHECK(memory_stats().peak_allocated - before <= 64u << 20);
}

}  // namespace tarn::testing
