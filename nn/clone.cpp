// Module::clone(). The order matters: clones of submodules and tensors first, so that when this
// module is copied the handles among its members find them.
#include <cstring>
#include <new>
#include <unordered_map>

#include "tarn/nn/module.h"

namespace tarn::nn {
namespace detail {

constinit thread_local bool is_cloning = false;

namespace {

// What the outermost clone() on this thread has cloned so far: shared things are cloned once.
class CloneScope {
 public:
  CloneScope() : is_outermost_(current == nullptr) {
    if (is_outermost_) current = this;
  }
  ~CloneScope() {
    if (is_outermost_) current = nullptr;
  }
  CloneScope(const CloneScope&) = delete;
  CloneScope& operator=(const CloneScope&) = delete;

  static thread_local CloneScope* current;
  std::unordered_map<const Module*, std::shared_ptr<Module>> modules;
  std::unordered_map<const TensorImpl*, Tensor> tensors;

 private:
  bool is_outermost_;
};
thread_local CloneScope* CloneScope::current = nullptr;

struct FollowClones {
  bool previous = std::exchange(is_cloning, true);
  ~FollowClones() { is_cloning = previous; }
};

// The places in [begin, begin + size) that hold a handle equal to `handle`, found by its bytes.
template <class Handle>
std::vector<Handle*> places_of(const Handle& handle, void* begin, size_t size) {
  std::vector<Handle*> places;
  char* const bytes = static_cast<char*>(begin);
  for (size_t at = 0; at + sizeof(Handle) <= size; at += alignof(Handle)) {
    if (std::memcmp(bytes + at, static_cast<const void*>(&handle), sizeof(Handle)) == 0) {
      places.push_back(std::launder(reinterpret_cast<Handle*>(bytes + at)));
    }
  }
  return places;
}

}  // namespace

std::shared_ptr<Module> clone_of(const std::shared_ptr<Module>& original) {
  const auto found = CloneScope::current->modules.find(original.get());
  return found == CloneScope::current->modules.end() ? original : found->second;
}

const Tensor& clone_of(const Tensor& original) {
  const auto found = CloneScope::current->tensors.find(original.unsafeGetTensorImpl());
  return found == CloneScope::current->tensors.end() ? original : found->second;
}

}  // namespace detail

std::shared_ptr<Module> Module::clone(const std::optional<Device>& device) const {
  if (!type_ || type_->type != typeid(*this)) {
    throw NotImplementedError(str("clone() has not been implemented for ", name(),
                                  ", whose type no handle has noted. HINT: make "
                                  "it by a handle (TARN_MODULE), or override clone()"));
  }
  if (!type_->copy) {
    throw NotImplementedError(str("clone() has not been implemented for ", name(),
                                  ", which has no copy constructor. HINT: override clone()"));
  }
  detail::CloneScope scope;
  auto& clones = *detail::CloneScope::current;
  for (const auto& child : children_) {
    if (clones.modules.contains(child.value().get())) continue;
    clones.modules.emplace(child.value().get(), child.value()->clone(device));
  }
  const auto own_tensors = [&](const auto& f) {
    for (const auto* tensors : {&parameters_, &buffers_}) {
      for (const auto& item : *tensors) {
        if (item.value().defined()) f(item.key(), item.value());
      }
    }
  };
  own_tensors([&](const std::string&, const Tensor& t) {
    Tensor& copy = clones.tensors[t.unsafeGetTensorImpl()];
    if (copy.defined()) return;
    const TensorOptions options = TensorOptions().device(device.value_or(t.device()));
    copy = t.detach().to(options, /*non_blocking=*/false, /*copy=*/true);
    copy.requires_grad_(t.requires_grad());
  });

  // Handles that the copy still has on what is registered here are those that could not follow.
  std::vector<size_t> uses;
  own_tensors([&](const std::string&, const Tensor& t) { uses.push_back(t.use_count()); });
  for (const auto& child : children_)
    uses.push_back(static_cast<size_t>(child.value().use_count()));

  std::shared_ptr<Module> copy;
  {
    detail::FollowClones follow;
    copy = type_->copy(*this);
    for (auto& child : copy->children_) child.value() = detail::clone_of(child.value());
    for (auto* tensors : {&copy->parameters_, &copy->buffers_}) {
      for (auto& item : *tensors) item.value() = Tensor(detail::clone_of(item.value()));
    }
  }

  auto before = uses.begin();
  const auto rebind = [&](const std::string& key, const auto& original, const auto& clone,
                          const char* hint) {
    const size_t left = static_cast<size_t>(original.use_count()) - *before++;
    if (left == 0) return;
    const auto places = detail::places_of(original, dynamic_cast<void*>(copy.get()), type_->size);
    TARN_CHECK(places.size() == left, "[clone] ", name(), " holds '", key,
               "' where its copy cannot be told of the clone, as in a container. HINT: ", hint);
    for (auto* place : places) *place = clone;
  };
  own_tensors([&](const std::string& key, const Tensor& t) {
    rebind(key, t, clones.tensors.at(t.unsafeGetTensorImpl()),
           "hold it as nn::Parameter or in an nn::ParameterList");
  });
  for (const auto& child : children_) {
    rebind(child.key(), child.value(), clones.modules.at(child.value().get()),
           "hold it by a handle, nn::ModuleHolder");
  }
  return copy;
}

}  // namespace tarn::nn
