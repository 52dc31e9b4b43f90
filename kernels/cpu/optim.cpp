// Optimizer steps: all tensors in one parallel pass over their elements laid end to end.
#include <algorithm>
#include <optional>

#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/isa.h"
#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {
namespace {

// Elements worth a thread.
constexpr int64_t kGrain = 1 << 14;

// The loops below touch only element i of each array in step i, so the compiler need not check for
// overlap.
#if defined(__clang__)
#define TARN_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TARN_INDEPENDENT _Pragma("GCC ivdep")
#endif

// A piece of a parameter: n elements of each array.
template <class T>
struct Piece {
  T* param;
  const T* grad;
  T* state[3];
};

template <class T>
struct SgdBody {
  TARN_HD static void run(const SgdUpdate<T>* update, const Piece<T>* piece, int64_t n) {
    const SgdUpdate<T> u = *update;
    const Piece<T> p = *piece;
    if (p.state[0] == nullptr) {
      TARN_INDEPENDENT
      for (int64_t i = 0; i < n; ++i) p.param[i] = u.without_momentum(p.param[i], p.grad[i]);
    } else {
      TARN_INDEPENDENT
      for (int64_t i = 0; i < n; ++i) {
        p.param[i] = u.with_momentum(p.param[i], p.grad[i], p.state[0][i]);
      }
    }
  }
};

template <class T>
struct AdamBody {
  TARN_HD static void run(const AdamUpdate<T>* update, const Piece<T>* piece, int64_t n) {
    const AdamUpdate<T> u = *update;
    const Piece<T> p = *piece;
    if (p.state[2] == nullptr) {
      TARN_INDEPENDENT
      for (int64_t i = 0; i < n; ++i) {
        T unused = 0;
        p.param[i] =
            u.template apply<false>(p.param[i], p.grad[i], p.state[0][i], p.state[1][i], unused);
      }
    } else {
      TARN_INDEPENDENT
      for (int64_t i = 0; i < n; ++i) {
        p.param[i] = u.template apply<true>(p.param[i], p.grad[i], p.state[0][i], p.state[1][i],
                                            p.state[2][i]);
      }
    }
  }
};

template <class Body, class T, class Update>
void run_piece(const Update& update, const Piece<T>& piece, int64_t n) {
  select_isa<Body, const Update*, const Piece<T>*, int64_t>()(&update, &piece, n);
}

// 16-bit parameters: converted to float a chunk at a time and back.
template <class Body, class Update>
void run_narrow(const Update& update, const OptimTensor& tensor, int states, int64_t begin,
                int64_t end) {
  constexpr int64_t kChunk = 512;
  float param[kChunk], grad[kChunk], state[3][kChunk];
  Piece<float> piece{param, grad, {nullptr, nullptr, nullptr}};
  for (int s = 0; s < states; ++s) piece.state[s] = state[s];
  const Converter load = converter(kFloat, tensor.dtype), store = converter(tensor.dtype, kFloat);
  for (int64_t i = begin; i < end; i += kChunk) {
    const int64_t n = std::min(kChunk, end - i);
    const auto at = [&](void* array) { return static_cast<uint16_t*>(array) + i; };
    load(param, 1, at(tensor.param), 1, n);
    load(grad, 1, static_cast<const uint16_t*>(tensor.grad) + i, 1, n);
    for (int s = 0; s < states; ++s) load(state[s], 1, at(tensor.state[s]), 1, n);
    run_piece<Body>(update, piece, n);
    store(at(tensor.param), 1, param, 1, n);
    for (int s = 0; s < states; ++s) store(at(tensor.state[s]), 1, state[s], 1, n);
  }
}

template <class Body, class T, class Update>
void run_direct(const Update& update, const OptimTensor& tensor, int states, int64_t begin,
                int64_t end) {
  Piece<T> piece{
      static_cast<T*>(tensor.param) + begin, static_cast<const T*>(tensor.grad) + begin, {}};
  for (int s = 0; s < states; ++s) piece.state[s] = static_cast<T*>(tensor.state[s]) + begin;
  run_piece<Body>(update, piece, end - begin);
}

// The constants of an update, kept while tensors agree on what they depend on: powers are slow.
template <class Update>
class CachedUpdate {
 public:
  template <class Step>
  const Update& get(const Step& step, const OptimTensor& tensor) {
    if (!update_ || step_ != tensor.step || first_step_ != tensor.first_step) {
      update_.emplace(step, tensor);
      step_ = tensor.step;
      first_step_ = tensor.first_step;
    }
    return *update_;
  }

 private:
  std::optional<Update> update_;
  double step_ = 0;
  bool first_step_ = false;
};

// Updates all tensors, which have `states` state arrays each, in parallel.
template <template <class> class Body, template <class> class Update, class Step>
void step_all(const Step& step, int states, const OptimTensor* tensors, int64_t count) {
  int64_t total = 0;
  for (int64_t t = 0; t < count; ++t) total += tensors[t].numel;
  parallel_for(0, total, kGrain, [&](int64_t begin, int64_t end) {
    CachedUpdate<Update<float>> update;
    CachedUpdate<Update<double>> double_update;
    int64_t start = 0;  // of tensor t among all elements
    for (int64_t t = 0; t < count && start < end; start += tensors[t++].numel) {
      const OptimTensor& tensor = tensors[t];
      const int64_t from = std::max(begin - start, int64_t{0});
      const int64_t to = std::min(end - start, tensor.numel);
      if (from >= to) continue;
      if (tensor.dtype == kDouble) {
        run_direct<Body<double>, double>(double_update.get(step, tensor), tensor, states, from, to);
      } else if (tensor.dtype == kFloat) {
        run_direct<Body<float>, float>(update.get(step, tensor), tensor, states, from, to);
      } else {
        run_narrow<Body<float>>(update.get(step, tensor), tensor, states, from, to);
      }
    }
  });
}

}  // namespace

void sgd_step(const SgdStep& step, const OptimTensor* tensors, int64_t count) {
  step_all<SgdBody, SgdUpdate>(step, step.momentum == 0 ? 0 : 1, tensors, count);
}

void adam_step(const AdamStep& step, const OptimTensor* tensors, int64_t count) {
  step_all<AdamBody, AdamUpdate>(step, step.amsgrad ? 3 : 2, tensors, count);
}

}  // namespace tarn::cpu
