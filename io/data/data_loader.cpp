#include "tarn/io/data/data_loader.h"

namespace tarn::data {
namespace {

std::string text_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "(not a std::exception)";
  }
}

// A bijection that leaves no trace of how its arguments were related (splitmix64's finaliser).
uint64_t scramble(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

FullDataLoaderOptions::FullDataLoaderOptions(const DataLoaderOptions& options)
    : batch_size(options.batch_size()),
      workers(options.workers()),
      max_jobs(options.max_jobs().value_or(2 * workers)),
      timeout(options.timeout()),
      enforce_ordering(options.enforce_ordering()),
      drop_last(options.drop_last()) {
  if (batch_size == 0) throw ValueError("[DataLoader] batch_size must be at least 1, got 0");
}

WorkerException::WorkerException(std::exception_ptr original)
    : Error("Caught exception in DataLoader worker thread. Original message: " + text_of(original)),
      original_exception(std::move(original)) {}

uint64_t detail::batch_seed(uint64_t epoch_seed, uint64_t epoch, uint64_t batch) {
  return scramble(scramble(scramble(epoch_seed) + epoch) + batch);
}

uint64_t detail::peek_default_generator() {
  Generator& generator = default_generator();
  const std::lock_guard lock(generator.mutex());
  RandomEngine engine = generator.engine();
  return engine.next64();
}

Value detail::LoaderPosition::to_value() const {
  Value value = Value::dict({{"epochs", epochs}});
  if (generator.defined()) {
    value.set("generator", generator);
    value.set("batches", batches);
    value.set("batch_size", batch_size);
  }
  return value;
}

detail::LoaderPosition detail::LoaderPosition::from_value(const Value& value, size_t batch_size) {
  const auto count = [&](const char* key) {
    const int64_t n = value.at(key).to_int();
    if (n < 0) throw ValueError(str("[DataLoader] '", key, "' of the state is negative: ", n));
    return static_cast<uint64_t>(n);
  };
  LoaderPosition position{.epochs = count("epochs"), .generator = {}};
  const Value* generator = value.find("generator");
  if (!generator) return position;
  position.generator = generator->to_tensor();
  Generator().set_state(position.generator);  // throws if it is none
  position.batches = count("batches");
  position.batch_size = static_cast<size_t>(count("batch_size"));
  if (position.batch_size != batch_size) {
    throw ValueError(str("[DataLoader] the state is of the middle of an epoch in batches of ",
                         position.batch_size, ", this loader's batches are of ", batch_size));
  }
  return position;
}

void detail::throw_short_epoch(uint64_t batches, uint64_t given) {
  throw ValueError(str("[DataLoader] the state is that after batch ", given,
                       " of an epoch, this loader's epochs have ", batches));
}

void detail::throw_iterator_error(const char* what) { throw Error(str("[DataLoader] ", what)); }

}  // namespace tarn::data
