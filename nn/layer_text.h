// How layers print themselves: `tarn::nn::Linear(in_features=20, out_features=256, bias=true)`,
// libtorch's text.
#pragma once

#include <ostream>
#include <string>

namespace tarn::nn {

class Module;

namespace detail {

// The library's name in the names of its types and layers; <torch/torch.h> makes it "torch".
inline constinit const char* printed_library = "tarn";
// "tarn::nn::", which precedes every layer's name.
inline std::string layer_prefix() { return std::string(printed_library) + "::nn::"; }
// "Linear" for a LinearImpl.
std::string layer_name(const Module& layer);

// Prints the name and "(" when made, the fields as they come, and ")" when destroyed.
class LayerText {
 public:
  LayerText(std::ostream& stream, const std::string& layer) : stream_(stream) {
    stream_ << layer_prefix() << layer << '(';
  }
  LayerText(std::ostream& stream, const Module& layer) : LayerText(stream, layer_name(layer)) {}
  ~LayerText() { stream_ << ')'; }
  LayerText(const LayerText&) = delete;
  LayerText& operator=(const LayerText&) = delete;

  template <class T>
  LayerText& value(const T& value) {
    stream_ << separator_ << value;
    separator_ = ", ";
    return *this;
  }
  template <class T>
  LayerText& field(const char* name, const T& value) {
    stream_ << separator_ << name << '=' << value;
    separator_ = ", ";
    return *this;
  }
  LayerText& field(const char* name, bool value) { return field(name, value ? "true" : "false"); }
  // A flag that is printed only when set.
  LayerText& flag(const char* name, bool set) { return set ? field(name, true) : *this; }

 private:
  std::ostream& stream_;
  const char* separator_ = "";
};

}  // namespace detail
}  // namespace tarn::nn
