// Products by cuBLASLt. Describing one and asking for an algorithm takes longer than starting it,
// so both are kept for the shapes used last.
#include "tarn/kernels/cuda/gemm.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>

#include "tarn/device/cuda/runtime.h"
#include "tarn/device/cuda_graph.h"
#include "tarn/kernels/cuda/cublas.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/matmul_precision.h"

namespace tarn::cuda {
namespace {

bool is_row_major(const Matrix& x, int64_t rows, int64_t columns) {
  return (x.column == 1 || columns == 1) && (x.row >= columns || rows == 1);
}

// A matrix as cuBLASLt wants it described. Its matrices are column-major: a row-major one is the
// transpose of what it sees, so it is given out^T = b^T a^T.
struct Operand {
  Operand(const Matrix& x, int64_t rows, int64_t columns)
      : transposed(!is_row_major(x, rows, columns)),
        rows(transposed ? rows : columns),
        columns(transposed ? columns : rows),
        leading(this->columns == 1 ? this->rows
                : transposed       ? x.column
                                   : x.row),
        batch(x.batch) {}
  int64_t transposed;
  int64_t rows, columns, leading, batch;
};

// The largest power of two up to 256 that divides an address.
int64_t alignment(const void* data) {
  return int64_t{1} << std::countr_zero(reinterpret_cast<uintptr_t>(data) | 256u);
}

// What a description and its algorithm depend on.
using Key = std::array<int64_t, 19>;
struct KeyHash {
  size_t operator()(const Key& key) const {
    uint64_t hash = 0xCBF29CE484222325u;
    for (const int64_t word : key) {
      hash = (hash ^ static_cast<uint64_t>(word)) * 0x9E3779B97F4A7C15u;
      hash ^= hash >> 29;
    }
    return static_cast<size_t>(hash);
  }
};

template <auto kFunction>
struct Destroy {
  template <class T>
  void operator()(T* description) const {
    (cublas_lt().*kFunction)(description);
  }
};
using MatmulDesc =
    std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy<&CublasLt::cublasLtMatmulDescDestroy>>;
using Layout =
    std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy<&CublasLt::cublasLtMatrixLayoutDestroy>>;
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t,
                                   Destroy<&CublasLt::cublasLtMatmulPreferenceDestroy>>;

struct Types {
  cudaDataType_t data, scale;
  cublasComputeType_t compute;
};
Types types_of(ScalarType dtype) {
  switch (dtype) {
    case kDouble:
      return {CUDA_R_64F, CUDA_R_64F, CUBLAS_COMPUTE_64F};
    case kHalf:
      return {CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F};
    case kBFloat16:
      return {CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F};
    default:
      return {CUDA_R_32F, CUDA_R_32F,
              tf32_matmul_allowed() ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F};
  }
}

cublasLtEpilogue_t epilogue_of(const Gemm& gemm) {
  if (gemm.a_sums) return CUBLASLT_EPILOGUE_BGRADB;  // a is cuBLASLt's B
  if (gemm.bias) return gemm.relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
  return gemm.relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

// What cuBLAS itself takes: without it, the fastest algorithms of these generations are left out.
size_t workspace_limit() {
  int generation = 0;
  TARN_CUDA_CHECK(
      cudaDeviceGetAttribute(&generation, cudaDevAttrComputeCapabilityMajor, selected()));
  return size_t{generation == 9 || generation == 10 ? 32u : 4u} << 20;
}

// A described product and the algorithm chosen for it.
struct Plan {
  MatmulDesc matmul;
  Layout left, right, out;  // in cuBLASLt's order: b, a, out
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace = 0;
  bool supported = false;
  std::optional<bool> keeps_nan = {};  // whether its ReLU does, once that is known
};

template <class T>
void set(const MatmulDesc& matmul, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  TARN_CUBLAS_CHECK(
      cublas_lt().cublasLtMatmulDescSetAttribute(matmul.get(), attribute, &value, sizeof value));
}

// The vector of the epilogue: one that is added, or one that is written.
void set_vector(const MatmulDesc& matmul, const Gemm& gemm) {
  const void* vector = gemm.a_sums ? gemm.a_sums : gemm.bias;
  if (vector) set(matmul, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
}

Layout describe(cudaDataType_t type, const Operand& x, int64_t batches) {
  const CublasLt& lt = cublas_lt();
  cublasLtMatrixLayout_t layout;
  TARN_CUBLAS_CHECK(lt.cublasLtMatrixLayoutCreate(&layout, type, static_cast<uint64_t>(x.rows),
                                                  static_cast<uint64_t>(x.columns), x.leading));
  Layout owner(layout);
  if (batches > 1) {
    const auto count = static_cast<int32_t>(batches);
    TARN_CUBLAS_CHECK(lt.cublasLtMatrixLayoutSetAttribute(
        layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
    TARN_CUBLAS_CHECK(lt.cublasLtMatrixLayoutSetAttribute(
        layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &x.batch, sizeof x.batch));
  }
  return owner;
}

Plan make_plan(const Gemm& gemm, const Types& types, const Operand& a, const Operand& b,
               const Operand& out) {
  const CublasLt& lt = cublas_lt();
  Plan plan;
  cublasLtMatmulDesc_t matmul;
  TARN_CUBLAS_CHECK(lt.cublasLtMatmulDescCreate(&matmul, types.compute, types.scale));
  plan.matmul.reset(matmul);
  const auto operation = [](const Operand& x) { return x.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(plan.matmul, CUBLASLT_MATMUL_DESC_TRANSA, operation(b));
  set(plan.matmul, CUBLASLT_MATMUL_DESC_TRANSB, operation(a));
  set(plan.matmul, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(gemm));
  set_vector(plan.matmul, gemm);
  plan.left = describe(types.data, b, gemm.batches);
  plan.right = describe(types.data, a, gemm.batches);
  plan.out = describe(types.data, out, gemm.batches);

  cublasLtMatmulPreference_t created;
  TARN_CUBLAS_CHECK(lt.cublasLtMatmulPreferenceCreate(&created));
  const Preference preference(created);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    TARN_CUBLAS_CHECK(
        lt.cublasLtMatmulPreferenceSetAttribute(created, attribute, &value, sizeof value));
  };
  const auto bytes = [](const void* data) { return static_cast<uint32_t>(alignment(data)); };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_limit());
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, bytes(gemm.b.data));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, bytes(gemm.a.data));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, bytes(gemm.out.data));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, bytes(gemm.out.data));

  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const cublasStatus_t status = lt.cublasLtMatmulAlgoGetHeuristic(
      cublas_lt_handle(), matmul, plan.left.get(), plan.right.get(), plan.out.get(), plan.out.get(),
      created, 1, &result, &found);
  // An invalid value is how some versions refuse a problem beyond their limits.
  if (status != CUBLAS_STATUS_SUCCESS && status != CUBLAS_STATUS_NOT_SUPPORTED &&
      status != CUBLAS_STATUS_INVALID_VALUE) {
    fail(status, "cublasLtMatmulAlgoGetHeuristic");
  }
  plan.supported = status == CUBLAS_STATUS_SUCCESS && found > 0;
  plan.algorithm = result.algo;
  plan.workspace = result.workspaceSize;
  return plan;
}

cublasStatus_t run(const Plan& plan, const Gemm& gemm, double alpha) {
  const float single_alpha = static_cast<float>(alpha), beta = static_cast<float>(gemm.beta);
  const bool wide = gemm.dtype == kDouble;
  const Scratch workspace(plan.workspace);
  return cublas_lt().cublasLtMatmul(cublas_lt_handle(), plan.matmul.get(),
                                    wide ? static_cast<const void*>(&alpha) : &single_alpha,
                                    gemm.b.data, plan.left.get(), gemm.a.data, plan.right.get(),
                                    wide ? static_cast<const void*>(&gemm.beta) : &beta,
                                    gemm.out.data, plan.out.get(), gemm.out.data, plan.out.get(),
                                    &plan.algorithm, workspace.data(), plan.workspace, stream());
}

// Whether the ReLU of the plan makes NaN of NaN, as torch.relu does. NVIDIA does not say, so it is
// tried, once, with an alpha of NaN and where the result is to be written. Not while recording,
// when nothing runs.
bool keeps_nan(Plan& plan, const Gemm& gemm) {
  if (!plan.keeps_nan && !is_current_stream_capturing()) {
    alignas(8) char element[8] = {};
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (run(plan, gemm, nan) == CUBLAS_STATUS_SUCCESS)
      read_back(element, gemm.out.data, static_cast<size_t>(element_size(gemm.dtype)));
    plan.keeps_nan = std::isnan(load<double>(element, gemm.dtype, 0));
  }
  return plan.keeps_nan.value_or(false);
}

// The plans used last. Each thread has its own, because running a plan changes it.
class PlanCache {
 public:
  template <class Make>
  Plan& get(const Key& key, Make make) {
    if (const auto found = places_.find(key); found != places_.end()) {
      plans_.splice(plans_.begin(), plans_, found->second);
      return plans_.front().second;
    }
    plans_.emplace_front(key, make());
    places_.emplace(key, plans_.begin());
    if (plans_.size() > kCapacity) {
      places_.erase(plans_.back().first);
      plans_.pop_back();
    }
    return plans_.front().second;
  }

 private:
  static constexpr size_t kCapacity = 512;
  std::list<std::pair<Key, Plan>> plans_;
  std::unordered_map<Key, std::list<std::pair<Key, Plan>>::iterator, KeyHash> places_;
};

}  // namespace

bool is_addressable(const Matrix& x, int64_t rows, int64_t columns) {
  return is_row_major(x, rows, columns) ||
         is_row_major({x.data, x.column, x.row, x.batch}, columns, rows);
}

bool gemm_lt(const Gemm& gemm) {
  if (gemm.relu && gemm.beta != 0) return false;  // keeps_nan() would destroy what is added
  const Types types = types_of(gemm.dtype);
  const Operand a(gemm.a, gemm.m, gemm.k), b(gemm.b, gemm.k, gemm.n), out(gemm.out, gemm.m, gemm.n);
  const Key key{selected(),
                types.data,
                types.compute,
                epilogue_of(gemm),
                gemm.batches,
                gemm.m,
                gemm.n,
                gemm.k,
                a.transposed,
                a.leading,
                a.batch,
                alignment(gemm.a.data),
                b.transposed,
                b.leading,
                b.batch,
                alignment(gemm.b.data),
                out.leading,
                out.batch,
                alignment(gemm.out.data)};
  thread_local PlanCache cache;
  Plan& plan = cache.get(key, [&] { return make_plan(gemm, types, a, b, out); });
  if (!plan.supported) return false;
  set_vector(plan.matmul, gemm);
  if (gemm.relu && !keeps_nan(plan, gemm)) return false;
  const cublasStatus_t status = run(plan, gemm, gemm.alpha);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return plan.supported = false;
  if (status != CUBLAS_STATUS_SUCCESS) fail(status, "cublasLtMatmul");
  return true;
}

}  // namespace tarn::cuda
