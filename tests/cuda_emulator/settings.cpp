#include "tarn/tests/cuda_emulator/settings.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace cuda_emulator {
namespace {

[[noreturn]] void refuse(const char* name, const char* value, const char* expected) {
  std::fprintf(stderr, "cuda emulator: %s=%s: expected %s\n", name, value, expected);
  std::exit(2);
}

void read_schedule(const char* name, const char* forward, const char* reverse, Schedule& out) {
  const char* value = std::getenv(name);
  if (!value) return;
  if (std::strcmp(value, forward) == 0) {
    out.kind = Schedule::forward;
  } else if (std::strcmp(value, reverse) == 0) {
    out.kind = Schedule::reverse;
  } else if (std::strncmp(value, "rand:", 5) == 0) {
    out = {Schedule::random, std::strtoull(value + 5, nullptr, 10)};
  } else {
    char expected[64];
    std::snprintf(expected, sizeof expected, "%s, %s or rand:SEED", forward, reverse);
    refuse(name, value, expected);
  }
}

std::int64_t read_number(const char* name, std::int64_t otherwise) {
  const char* value = std::getenv(name);
  if (!value) return otherwise;
  char* end = nullptr;
  std::int64_t number = std::strtoll(value, &end, 10);
  if (end == value || *end != '\0' || number < 0) refuse(name, value, "a number");
  return number;
}

Settings from_environment() {
  Settings s;
  s.devices = static_cast<int>(read_number("TARN_EMULATED_DEVICES", s.devices));
  if (s.devices > 8) refuse("TARN_EMULATED_DEVICES", "more than 8", "0 to 8");
  read_schedule("TARN_EMULATED_ORDER", "fwd", "rev", s.threads);
  s.streams.kind = Schedule::reverse;
  read_schedule("TARN_EMULATED_STREAMS", "eager", "lazy", s.streams);
  s.guard = read_number("TARN_EMULATED_GUARD", 1) != 0;
  s.leaks = read_number("TARN_EMULATED_LEAKS", 0) != 0;
  s.capacity = static_cast<std::size_t>(
      read_number("TARN_EMULATED_OOM", static_cast<std::int64_t>(s.capacity)));
  if (const char* pair = std::getenv("TARN_EMULATED_BAD_PEER"))
    if (std::sscanf(pair, "%d:%d", &s.bad_peer_from, &s.bad_peer_to) != 2)
      refuse("TARN_EMULATED_BAD_PEER", pair, "FROM:TO, two device numbers");
  if (const char* call = std::getenv("TARN_EMULATED_FAIL")) {
    long long n = 0;
    if (std::sscanf(call, "%63[^:]:%lld", s.fail_api, &n) != 2 || n < 1)
      refuse("TARN_EMULATED_FAIL", call, "FUNCTION:N, N from 1");
    s.fail_call = n;
  }
  if (const char* refused = std::getenv("TARN_EMULATED_LT_REFUSE")) {
    s.lt_refuse_all = std::strcmp(refused, "all") == 0;
    if (!s.lt_refuse_all)
      s.lt_refuse_epilogue = static_cast<int>(read_number("TARN_EMULATED_LT_REFUSE", 0));
  }
  s.lt_relu_keeps_nan = read_number("TARN_EMULATED_LT_RELU_NAN", 1) != 0;
  return s;
}

}  // namespace

Settings& settings() {
  static Settings s = from_environment();
  return s;
}

}  // namespace cuda_emulator
