#include "tarn/tests/cuda_emulator/lt_problem.h"

#include "tarn/tests/cuda_emulator/api.h"
#include "tarn/tests/cuda_emulator/lt_epilogue.h"
#include "tarn/tests/cuda_emulator/memory.h"
#include "tarn/tests/cuda_emulator/settings.h"

namespace cuda_emulator::lt {
namespace {

constexpr std::uint64_t wanted_workspace = std::uint64_t{64} << 10;

// The rules of the types: float32 accumulation for what is at most float32, float64 for float64.
bool supported_types(const Problem& p) {
  if (p.a.type != p.b.type || p.c.type != p.d.type) return false;
  if (p.op.compute == CUBLAS_COMPUTE_64F || p.op.compute == CUBLAS_COMPUTE_64F_PEDANTIC)
    return p.op.scale == CUDA_R_64F && p.a.type == CUDA_R_64F && p.d.type == CUDA_R_64F;
  bool single = p.op.compute == CUBLAS_COMPUTE_32F || p.op.compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
                p.op.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  if (!single || p.op.scale != CUDA_R_32F) return false;
  if (p.a.type == CUDA_R_32F) return p.d.type == CUDA_R_32F;
  bool half = p.a.type == CUDA_R_16F || p.a.type == CUDA_R_16BF;
  return half && (p.d.type == p.a.type || p.d.type == CUDA_R_32F);
}

bool supported_epilogue(const Problem& p) {
  switch (p.op.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_RELU_AUX:
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DRELU:
    case CUBLASLT_EPILOGUE_DRELU_BGRAD:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU:
    case CUBLASLT_EPILOGUE_DGELU_BGRAD:
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB:
      break;
    default:
      return false;
  }
  const Settings& s = settings();
  return !s.lt_refuse_all && s.lt_refuse_epilogue != static_cast<int>(p.op.epilogue);
}

cublasStatus_t check_layout(const Layout& l, const char* name) {
  if (l.ld >= static_cast<std::int64_t>(l.rows) && l.batches >= 1) return CUBLAS_STATUS_SUCCESS;
  complain("matrix %s has %llu rows, leading dimension %lld and %d batches", name,
           static_cast<unsigned long long>(l.rows), static_cast<long long>(l.ld), l.batches);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t check_shapes(const Problem& p) {
  if (auto status = check_layout(p.a, "A")) return status;
  if (auto status = check_layout(p.b, "B")) return status;
  if (auto status = check_layout(p.c, "C")) return status;
  if (auto status = check_layout(p.d, "D")) return status;
  bool ta = p.op.trans_a != CUBLAS_OP_N, tb = p.op.trans_b != CUBLAS_OP_N;
  std::uint64_t m = ta ? p.a.columns : p.a.rows, n = tb ? p.b.rows : p.b.columns,
                k = tb ? p.b.columns : p.b.rows;
  bool match = p.k == k && p.m == m && p.n == n && p.c.rows == m && p.c.columns == n &&
               p.a.batches == p.d.batches && p.b.batches == p.d.batches &&
               p.c.batches == p.d.batches && m > 0 && n > 0 && k > 0;
  if (match) return CUBLAS_STATUS_SUCCESS;
  complain(
      "shapes do not match: op(A) %llu x %llu, op(B) %llu x %llu, C %llu x %llu, D %llu x "
      "%llu, batches %d, %d, %d, %d",
      static_cast<unsigned long long>(m), static_cast<unsigned long long>(p.k),
      static_cast<unsigned long long>(k), static_cast<unsigned long long>(n),
      static_cast<unsigned long long>(p.c.rows), static_cast<unsigned long long>(p.c.columns),
      static_cast<unsigned long long>(p.m), static_cast<unsigned long long>(p.n), p.a.batches,
      p.b.batches, p.c.batches, p.d.batches);
  return CUBLAS_STATUS_INVALID_VALUE;
}

// The auxiliary buffer's leading dimension counts bits for ReLU's mask, elements for GELU.
cublasStatus_t check_aux(const Problem& p) {
  if (!p.uses_aux()) return CUBLAS_STATUS_SUCCESS;
  std::int64_t unit = p.relu_mask() ? 128 : 8;
  if (p.op.aux_ld % unit == 0 && p.op.aux_ld >= static_cast<std::int64_t>(p.m) &&
      p.op.aux_stride % unit == 0)
    return CUBLAS_STATUS_SUCCESS;
  complain(
      "the auxiliary buffer has leading dimension %lld and batch stride %lld; both must be "
      "multiples of %lld, and the first at least %llu",
      static_cast<long long>(p.op.aux_ld), static_cast<long long>(p.op.aux_stride),
      static_cast<long long>(unit), static_cast<unsigned long long>(p.m));
  return CUBLAS_STATUS_INVALID_VALUE;
}

// What an algorithm was chosen by.
std::uint64_t fingerprint(const Problem& p) {
  std::uint64_t hash = 1469598103934665603u;
  auto mix = [&](std::uint64_t value) { hash = (hash ^ value) * 1099511628211u; };
  for (const Layout* l : {&p.a, &p.b, &p.c, &p.d}) {
    mix(l->type);
    mix(l->rows);
    mix(l->columns);
    mix(static_cast<std::uint64_t>(l->ld));
    mix(static_cast<std::uint64_t>(l->batches));
  }
  mix(p.op.compute);
  mix(p.op.epilogue);
  mix(static_cast<std::uint64_t>(p.op.trans_a) * 4 + static_cast<std::uint64_t>(p.op.trans_b));
  return hash;
}

Operand operand(const char* name, const void* memory, const Layout& l, std::uint64_t alignment) {
  std::uint64_t last =
      static_cast<std::uint64_t>(l.batches - 1) * static_cast<std::uint64_t>(l.stride) +
      (l.columns - 1) * static_cast<std::uint64_t>(l.ld) + l.rows;
  return {name, memory, last * element_bytes(l.type), alignment};
}

}  // namespace

cublasStatus_t make_problem(Problem& p, cublasLtMatmulDesc_t op, cublasLtMatrixLayout_t a,
                            cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                            cublasLtMatrixLayout_t d) {
  if (!op || !a || !b || !c || !d) return CUBLAS_STATUS_INVALID_VALUE;
  p.op = get<Descriptor>(op);
  p.a = get<Layout>(a);
  p.b = get<Layout>(b);
  p.c = get<Layout>(c);
  p.d = get<Layout>(d);
  p.m = p.d.rows;
  p.n = p.d.columns;
  p.k = p.op.trans_a == CUBLAS_OP_N ? p.a.columns : p.a.rows;
  if (auto status = check_shapes(p)) return status;
  if (!supported_types(p) || !supported_epilogue(p)) return CUBLAS_STATUS_NOT_SUPPORTED;
  return check_aux(p);
}

Algorithm choose(const Problem& p, const Preference& preference) {
  Algorithm chosen{};
  chosen.problem = fingerprint(p);
  chosen.workspace =
      preference.workspace < wanted_workspace ? preference.workspace : wanted_workspace;
  // No kernel needs more than its vector loads do.
  for (int i = 0; i < 4; ++i)
    chosen.alignment[i] = preference.alignment[i] < 16 ? preference.alignment[i] : 16;
  return chosen;
}

bool fits(const Algorithm& algorithm, const Problem& p) {
  return algorithm.problem == fingerprint(p);
}

cublasStatus_t check_operand(const Operand& o, int device) {
  int home = device_of(o.memory);
  const Block* block = find_block(o.memory);
  if (home < 0 || !block || !(reachable_from(device) >> home & 1)) {
    complain("%s is %p, %s; the stream is of cuda:%d", o.name, o.memory,
             o.memory ? describe(o.memory).c_str() : "null", device);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  auto room =
      static_cast<std::uint64_t>(block->begin + block->size - static_cast<const char*>(o.memory));
  if (o.bytes > room) {
    complain("%s reaches over %llu bytes, its allocation over %llu", o.name,
             static_cast<unsigned long long>(o.bytes), static_cast<unsigned long long>(room));
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (reinterpret_cast<std::uintptr_t>(o.memory) % o.alignment != 0) {
    complain("%s at %p is not aligned to the %llu bytes that the algorithm was chosen for", o.name,
             o.memory, static_cast<unsigned long long>(o.alignment));
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  return CUBLAS_STATUS_SUCCESS;
}

bool overlap(const Operand& x, const Operand& y) {
  const auto *a = static_cast<const char*>(x.memory), *b = static_cast<const char*>(y.memory);
  return a < b + y.bytes && b < a + x.bytes;
}

std::vector<Operand> list_operands(const Problem& p, const Algorithm& algorithm, const void* a,
                                   const void* b, const void* c, void* d, bool reads_c,
                                   void* workspace) {
  std::vector<Operand> all = {operand("D", d, p.d, algorithm.alignment[3]),
                              operand("A", a, p.a, algorithm.alignment[0]),
                              operand("B", b, p.b, algorithm.alignment[1])};
  if (reads_c) all.push_back(operand("C", c, p.c, algorithm.alignment[2]));
  auto batches = static_cast<std::uint64_t>(p.d.batches - 1);
  if (p.uses_bias()) {
    std::uint64_t count = p.sums_b() ? p.n : p.m, size = element_bytes(p.bias_type());
    all.push_back({"the bias", p.op.bias,
                   (batches * static_cast<std::uint64_t>(p.op.bias_stride) + count) * size, size});
  }
  if (p.uses_aux()) {
    std::uint64_t count = batches * static_cast<std::uint64_t>(p.op.aux_stride) +
                          (p.n - 1) * static_cast<std::uint64_t>(p.op.aux_ld) + p.m;
    std::uint64_t bytes = p.relu_mask() ? (count + 7) / 8 : count * element_bytes(p.aux_type());
    all.push_back({"the auxiliary buffer", p.op.aux, bytes, 16});
  }
  if (algorithm.workspace > 0) all.push_back({"the workspace", workspace, algorithm.workspace, 16});
  return all;
}

}  // namespace cuda_emulator::lt
