#pragma once
// The properties that hostile and damaged files are tested for.
//
// Files known by a name of one word, such as zip_dup_entry, are those of a list of attacks on
// readers of these formats; see docs/file_formats.md.

#include <cctype>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include "tarn/device/allocator.h"
#include "tarn/io/serialize.h"
#include "tarn/tests/io/largest_block.h"
#include "tarn/tests/io/raw_files.h"
#include "tarn/tests/io/read_elements.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/sanitizers.h"

namespace tarn::testing {

// Puts a file that a test is about into the folder that $TARN_HOSTILE_FILES names, if it names one:
// the fuzzers start from them, and the test of tarn-ckpt reads them.
inline void keep_hostile_file(std::string name, const std::string& file, const char* extension) {
  const char* folder = std::getenv("TARN_HOSTILE_FILES");
  if (folder == nullptr) return;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '+') c = '_';
  }
  const std::string start = std::string(folder) + "/" + name.substr(0, 60);
  std::string path = start + extension;
  for (int i = 2; std::filesystem::exists(path); ++i) path = start + str("__", i, extension);
  std::ofstream(path, std::ios::binary) << file;
}

// `read` must need less than a second of processor time and never ask for more than 64 MiB at once.
// Returns the text of what it threw.
template <typename Read>
std::string thrown_within_bounds(Read&& read) {
  std::string thrown = "(nothing was thrown)";
  reset_largest_block();
  reset_peak_memory_stats();
  const size_t before = memory_stats().allocated;
  const std::clock_t start = std::clock();
  try {
    read();
  } catch (const Error& error) {
    thrown = error.what();
  } catch (const std::exception& error) {
    thrown = str("(not a tarn::Error: ", error.what(), ")");
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  CHECK(seconds < (kAddressSanitizer || kThreadSanitizer ? 10.0 : 1.0));
  CHECK(largest_block() <= 64u << 20);
  CHECK(memory_stats().peak_allocated - before <= 64u << 20);
  return thrown;
}

// `file` must be refused within these bounds with a tarn::Error that contains `word`.
inline void check_refused(const std::string& name, const std::string& file,
                          const std::string& word) {
  keep_hostile_file(name, file, ".bad");
  INFO(name << ", wanted text: " << word);
  const std::string thrown = thrown_within_bounds([&] { load(file.data(), file.size()); });
  INFO("thrown text: " << thrown);
  CHECK(thrown.find(word) != std::string::npos);
  CHECK(thrown.starts_with("[load] <memory>: "));
}

// `file` looks hostile, but must load within these bounds.
inline Value check_loads(const std::string& name, const std::string& file) {
  keep_hostile_file(name, file, ".good");
  INFO(name);
  Value value;
  CHECK(thrown_within_bounds([&] {
          value = load(file.data(), file.size());
          ElementReader().read(value);
        }) == "(nothing was thrown)");
  return value;
}

// Loads the file with each byte changed in three ways, and reads what that gives. Returns how many
// of these files were refused; nothing but an Error may be thrown.
inline int refused_changes(const std::string& file) {
  int refused = 0;
  for (size_t at = 0; at < file.size(); ++at) {
    for (const int change : {1, 0x80, 0xFF}) {
      std::string bytes = file;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      try {
        static_cast<void>(str(load(bytes.data(), bytes.size())));
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  return refused;
}

}  // namespace tarn::testing
