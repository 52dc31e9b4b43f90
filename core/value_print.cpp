// How a Value prints.

#include <charconv>
#include <ostream>

#include "tarn/core/value.h"

namespace tarn {
namespace {

void print_string(std::ostream& stream, std::string_view text) {
  stream << '\'';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\'' || c == '\\') {
      stream << '\\' << c;
    } else if (byte < 0x20 || byte == 0x7F) {
      constexpr char kHex[] = "0123456789abcdef";
      stream << "\\x" << kHex[byte >> 4] << kHex[byte & 15];
    } else {
      stream << c;
    }
  }
  stream << '\'';
}

void print_double(std::ostream& stream, double number) {
  char text[32];
  const char* end = std::to_chars(text, text + sizeof text, number).ptr;
  const std::string_view shown(text, static_cast<size_t>(end - text));
  stream << shown;
  if (shown.find_first_not_of("-0123456789") == shown.npos) stream << ".0";
}

// `budget` counts down the items that may still be printed: a shared container can stand for
// astronomically many.
void print(std::ostream& stream, const Value& value, int& budget) {
  if (--budget < 0) {
    if (budget == -1) stream << "...";
    return;
  }
  switch (value.kind()) {
    case Value::Kind::None:
      stream << "None";
      return;
    case Value::Kind::Bool:
      stream << (value.to_bool() ? "True" : "False");
      return;
    case Value::Kind::Int:
      stream << value.to_int();
      return;
    case Value::Kind::Double:
      print_double(stream, value.to_double());
      return;
    case Value::Kind::String:
      print_string(stream, value.to_string());
      return;
    case Value::Kind::Bytes:
      stream << 'b';
      print_string(stream, value.to_bytes());
      return;
    case Value::Kind::Tensor: {
      const Tensor& tensor = value.to_tensor();
      if (!tensor.defined()) {
        stream << "Tensor(undefined)";
        return;
      }
      stream << "Tensor(" << python_name(tensor.scalar_type()) << ", [";
      const char* separator = "";
      for (const int64_t size : tensor.sizes()) stream << std::exchange(separator, ", ") << size;
      stream << "])";
      return;
    }
    case Value::Kind::Dict: {
      stream << (value.is_ordered_dict() ? "OrderedDict({" : "{");
      const char* separator = "";
      for (const auto& [key, item] : value.entries()) {
        if (budget < 0) break;
        stream << std::exchange(separator, ", ");
        print(stream, key, budget);
        stream << ": ";
        print(stream, item, budget);
      }
      stream << (value.is_ordered_dict() ? "})" : "}");
      return;
    }
    default: {
      const bool is_list = value.is_list();
      stream << (is_list ? '[' : '(');
      const char* separator = "";
      for (const Value& element : value) {
        if (budget < 0) break;
        stream << std::exchange(separator, ", ");
        print(stream, element, budget);
      }
      stream << (is_list ? "]" : value.size() == 1 ? ",)" : ")");
    }
  }
}

}  // namespace

std::ostream& operator<<(std::ostream& stream, const Value& value) {
  int budget = 10'000;
  print(stream, value, budget);
  return stream;
}

}  // namespace tarn
