#pragma once
// Errors and warnings. Everything a user can do wrong ends in tarn::Error or a subclass of it, with
// a text of the form `[op] what is wrong: both values`, plus `HINT: ...` where the fix is known.

#include <exception>
#include <sstream>
#include <string>
#include <typeinfo>
#include <utility>

namespace tarn {

// The base of every exception Tarn throws.
class Error : public std::exception {
 public:
  explicit Error(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  // libtorch's name. Tarn records no backtrace, so this is what().
  const char* what_without_backtrace() const noexcept { return message_.c_str(); }

 private:
  std::string message_;
};

// A value outside what the operation accepts.
class ValueError : public Error {
 public:
  using Error::Error;
};

// An index or dimension out of range.
class IndexError : public Error {
 public:
  using Error::Error;
};

// A wrong dtype or kind of value.
class TypeError : public Error {
 public:
  using Error::Error;
};

// Shapes that do not fit each other or the operation.
class ShapeError : public Error {
 public:
  using Error::Error;
};

// A device that does not exist, cannot be used, or differs from the other operand's.
class DeviceError : public Error {
 public:
  using Error::Error;
};

// A file that cannot be opened, read, written or understood.
class IOError : public Error {
 public:
  using Error::Error;
};

// A valid request that Tarn does not support.
class NotImplementedError : public Error {
 public:
  using Error::Error;
};

// The system or device has no memory left for a request. Free something and retry.
class OutOfMemoryError : public Error {
 public:
  using Error::Error;
};

// Concatenates its arguments as an std::ostream prints them: str("got ", 3, "/4") == "got 3/4".
inline std::string str(std::string text) { return text; }
inline std::string str(const char* text) { return text; }

template <typename... Args>
std::string str(const Args&... args) {
  std::ostringstream stream;
  (stream << ... << args);
  return std::move(stream).str();
}

namespace detail {

// The type as C++ writes it: "tarn::nn::LinearImpl".
std::string demangled(const std::type_info& type);

[[noreturn]] void throw_error(std::string message);

// Out of line and cold, so that a check costs its caller one predicted branch and no more.
template <typename... Args>
[[noreturn, gnu::noinline, gnu::cold]] void fail_check(const Args&... args) {
  throw_error(str(args...));
}

}  // namespace detail

// Prints "Warning: <message>" to standard error, or hands the message to the handler set below.
void warn(const std::string& message);

// Receives every warning. process() may be called from several threads at once.
class WarningHandler {
 public:
  virtual ~WarningHandler() = default;
  virtual void process(const std::string& message) = 0;
};

// Replaces the handler for the whole process; nullptr restores the default. The caller keeps
// ownership and must reset the handler before destroying it.
void set_warning_handler(WarningHandler* handler) noexcept;
// The handler in use, never nullptr.
WarningHandler* get_warning_handler() noexcept;

}  // namespace tarn

// TARN_CHECK(condition, args...): throws tarn::Error(str(args...)) when the condition is false. The
// arguments are evaluated only then. For a subclass write `if (...) throw ShapeError(str(...))`.
#define TARN_CHECK(condition, ...)             \
  do {                                         \
    if (!(condition)) [[unlikely]] {           \
      ::tarn::detail::fail_check(__VA_ARGS__); \
    }                                          \
  } while (false)
