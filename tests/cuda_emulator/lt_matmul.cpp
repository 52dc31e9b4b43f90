// cublasLtMatmul and the question which algorithm to use.
#include <cmath>
#include <mutex>

#include "tarn/tests/cuda_emulator/api.h"
#include "tarn/tests/cuda_emulator/lt_epilogue.h"
#include "tarn/tests/cuda_emulator/multiply.h"
#include "tarn/tests/cuda_emulator/stream.h"

using namespace cuda_emulator;
using namespace cuda_emulator::lt;

namespace {

// A tensor core rounds float32 to 10 bits of mantissa before it multiplies.
double round_to_tf32(double value) {
  auto single = static_cast<float>(value);
  if (!std::isfinite(single)) return single;
  std::uint32_t bits;
  std::memcpy(&bits, &single, sizeof bits);
  bits = (bits + 0x1000u) & ~0x1FFFu;
  std::memcpy(&single, &bits, sizeof bits);
  return single;
}

// op(M) of one batch, packed column by column.
std::vector<double> pack(const void* memory, const Layout& l, bool transposed, std::uint64_t batch,
                         bool tf32) {
  std::vector<double> packed(l.rows * l.columns);
  std::uint64_t offset = batch * static_cast<std::uint64_t>(l.stride);
  for (std::uint64_t j = 0; j < l.columns; ++j)
    for (std::uint64_t i = 0; i < l.rows; ++i) {
      double value = load(memory, offset + j * static_cast<std::uint64_t>(l.ld) + i, l.type);
      if (tf32) value = round_to_tf32(value);
      packed[transposed ? i * l.columns + j : j * l.rows + i] = value;
    }
  return packed;
}

void run(const Problem& p, double alpha, double beta, const void* a, const void* b, const void* c,
         void* d) {
  bool tf32 = p.a.type == CUDA_R_32F && p.op.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  std::vector<double> product(p.m * p.n);
  for (std::uint64_t batch = 0; batch < static_cast<std::uint64_t>(p.d.batches); ++batch) {
    std::vector<double> left = pack(a, p.a, p.op.trans_a != CUBLAS_OP_N, batch, tf32);
    std::vector<double> right = pack(b, p.b, p.op.trans_b != CUBLAS_OP_N, batch, tf32);
    multiply(left.data(), right.data(), product.data(), p.m, p.n, p.k);
    for (double& value : product) value *= alpha;
    if (beta != 0) {
      std::vector<double> old = pack(c, p.c, false, batch, false);
      for (std::size_t e = 0; e < product.size(); ++e) product[e] += beta * old[e];
    }
    finish(p, batch, product, left, right, d);
  }
}

// What a call without an algorithm chooses one by: its own pointers.
Preference preference_for(std::uint64_t workspace, const void* a, const void* b, const void* c,
                          const void* d) {
  const void* pointers[] = {a, b, c, d};
  Preference preference;
  preference.workspace = workspace;
  for (int i = 0; i < 4; ++i)
    while (reinterpret_cast<std::uintptr_t>(pointers[i]) % preference.alignment[i] != 0)
      preference.alignment[i] /= 2;
  return preference;
}

template <class Body>
cublasStatus_t lt_call(const char* function, Body body) {
  std::lock_guard lock(big_lock());
  if (check_call(function) != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
  return failure_on_request(function) ? CUBLAS_STATUS_EXECUTION_FAILED : body();
}

}  // namespace

extern "C" cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t op, cublasLtMatrixLayout_t a,
    cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
    cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t* results,
    int* found) {
  return lt_call("cublasLtMatmulAlgoGetHeuristic", [&] {
    *found = 0;
    if (!handle || !preference || wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
    Problem p;
    if (auto status = make_problem(p, op, a, b, c, d)) return status;
    Algorithm algorithm = choose(p, get<Preference>(preference));
    *results = {};
    put(&results->algo, algorithm);
    results->workspaceSize = algorithm.workspace;
    results->state = CUBLAS_STATUS_SUCCESS;
    results->wavesCount = 1;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
  });
}

extern "C" cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t op,
                                         const void* alpha, const void* a,
                                         cublasLtMatrixLayout_t a_layout, const void* b,
                                         cublasLtMatrixLayout_t b_layout, const void* beta,
                                         const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                                         cublasLtMatrixLayout_t d_layout,
                                         const cublasLtMatmulAlgo_t* algo, void* workspace,
                                         std::size_t workspace_bytes, cudaStream_t stream_handle) {
  return lt_call("cublasLtMatmul", [&] {
    CUstream_st* stream = find_stream(stream_handle);
    if (!handle || !stream || !alpha || !beta) return CUBLAS_STATUS_INVALID_VALUE;
    Problem p;
    if (auto status = make_problem(p, op, a_layout, b_layout, c_layout, d_layout)) return status;
    Algorithm algorithm =
        algo ? get<Algorithm>(algo) : choose(p, preference_for(workspace_bytes, a, b, c, d));
    if (!fits(algorithm, p)) {
      complain("the algorithm was chosen for another problem");
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (workspace_bytes < algorithm.workspace) {
      complain("a workspace of %zu bytes; the algorithm needs %llu", workspace_bytes,
               static_cast<unsigned long long>(algorithm.workspace));
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    bool on_device = p.op.pointers == CUBLASLT_POINTER_MODE_DEVICE;
    double host_beta = on_device ? 1 : load(beta, 0, p.op.scale);
    double host_alpha = on_device ? 1 : load(alpha, 0, p.op.scale);

    auto operands = list_operands(p, algorithm, a, b, c, d, host_beta != 0, workspace);
    std::vector<ArgumentWord> words;
    for (const Operand& o : operands) {
      if (auto status = check_operand(o, stream->device)) return status;
      words.push_back({reinterpret_cast<std::uintptr_t>(o.memory), true});
    }
    // C alone may be D.
    for (std::size_t i = 1; i < operands.size(); ++i)
      if (overlap(operands[0], operands[i]) && !(c == d && operands[i].name[0] == 'C')) {
        complain("D overlaps %s", operands[i].name);
        return CUBLAS_STATUS_INVALID_VALUE;
      }

    Operation operation{[=, spoiled = algorithm.workspace] {
                          double scale = on_device ? load(alpha, 0, p.op.scale) : host_alpha;
                          double keep = on_device ? load(beta, 0, p.op.scale) : host_beta;
                          run(p, scale, keep, a, b, c, d);
                          if (spoiled > 0) std::memset(workspace, 0xAB, spoiled);
                        },
                        nullptr, std::move(words)};
    return submit(stream, std::move(operation)) == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                                               : CUBLAS_STATUS_EXECUTION_FAILED;
  });
}
