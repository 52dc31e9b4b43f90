#include "tarn/io/checkpoint_manager.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "tarn/io/atomic_file.h"

namespace tarn {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStart = "step-", kEnd = ".pt";
constexpr size_t kDigits = 9;  // at least, so that names sort by step

std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kStart) || !name.ends_with(kEnd)) return std::nullopt;
  const std::string digits = name.substr(kStart.size(), name.size() - kStart.size() - kEnd.size());
  constexpr size_t kMaxDigits = 18;  // any such number is an int64
  const bool padded = digits.size() == kDigits;
  if (digits.size() < kDigits || digits.size() > kMaxDigits || (!padded && digits[0] == '0') ||
      digits.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  return std::stoll(digits);
}

[[noreturn]] void fail(const std::string& path, const std::error_code& error) {
  throw IOError(str("[CheckpointManager] ", path, ": ", error.message()));
}

// The steps of the files in a folder, in order.
std::vector<int64_t> steps_in(const std::string& folder) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (const auto step = step_of(at->path().filename().string())) steps.push_back(*step);
  }
  if (error) fail(folder, error);
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace

CheckpointManager::CheckpointManager(std::string folder, CheckpointManagerOptions options)
    : folder_(std::move(folder)), options_(options) {
  if (options.keep_last < 0 || options.keep_best < 0) {
    throw ValueError(str("[CheckpointManager] keep_last and keep_best must not be negative, got ",
                         options.keep_last, " and ", options.keep_best));
  }
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) fail(folder_, error);
  detail::remove_abandoned_files(folder_);
}

std::string CheckpointManager::path_of(int64_t step) const {
  std::string digits = std::to_string(step);
  if (digits.size() < kDigits) digits.insert(0, kDigits - digits.size(), '0');
  return (fs::path(folder_) / (std::string(kStart) + digits + std::string(kEnd))).string();
}

std::string CheckpointManager::save(const Checkpoint& checkpoint, std::optional<double> metric) {
  if (checkpoint.step < 0) {
    throw ValueError(str("[CheckpointManager] the checkpoint's step must not be negative, got ",
                         checkpoint.step));
  }
  Value state = checkpoint.state_dict();
  if (metric) state.set("metric", *metric);
  const std::string path = path_of(checkpoint.step);
  tarn::save(state, path, options_.save);
  remove_old_ones();
  return path;
}

bool CheckpointManager::resume(Checkpoint& checkpoint) const {
  const std::vector<int64_t> steps = steps_in(folder_);
  if (steps.empty()) return false;
  load(checkpoint, path_of(steps.back()));
  return true;
}

CheckpointManager::Entry CheckpointManager::entry_of(int64_t step) const {
  Entry entry{.path = path_of(step), .step = step, .metric = {}};
  const TensorFile file = open(entry.path);
  if (const Value* metric = file.outline().find("metric")) entry.metric = metric->to_double();
  return entry;
}

std::vector<CheckpointManager::Entry> CheckpointManager::entries() const {
  std::vector<Entry> entries;
  for (const int64_t step : steps_in(folder_)) entries.push_back(entry_of(step));
  return entries;
}

std::optional<CheckpointManager::Entry> CheckpointManager::latest() const {
  const std::vector<int64_t> steps = steps_in(folder_);
  if (steps.empty()) return std::nullopt;
  return entry_of(steps.back());
}

// The best first; without those that have no metric.
std::vector<CheckpointManager::Entry> CheckpointManager::by_merit() const {
  std::vector<Entry> ranked = entries();
  std::erase_if(ranked, [](const Entry& e) { return !e.metric || std::isnan(*e.metric); });
  std::sort(ranked.begin(), ranked.end(), [&](const Entry& a, const Entry& b) {
    if (*a.metric != *b.metric) return (*a.metric > *b.metric) == options_.higher_is_better;
    return a.step > b.step;
  });
  return ranked;
}

std::optional<CheckpointManager::Entry> CheckpointManager::best() const {
  std::vector<Entry> ranked = by_merit();
  if (ranked.empty()) return std::nullopt;
  return std::move(ranked.front());
}

void CheckpointManager::remove_old_ones() const {
  if (options_.keep_last == 0) return;
  std::vector<int64_t> old = steps_in(folder_);
  old.resize(old.size() - std::min(old.size(), static_cast<size_t>(options_.keep_last)));
  if (options_.keep_best > 0 && !old.empty()) {
    std::vector<Entry> kept = by_merit();
    if (kept.size() > static_cast<size_t>(options_.keep_best))
      kept.resize(static_cast<size_t>(options_.keep_best));
    for (const Entry& entry : kept) std::erase(old, entry.step);
  }
  for (const int64_t step : old) {
    std::error_code error;
    fs::remove(path_of(step), error);  // false, without an error, if another program was faster
    if (error) fail(path_of(step), error);
  }
}

}  // namespace tarn
