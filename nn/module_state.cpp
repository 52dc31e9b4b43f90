// Module::state_dict() and load_state_dict().
#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "tarn/core/factories.h"
#include "tarn/core/grad_mode.h"
#include "tarn/nn/module.h"

namespace tarn::nn {

// A tensor of the state: its full name, and what its module calls it.
struct Module::StateEntry {
  std::string name;
  std::string key;
  const Module* owner;
  Tensor tensor;
};

void Module::collect_state(const std::string& prefix, std::vector<StateEntry>& entries,
                           OrderedDict<std::string, int64_t>* versions) const {
  if (versions) versions->insert(prefix, state_version());
  const auto add = [&](const OrderedDict<std::string, Tensor>::Item& item) {
    if (item.value().defined())
      entries.push_back({join(prefix, item.key()), item.key(), this, item.value()});
  };
  for (const auto& item : parameters_) add(item);
  for (const auto& item : buffers_) {
    if (std::find(transient_.begin(), transient_.end(), item.key()) == transient_.end()) add(item);
  }
  for (const auto& child : children_)
    child.value()->collect_state(join(prefix, child.key()), entries, versions);
}

StateDict Module::state_dict() const {
  StateDict state;
  std::vector<StateEntry> entries;
  collect_state("", entries, &state.metadata);
  state.reserve(entries.size());
  for (const StateEntry& entry : entries) state.insert(entry.name, entry.tensor.detach());
  return state;
}

namespace {

// Levenshtein's: the least number of letters inserted, removed or changed.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j] ? 1 : 0);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// The name most like `name`, or null if none is like it.
const std::string* nearest(const std::string& name, const std::vector<std::string>& candidates) {
  const std::string* best = nullptr;
  size_t limit = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(name, candidate);
    if (distance >= limit) continue;
    limit = distance;
    best = &candidate;
  }
  return best;
}

// What most missing names lack to be unexpected ones, as "module." in a file by DataParallel; or
// nothing.
std::string common_prefix(const LoadReport& report) {
  const std::unordered_set<std::string> unexpected(report.unexpected.begin(),
                                                   report.unexpected.end());
  for (const std::string& wanted : report.missing) {
    for (const std::string& name : report.unexpected) {
      if (!name.ends_with("." + wanted)) continue;
      const std::string prefix = name.substr(0, name.size() - wanted.size());
      const auto found = std::count_if(
          report.missing.begin(), report.missing.end(),
          [&](const std::string& other) { return unexpected.contains(prefix + other); });
      if (2 * static_cast<size_t>(found) > report.missing.size()) return prefix;
    }
  }
  return "";
}

[[noreturn]] void fail(const std::string& module, const LoadReport& report,
                       const std::string& mismatches) {
  // Comparing names costs their number squared; a model that differs in hundreds is another model.
  constexpr size_t kMaxComparisons = 10000;
  std::string text =
      "[load_state_dict] Error(s) in loading state_dict for " + module + ", nothing was loaded:";
  const std::string prefix = common_prefix(report);
  const bool suggest = report.missing.size() * report.unexpected.size() <= kMaxComparisons;
  const auto list = [&](const char* title, const std::vector<std::string>& names,
                        bool with_nearest) {
    if (names.empty()) return;
    text += title;
    for (const std::string& name : names) {
      text += (&name == &names.front() ? "\"" : ", \"") + name + '"';
      const std::string* near = with_nearest ? nearest(name, report.unexpected) : nullptr;
      if (near) text += " (did you mean \"" + *near + "\"?)";
    }
    text += '.';
  };
  list("\n  Missing key(s) in state_dict: ", report.missing, suggest);
  list("\n  Unexpected key(s) in state_dict: ", report.unexpected, false);
  text += mismatches;
  if (!prefix.empty())
    text += "\n  HINT: names of the state_dict begin with \"" + prefix +
            "\": load with {.strip_prefix = \"" + prefix + "\"}";
  throw ValueError(text);
}

bool same_place(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.data_ptr() == b.data_ptr() && a.strides() == b.strides();
}

}  // namespace

LoadReport Module::load_state_dict(const StateDict& state, const StateDictOptions& options) {
  return load_state_dict(state, options, [](std::vector<StateCopy>& copies) {
    std::unordered_set<const StorageImpl*> written;
    for (const StateCopy& copy : copies)
      written.insert(copy.target.storage().unsafeGetStorageImpl());
    // A source may be another parameter of this module, which is about to be overwritten.
    for (StateCopy& copy : copies) {
      const bool is_written = written.contains(copy.source.storage().unsafeGetStorageImpl());
      if (is_written && !same_place(copy.source, copy.target)) copy.source = copy.source.clone();
    }
    for (StateCopy& copy : copies) copy.target.copy_(copy.source);
  });
}

LoadReport Module::load_state_dict(const StateDict& state, const StateDictOptions& options,
                                   const CopyState& copy) {
  OrderedDict<std::string, Tensor> given;
  for (const auto& item : state) {
    std::string name = item.key();
    if (name.starts_with(options.strip_prefix)) name.erase(0, options.strip_prefix.size());
    if (options.rename) name = options.rename(name);
    TARN_CHECK(!given.contains(name), "[load_state_dict] two names of the state dict become '",
               name, "', the second is '", item.key(), "'");
    given.insert(std::move(name), item.value());
  }

  std::vector<StateEntry> entries;
  collect_state("", entries, nullptr);
  LoadReport report;
  std::string mismatches;
  std::vector<StateCopy> copies;
  std::vector<std::pair<Tensor, Tensor>> resized;  // parameter, what it becomes
  std::unordered_set<std::string> known;
  for (const StateEntry& entry : entries) {
    known.insert(entry.name);
    const Tensor* source = given.find(entry.name);
    if (!source) {
      report.missing.push_back(entry.name);
      continue;
    }
    const bool same_sizes = source->defined() && source->sizes() == entry.tensor.sizes();
    if (!same_sizes &&
        !(source->defined() && entry.owner->accepts_sizes(entry.key, source->sizes()))) {
      report.mismatched.push_back(entry.name);
      mismatches += str("\n  size mismatch for ", entry.name, ": the state_dict has ",
                        source->defined() ? str(source->sizes()) : "an undefined tensor",
                        ", the module has ", entry.tensor.sizes(), ".");
      continue;
    }
    report.loaded.push_back(entry.name);
    if (!same_sizes)
      resized.emplace_back(entry.tensor, empty(source->sizes(), entry.tensor.options()));
    copies.push_back({same_sizes ? entry.tensor : resized.back().second, *source});
  }
  for (const auto& item : given) {
    if (!known.contains(item.key())) report.unexpected.push_back(item.key());
  }
  const bool agrees =
      report.missing.empty() && report.unexpected.empty() && report.mismatched.empty();
  if (options.strict && !agrees) fail(name(), report, mismatches);

  NoGradGuard no_grad;
  copy(copies);
  for (const auto& [parameter, value] : resized) parameter.set_data(value);
  return report;
}

}  // namespace tarn::nn
