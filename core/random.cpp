#include "tarn/core/random.h"

#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "tarn/core/factories.h"
#include "tarn/device/capture.h"
#include "tarn/device/cuda.h"

namespace tarn {
namespace {

// PyTorch's CPUGeneratorImplState (aten/src/ATen/CPUGeneratorImpl.cpp), byte for byte. Its engine
// counts down `left` numbers to the next refill and reads at `next`; both restart at a refill, and
// seeding leaves left = 1, next = 0.
struct CpuState {
  uint64_t seed;
  int32_t left, seeded;
  uint64_t next;
  uint64_t words[MersenneTwister::kWords];
  double normal_x, normal_y, normal_rho;
  int32_t normal_is_valid;
  int32_t padding;
  float float_normal;
  uint8_t float_normal_is_valid;
  uint8_t tail[3];
};
static_assert(sizeof(CpuState) == 5056);

// PyTorch's CUDA generator: the key and position of Philox.
struct CudaState {
  uint64_t seed, offset;
};

CpuState pack(const RandomEngine& engine) {
  CpuState s{};
  const auto& words = engine.twister.words();
  const bool fresh = engine.twister.position() == MersenneTwister::kWords &&
                     words == MersenneTwister(static_cast<uint32_t>(engine.seed)).words();
  s.seed = engine.seed;
  s.left = MersenneTwister::kWords + 1 - engine.twister.position();
  s.seeded = 1;
  s.next = fresh ? 0 : static_cast<uint64_t>(engine.twister.position());
  for (size_t i = 0; i < words.size(); ++i) s.words[i] = words[i];
  if (engine.has_next_normal) {
    s.normal_y = engine.next_normal;
    s.normal_is_valid = 1;
  }
  if (engine.has_next_float_normal) {
    s.float_normal = engine.next_float_normal;
    s.float_normal_is_valid = 1;
  }
  return s;
}

RandomEngine unpack(const CpuState& s) {
  constexpr int kWords = MersenneTwister::kWords;
  const bool used_up = s.left == 1 && (s.next == 0 || s.next == kWords);
  const bool reading =
      s.left > 1 && s.left <= kWords && s.next == static_cast<uint64_t>(kWords + 1 - s.left);
  if (s.seeded != 1 || !(used_up || reading)) {
    throw ValueError(str("[set_state] Invalid mt19937 state: seeded ", s.seeded, ", left ", s.left,
                         ", next ", s.next));
  }
  RandomEngine engine(s.seed);
  std::array<uint32_t, kWords> words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint32_t>(s.words[i]);
  engine.twister.set_state(words, used_up ? kWords : static_cast<int>(s.next));
  engine.has_next_normal = s.normal_is_valid != 0;
  engine.next_normal = s.normal_y;
  engine.has_next_float_normal = s.float_normal_is_valid != 0;
  engine.next_float_normal = s.float_normal;
  return engine;
}

template <class State>
Tensor to_bytes(const State& state) {
  Tensor bytes = empty({static_cast<int64_t>(sizeof state)}, kByte);
  std::memcpy(bytes.data_ptr(), &state, sizeof state);
  return bytes;
}

template <class State>
State from_bytes(const Tensor& bytes, Device device) {
  if (bytes.dtype() != kByte || bytes.numel() != static_cast<int64_t>(sizeof(State))) {
    throw ValueError(str("[set_state] the state of a generator on ", device,
                         " is a uint8 tensor of ", sizeof(State), " bytes, got ", bytes.dtype(),
                         " of shape ", bytes.sizes()));
  }
  const Tensor host = bytes.cpu().contiguous();
  State state;
  std::memcpy(&state, host.data_ptr(), sizeof state);
  return state;
}

uint64_t seed_of_the_system() {
  std::random_device device;
  const uint64_t high = device();
  return ((high << 32) | device()) & ((uint64_t{1} << 53) - 1);  // exact in a double, as PyTorch's
}

// The default generators; those of CUDA devices are made when first asked for.
struct Defaults {
  Generator cpu{Device(), seed_of_the_system()};
  std::mutex mutex;
  uint64_t cuda_seed = Generator::kDefaultSeed;
  std::array<std::unique_ptr<Generator>, 128> cuda;
};
Defaults& defaults() {
  static Defaults instance;
  return instance;
}

thread_local constinit ThreadSeedGuard* seed_guard = nullptr;

// What a captured step draws from: it begins, when replayed, where the generator then is, and takes
// the generator along. The generator itself is not touched by the capture.
RandomEngine& captured_engine(Generator& generator) {
  struct Known {
    Generator* generator;
    std::shared_ptr<RandomEngine> engine;
  };
  thread_local uint64_t capture = 0;
  thread_local std::vector<Known> known;
  if (std::exchange(capture, cuda::capture_id()) != cuda::capture_id()) known.clear();
  for (const Known& k : known) {
    if (k.generator == &generator) return *k.engine;
  }
  const auto engine = std::make_shared<RandomEngine>(0);
  cuda::each_replay({}, [&generator, engine] {
    const std::lock_guard lock(generator.mutex());
    RandomEngine& source = generator.engine();
    const CounterBase base{source.seed, source.offset};
    engine->on_device = static_cast<const CounterBase*>(cuda::graph_value(&base, sizeof base));
    if (cuda::is_before_replay()) source.offset += engine->offset;
  });
  known.push_back({&generator, engine});
  return *engine;
}

// A seed would be set once, and not in each replay.
void check_may_seed(const char* op, Device device) {
  if (device.is_cuda()) {
    cuda::check_not_capturing(op, "it happens once, not in each step. HINT: call it between steps");
  }
}

}  // namespace

Generator::Generator(Device device, uint64_t seed) : device_(with_index(device)), engine_(seed) {}

void Generator::manual_seed(uint64_t seed) {
  check_may_seed("manual_seed", device_);
  const std::lock_guard lock(mutex_);
  engine_.reseed(seed);
}

uint64_t Generator::seed() {
  const uint64_t seed = seed_of_the_system();
  manual_seed(seed);
  return seed;
}

uint64_t Generator::current_seed() const {
  const std::lock_guard lock(mutex_);
  return engine_.seed;
}

Tensor Generator::get_state() const {
  const std::lock_guard lock(mutex_);
  if (device_.is_cuda()) return to_bytes(CudaState{engine_.seed, engine_.offset});
  return to_bytes(pack(engine_));
}

void Generator::set_state(const Tensor& state) {
  check_may_seed("set_state", device_);
  RandomEngine engine;
  if (device_.is_cuda()) {
    const auto s = from_bytes<CudaState>(state, device_);
    engine.reseed(s.seed);
    engine.offset = s.offset;
  } else {
    engine = unpack(from_bytes<CpuState>(state, device_));
  }
  const std::lock_guard lock(mutex_);
  engine_ = engine;
}

ThreadSeedGuard::ThreadSeedGuard(uint64_t seed) noexcept : seed_(seed), outer_(seed_guard) {
  seed_guard = this;
}

ThreadSeedGuard::~ThreadSeedGuard() { seed_guard = outer_; }

Generator& default_generator(Device on) {
  const Device device = with_index(on);
  if (device.is_cpu() && seed_guard) [[unlikely]] {
    auto& own = seed_guard->generator_;
    return own ? *own : own.emplace(Device(), seed_guard->seed_);
  }
  Defaults& all = defaults();
  if (device.is_cpu()) return all.cpu;
  const std::lock_guard lock(all.mutex);
  auto& slot = all.cuda[static_cast<size_t>(device.index())];
  if (!slot) slot = std::make_unique<Generator>(device, all.cuda_seed);
  return *slot;
}

void manual_seed(uint64_t seed) {
  Defaults& all = defaults();
  all.cpu.manual_seed(seed);
  const std::lock_guard lock(all.mutex);
  all.cuda_seed = seed;
  for (auto& generator : all.cuda) {
    if (generator) generator->manual_seed(seed);
  }
}

void cuda::manual_seed(uint64_t seed) {
  if (!is_available()) return;
  default_generator(Device(kCUDA, current_device())).manual_seed(seed);
}

void cuda::manual_seed_all(uint64_t seed) {
  for (int64_t i = 0; i < device_count(); ++i)
    default_generator(Device(kCUDA, i)).manual_seed(seed);
}

Tensor get_rng_state(Device device) { return default_generator(device).get_state(); }

void set_rng_state(const Tensor& state, Device device) {
  default_generator(device).set_state(state);
}

std::vector<Device> detail::devices_with_generators() {
  std::vector<Device> devices = {Device()};
  Defaults& all = defaults();
  const std::lock_guard lock(all.mutex);
  for (const auto& generator : all.cuda) {
    if (generator) devices.push_back(generator->device());
  }
  return devices;
}

void detail::draw(const char* op, const Tensor& out, RandomKind kind, double a, double b,
                  int64_t low, int64_t high, Generator* generator) {
  const KernelTable& table = kernels(out.device());
  if (!table.random) missing_kernel(op, table);
  Generator& source = generator ? *generator : default_generator(out.device());
  if (source.device() != out.device()) {
    throw DeviceError(
        str("[", op, "] the tensor is on ", out.device(), ", the generator on ", source.device()));
  }
  if (out.numel() == 0) return;
  const bool captured = out.device().is_cuda() && cuda::capture_id() != 0;
  RandomEngine& engine = captured ? captured_engine(source) : source.engine();
  const std::lock_guard lock(source.mutex());
  table.random({.out = out.impl().view(),
                .kind = kind,
                .a = a,
                .b = b,
                .low = low,
                .high = high,
                .engine = &engine});
}

void detail::check_integer_range(const char* op, ScalarType dtype, int64_t low, int64_t high) {
  if (low >= high) {
    throw ValueError(str("[", op, "] random_ expects 'from' to be less than 'to', but got from=",
                         low, " >= to=", high));
  }
  if (is_floating_point(dtype)) return;
  visit(dtype, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T>) {
      const int64_t min = static_cast<int64_t>(std::numeric_limits<T>::min());
      const int64_t max = static_cast<int64_t>(std::numeric_limits<T>::max());
      if (low < min)
        throw ValueError(str("[", op, "] from is out of bounds for ", dtype, ": ", low));
      if (high - 1 > max)
        throw ValueError(str("[", op, "] to - 1 is out of bounds for ", dtype, ": ", high - 1));
    }
  });
}

}  // namespace tarn
