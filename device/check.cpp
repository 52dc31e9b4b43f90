#include "tarn/device/check.h"

#include <cxxabi.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace tarn {

namespace detail {

std::string demangled(const std::type_info& type) {
  int status = 0;
  char* const text = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string name = text ? text : type.name();
  std::free(text);
  return name;
}

void throw_error(std::string message) { throw Error(std::move(message)); }

}  // namespace detail

namespace {

class PrintingHandler : public WarningHandler {
 public:
  void process(const std::string& message) override {
    // One call, so that warnings of several threads do not mix within a line.
    std::fprintf(stderr, "Warning: %s\n", message.c_str());
  }
};

PrintingHandler& printing_handler() {
  // Never destroyed: destructors of static objects may warn.
  static PrintingHandler* handler = new PrintingHandler;
  return *handler;
}

std::atomic<WarningHandler*> current_handler{nullptr};

}  // namespace

void warn(const std::string& message) { get_warning_handler()->process(message); }

void set_warning_handler(WarningHandler* handler) noexcept {
  current_handler.store(handler, std::memory_order_release);
}

WarningHandler* get_warning_handler() noexcept {
  WarningHandler* handler = current_handler.load(std::memory_order_acquire);
  return handler ? handler : &printing_handler();
}

}  // namespace tarn
