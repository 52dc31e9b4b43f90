// Optimizer steps: the tensors of a step are cut into chunks, one per block, and as many tensors as
// a kernel's parameters have room for go into one launch.
#include <algorithm>
#include <bit>

#include "tarn/device/capture.h"
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/launch.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/optim_ops.h"

namespace tarn::cuda {
namespace {

constexpr int64_t kMaxChunk = 1 << 12, kMinChunk = 1 << 11;

// The rules of an element: the new parameter is returned, its state updated.
template <class C>
struct Sgd {
  static constexpr int kStates = 0;
  SgdUpdate<C> update;
  TARN_HD C operator()(C param, C grad, C*) const { return update.without_momentum(param, grad); }
};
template <class C>
struct SgdMomentum {
  static constexpr int kStates = 1;
  SgdUpdate<C> update;
  TARN_HD C operator()(C param, C grad, C* state) const {
    return update.with_momentum(param, grad, state[0]);
  }
};
template <class C>
struct Adam {
  static constexpr int kStates = 2;
  AdamUpdate<C> update;
  TARN_HD C operator()(C param, C grad, C* state) const {
    C unused = 0;
    return update.template apply<false>(param, grad, state[0], state[1], unused);
  }
};
template <class C>
struct Amsgrad {
  static constexpr int kStates = 3;
  AdamUpdate<C> update;
  TARN_HD C operator()(C param, C grad, C* state) const {
    return update.template apply<true>(param, grad, state[0], state[1], state[2]);
  }
};

// A kernel parameter: tensors that share a rule. Chunk c belongs to the last tensor whose first
// chunk is not above c.
struct Batch {
  static constexpr int kMaxTensors = 72;
  int count;
  int64_t chunk;  // elements
  unsigned first_chunk[kMaxTensors];
  struct {
    void* param;
    const void* grad;
    void* state[3];
    int64_t numel;
  } tensor[kMaxTensors];
};

template <class T, class C, class Rule, int kCount>
__device__ void update_some(const Rule& rule, T* param, const T* grad, T* const* state) {
  struct alignas(sizeof(T) * kCount) Some {
    T v[kCount];
  };
  constexpr int kStates = Rule::kStates;
  Some p = *reinterpret_cast<Some*>(param), s[kStates + 1];
  const Some g = *reinterpret_cast<const Some*>(grad);
  for (int k = 0; k < kStates; ++k) s[k] = *reinterpret_cast<Some*>(state[k]);
  for (int i = 0; i < kCount; ++i) {
    C own[kStates + 1];
    for (int k = 0; k < kStates; ++k) own[k] = static_cast<C>(s[k].v[i]);
    p.v[i] = static_cast<T>(rule(static_cast<C>(p.v[i]), static_cast<C>(g.v[i]), own));
    for (int k = 0; k < kStates; ++k) s[k].v[i] = static_cast<T>(own[k]);
  }
  *reinterpret_cast<Some*>(param) = p;
  for (int k = 0; k < kStates; ++k) *reinterpret_cast<Some*>(state[k]) = s[k];
}

// A captured kernel takes its rule from `in_graph`, which changes between replays.
template <class T, class C, class Rule>
__global__ void update_chunks(Batch batch, Rule given, const Rule* in_graph) {
  const Rule rule = in_graph ? *in_graph : given;
  constexpr int kVector = 16 / sizeof(T);
  static_assert(Batch::kMaxTensors <= 128, "the steps below add up to 127");
  int number = 0;
  for (int step = 64; step > 0; step /= 2) {
    const int next = number + step;
    if (next < batch.count && batch.first_chunk[next] <= blockIdx.x) number = next;
  }
  const auto& tensor = batch.tensor[number];
  const int64_t start = (blockIdx.x - batch.first_chunk[number]) * batch.chunk;
  const int64_t n = min(batch.chunk, tensor.numel - start);
  T* const param = static_cast<T*>(tensor.param) + start;
  const T* const grad = static_cast<const T*>(tensor.grad) + start;
  T* state[Rule::kStates + 1];
  uintptr_t addresses = reinterpret_cast<uintptr_t>(param) | reinterpret_cast<uintptr_t>(grad);
  for (int k = 0; k < Rule::kStates; ++k) {
    state[k] = static_cast<T*>(tensor.state[k]) + start;
    addresses |= reinterpret_cast<uintptr_t>(state[k]);
  }
  const int64_t vectors = addresses % 16 == 0 ? n / kVector : 0;
  for (int64_t i = threadIdx.x; i < vectors; i += blockDim.x) {
    T* at[Rule::kStates + 1];
    for (int k = 0; k < Rule::kStates; ++k) at[k] = state[k] + i * kVector;
    update_some<T, C, Rule, kVector>(rule, param + i * kVector, grad + i * kVector, at);
  }
  for (int64_t i = vectors * kVector + threadIdx.x; i < n; i += blockDim.x) {
    T* at[Rule::kStates + 1];
    for (int k = 0; k < Rule::kStates; ++k) at[k] = state[k] + i;
    update_some<T, C, Rule, 1>(rule, param + i, grad + i, at);
  }
}

// Tensors that have one rule.
bool agree(const OptimTensor& a, const OptimTensor& b) {
  return a.dtype == b.dtype && a.step == b.step && a.first_step == b.first_step;
}

// Small steps use small chunks, so that they reach all of the device.
int64_t chunk_for(const OptimTensor* tensors, int64_t count) {
  int64_t total = 0;
  for (int64_t t = 0; t < count; ++t) total += tensors[t].numel;
  const auto share = static_cast<uint64_t>(total / (int64_t{4} * multiprocessors()) + 1);
  return std::clamp(static_cast<int64_t>(std::bit_ceil(share)), kMinChunk, kMaxChunk);
}

template <template <class> class Rule, class Step>
void launch_batch(const Step& step, const OptimTensor& first, const Batch& batch, unsigned chunks) {
  visit(first.dtype, [&]<class T>(T) {
    if constexpr (is_floating_point(ScalarTypeOf<T>)) {
      using C = std::conditional_t<std::is_same_v<T, double>, double, float>;
      const Rule<C> rule{{step, first}};
      const auto* in_graph = static_cast<const Rule<C>*>(graph_value(&rule, sizeof rule));
      if (is_before_replay()) return;
      launch(update_chunks<T, C, Rule<C>>, chunks, kBlockSize, 0, batch, rule, in_graph);
    }
  });
}

template <template <class> class Rule, class Step>
void step_all(const Step& step, const OptimTensor* tensors, int64_t count) {
  Batch batch{};
  batch.chunk = chunk_for(tensors, count);
  for (int64_t t = 0; t < count;) {
    const OptimTensor& first = tensors[t];
    batch.count = 0;
    int64_t chunks = 0;
    for (; t < count && batch.count < Batch::kMaxTensors && agree(first, tensors[t]); ++t) {
      const OptimTensor& next = tensors[t];
      const int64_t own = (next.numel + batch.chunk - 1) / batch.chunk;
      if (own == 0) continue;
      batch.first_chunk[batch.count] = static_cast<unsigned>(chunks);
      auto& tensor = batch.tensor[batch.count++];
      tensor.param = next.param;
      tensor.grad = next.grad;
      std::copy_n(next.state, 3, tensor.state);
      tensor.numel = next.numel;
      chunks += own;
    }
    if (chunks > 0) launch_batch<Rule>(step, first, batch, static_cast<unsigned>(chunks));
  }
}

}  // namespace

void sgd_step(const SgdStep& step, const OptimTensor* tensors, int64_t count) {
  if (step.momentum == 0) return step_all<Sgd>(step, tensors, count);
  step_all<SgdMomentum>(step, tensors, count);
}

void adam_step(const AdamStep& step, const OptimTensor* tensors, int64_t count) {
  if (step.amsgrad) return step_all<Amsgrad>(step, tensors, count);
  step_all<Adam>(step, tensors, count);
}

}  // namespace tarn::cuda
