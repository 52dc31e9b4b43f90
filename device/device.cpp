#include "tarn/device/device.h"

#include <algorithm>
#include <ostream>

namespace tarn {

namespace {

const char* name(DeviceType type) { return type == DeviceType::CPU ? "cpu" : "cuda"; }

[[noreturn]] void bad_text(std::string_view text, const char* reason) {
  throw DeviceError(str("[Device] Invalid device string: '", text, "': ", reason,
                        "\nHINT: write 'cpu', 'cuda' or 'cuda:N'"));
}

}  // namespace

Device::Device(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view type = text.substr(0, colon);
  if (type == "cpu") {
    type_ = DeviceType::CPU;
  } else if (type == "cuda") {
    type_ = DeviceType::CUDA;
  } else {
    bad_text(text, type.empty() ? "no device type" : "unknown device type");
  }
  if (colon == std::string_view::npos) return;

  const std::string_view digits = text.substr(colon + 1);
  if (digits.empty()) bad_text(text, "no index after ':'");
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!std::all_of(digits.begin(), digits.end(), is_digit)) {
    bad_text(text, "the index is not a number");
  }
  if (digits.size() > 1 && digits[0] == '0') bad_text(text, "the index has a leading zero");
  int64_t index = 0;
  for (const char digit : digits) {
    index = index * 10 + (digit - '0');
    if (index > kMaxIndex) bad_text(text, "the index is above 127");
  }
  if (is_cpu() && index != 0) bad_text(text, "there is only one CPU device, cpu:0");
  index_ = static_cast<DeviceIndex>(index);
}

void Device::bad_index(DeviceType type, int64_t index) {
  throw DeviceError(tarn::str("[Device] index ", index, " is out of range for ", name(type),
                              ": expected ", type == DeviceType::CPU ? "0" : "0 to 127",
                              ", or -1 for none"));
}

std::string Device::str() const {
  std::string text = name(type_);
  if (has_index()) text += ":" + std::to_string(index_);
  return text;
}

std::ostream& operator<<(std::ostream& stream, DeviceType type) { return stream << name(type); }

std::ostream& operator<<(std::ostream& stream, Device device) { return stream << device.str(); }

}  // namespace tarn
