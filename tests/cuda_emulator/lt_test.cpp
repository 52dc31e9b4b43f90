#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>
#include <random>

#include "tarn/tests/cuda_emulator/testing.h"

using cuda_emulator::settings;

namespace {

std::vector<float> random_floats(std::size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(engine);
  return values;
}

template <class T>
std::vector<T> convert(const std::vector<float>& values) {
  std::vector<T> converted;
  for (float value : values) converted.push_back(static_cast<T>(value));
  return converted;
}

template <class T>
constexpr cudaDataType_t type_of() {
  if constexpr (std::is_same_v<T, double>) return CUDA_R_64F;
  if constexpr (std::is_same_v<T, float>) return CUDA_R_32F;
  if constexpr (std::is_same_v<T, __half>) return CUDA_R_16F;
  return CUDA_R_16BF;
}

// D (m x n) = op(A) op(B), all column-major and dense, with the descriptors that belong to it.
class Product {
 public:
  Product(cudaDataType_t type, bool ta, bool tb, std::uint64_t m, std::uint64_t n, std::uint64_t k,
          cublasComputeType_t compute = CUBLAS_COMPUTE_32F, int batches = 1) {
    bool wide = compute == CUBLAS_COMPUTE_64F;
    cublasLtCreate(&handle_);
    cublasLtMatmulDescCreate(&op_, compute, wide ? CUDA_R_64F : CUDA_R_32F);
    a_ = layout(type, ta ? k : m, ta ? m : k, batches);
    b_ = layout(type, tb ? n : k, tb ? k : n, batches);
    d_ = layout(type, m, n, batches);
    cublasLtMatmulPreferenceCreate(&preference_);
    if (ta) set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (tb) set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_T);
  }
  ~Product() {
    cublasLtMatmulPreferenceDestroy(preference_);
    for (cublasLtMatrixLayout_t l : {a_, b_, d_}) cublasLtMatrixLayoutDestroy(l);
    cublasLtMatmulDescDestroy(op_);
    cublasLtDestroy(handle_);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    REQUIRE(cublasLtMatmulDescSetAttribute(op_, attribute, &value, sizeof value) ==
            CUBLAS_STATUS_SUCCESS);
  }
  template <class T>
  void prefer(cublasLtMatmulPreferenceAttributes_t attribute, T value) {
    REQUIRE(cublasLtMatmulPreferenceSetAttribute(preference_, attribute, &value, sizeof value) ==
            CUBLAS_STATUS_SUCCESS);
  }
  cublasStatus_t find(cublasLtMatmulHeuristicResult_t& result) {
    int found = 0;
    cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle_, op_, a_, b_, d_, d_,
                                                           preference_, 1, &result, &found);
    REQUIRE(found == (status == CUBLAS_STATUS_SUCCESS));
    return status;
  }
  template <class Scale = float>
  cublasStatus_t run(const void* a, const void* b, void* d, cudaStream_t stream,
                     const cublasLtMatmulAlgo_t* algo = nullptr, void* workspace = nullptr,
                     std::size_t workspace_bytes = 0, Scale alpha = 1, Scale beta = 0) {
    return cublasLtMatmul(handle_, op_, &alpha, a, a_, b, b_, &beta, d, d_, d, d_, algo, workspace,
                          workspace_bytes, stream);
  }

 private:
  static cublasLtMatrixLayout_t layout(cudaDataType_t type, std::uint64_t rows,
                                       std::uint64_t columns, std::int32_t batches) {
    cublasLtMatrixLayout_t l;
    cublasLtMatrixLayoutCreate(&l, type, rows, columns, static_cast<std::int64_t>(rows));
    auto stride = static_cast<std::int64_t>(rows * columns);
    cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batches,
                                     sizeof batches);
    cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                     sizeof stride);
    return l;
  }

  cublasLtHandle_t handle_;
  cublasLtMatmulDesc_t op_;
  cublasLtMatrixLayout_t a_, b_, d_;
  cublasLtMatmulPreference_t preference_;
};

constexpr std::size_t M = 12, N = 7, K = 20;

// A stored k x m and B k x n: the product of a linear layer's weights and inputs.
double dot(const std::vector<float>& a, const std::vector<float>& b, std::size_t i, std::size_t j) {
  double sum = 0;
  for (std::size_t p = 0; p < K; ++p)
    sum += static_cast<double>(a[i * K + p]) * static_cast<double>(b[j * K + p]);
  return sum;
}

double tanh_gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

struct LinearLayer {
  Stream stream;
  std::vector<float> a = random_floats(M * K, 1), b = random_floats(N * K, 2),
                     bias = random_floats(M, 3);
  Buffer<float> a_device{a}, b_device{b}, bias_device{bias}, d{M * N};
  Product product{CUDA_R_32F, true, false, M, N, K};

  std::vector<float> run(cublasLtEpilogue_t epilogue) {
    product.set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    float* pointer = bias_device;
    product.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, pointer);
    REQUIRE(product.run(a_device, b_device, d, stream) == CUBLAS_STATUS_SUCCESS);
    return d.read(stream);
  }
  template <class F>
  void expect(const std::vector<float>& result, F wanted) {
    for (std::size_t j = 0; j < N; ++j)
      for (std::size_t i = 0; i < M; ++i)
        REQUIRE(result[j * M + i] == Approx(wanted(i, j)).margin(1e-5));
  }
};

}  // namespace

TEMPLATE_TEST_CASE("Matrix products of every type", "", double, float, __half, __nv_bfloat16) {
  bool wide = std::is_same_v<TestType, double>;
  double tolerance = wide ? 1e-12 : std::is_same_v<TestType, float> ? 1e-5 : 0.1;
  auto [ta, tb] =
      GENERATE(table<bool, bool>({{false, false}, {true, false}, {false, true}, {true, true}}));
  constexpr int batches = 2;
  Stream stream;
  auto a = convert<TestType>(random_floats(batches * M * K, 1));
  auto b = convert<TestType>(random_floats(batches * N * K, 2));
  Buffer<TestType> a_device(a), b_device(b),
      d(convert<TestType>(random_floats(batches * M * N, 3)));
  std::vector<TestType> old = d.read(stream);
  Product product(type_of<TestType>(), ta, tb, M, N, K,
                  wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F, batches);
  auto multiply = [&](auto scale) {
    return product.run(a_device, b_device, d, stream, nullptr, nullptr, 0, scale * 2, scale);
  };
  REQUIRE((wide ? multiply(1.0) : multiply(1.0f)) == CUBLAS_STATUS_SUCCESS);
  std::vector<TestType> result = d.read(stream);
  auto at = [](const std::vector<TestType>& v, std::size_t i) { return static_cast<double>(v[i]); };
  for (std::size_t q = 0; q < batches; ++q)
    for (std::size_t j = 0; j < N; ++j)
      for (std::size_t i = 0; i < M; ++i) {
        double sum = 0;
        for (std::size_t p = 0; p < K; ++p)
          sum += at(a, q * M * K + (ta ? i * K + p : p * M + i)) *
                 at(b, q * N * K + (tb ? p * N + j : j * K + p));
        std::size_t e = q * M * N + j * M + i;
        REQUIRE(at(result, e) == Approx(2 * sum + at(old, e)).margin(tolerance));
      }
}

TEST_CASE("Epilogues add the bias and apply the activation") {
  LinearLayer layer;
  auto linear = [&](std::size_t i, std::size_t j) {
    return dot(layer.a, layer.b, i, j) + static_cast<double>(layer.bias[i]);
  };
  layer.expect(layer.run(CUBLASLT_EPILOGUE_BIAS), linear);
  layer.expect(layer.run(CUBLASLT_EPILOGUE_RELU_BIAS),
               [&](auto i, auto j) { return std::fmax(linear(i, j), 0); });
  layer.expect(layer.run(CUBLASLT_EPILOGUE_GELU_BIAS),
               [&](auto i, auto j) { return tanh_gelu(linear(i, j)); });
}

TEST_CASE("ReLU's mask goes from the forward epilogue to the backward one") {
  LinearLayer layer;
  Buffer<unsigned char> mask(128 / 8 * N);
  unsigned char* aux = mask;
  layer.product.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
  layer.product.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{128});
  std::vector<float> forward = layer.run(CUBLASLT_EPILOGUE_RELU_AUX_BIAS);
  std::vector<float> backward = layer.run(CUBLASLT_EPILOGUE_DRELU_BGRAD);
  layer.expect(backward, [&](auto i, auto j) {
    return forward[j * M + i] > 0 ? dot(layer.a, layer.b, i, j) : 0;
  });
  std::vector<float> sums = layer.bias_device.read(layer.stream);
  for (std::size_t i = 0; i < M; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < N; ++j) sum += static_cast<double>(backward[j * M + i]);
    CHECK(sums[i] == Approx(sum).margin(1e-5));
  }
}

TEST_CASE("GELU's input goes from the forward epilogue to the backward one") {
  LinearLayer layer;
  Buffer<float> inputs(16 * N);
  float* aux = inputs;
  layer.product.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
  layer.product.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{16});
  layer.run(CUBLASLT_EPILOGUE_GELU_AUX_BIAS);
  std::vector<float> saved = inputs.read(layer.stream);
  std::vector<float> backward = layer.run(CUBLASLT_EPILOGUE_DGELU);
  layer.expect(backward, [&](auto i, auto j) {
    double x = static_cast<double>(saved[j * 16 + i]), h = 1e-5;
    return dot(layer.a, layer.b, i, j) * (tanh_gelu(x + h) - tanh_gelu(x - h)) / (2 * h);
  });
}

TEST_CASE("The sums over A and B are the gradients of a bias") {
  LinearLayer layer;
  layer.run(CUBLASLT_EPILOGUE_BGRADA);
  std::vector<float> sums = layer.bias_device.read(layer.stream);
  double first = 0;
  for (std::size_t p = 0; p < K; ++p) first += static_cast<double>(layer.a[p]);
  CHECK(sums[0] == Approx(first).margin(1e-5));
  layer.run(CUBLASLT_EPILOGUE_BGRADB);
  sums = layer.bias_device.read(layer.stream);
  double last = 0;
  for (std::size_t p = 0; p < K; ++p) last += static_cast<double>(layer.b[(N - 1) * K + p]);
  CHECK(sums[N - 1] == Approx(last).margin(1e-5));
}

TEST_CASE("TF32 rounds what it multiplies, float32 does not") {
  Stream stream;
  Buffer<float> one(std::vector<float>{1.0001f, 0, 0, 0}), d(4);
  Product exact(CUDA_R_32F, false, false, 1, 1, 1);
  REQUIRE(exact.run(one, one, d, stream) == CUBLAS_STATUS_SUCCESS);
  CHECK(d.read(stream)[0] == Approx(1.0001 * 1.0001));
  Product rounded(CUDA_R_32F, false, false, 1, 1, 1, CUBLAS_COMPUTE_32F_FAST_TF32);
  REQUIRE(rounded.run(one, one, d, stream) == CUBLAS_STATUS_SUCCESS);
  CHECK(d.read(stream)[0] == 1.0f);
}

TEST_CASE("An algorithm wants its workspace, its alignment and its own problem") {
  LinearLayer layer;
  Buffer<char> workspace(1 << 16);
  layer.product.prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{1} << 20);
  cublasLtMatmulHeuristicResult_t found;
  REQUIRE(layer.product.find(found) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(found.workspaceSize > 0);
  auto run = [&](float* d, std::size_t workspace_bytes) {
    return layer.product.run(layer.a_device, layer.b_device, d, layer.stream, &found.algo,
                             workspace, workspace_bytes);
  };
  CHECK(run(layer.d, found.workspaceSize) == CUBLAS_STATUS_SUCCESS);
  CHECK(run(layer.d, found.workspaceSize - 1) == CUBLAS_STATUS_INVALID_VALUE);
  Buffer<float> larger(M * N + 1);
  CHECK(run(larger + 1, found.workspaceSize) == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(layer.product.run(layer.a_device, layer.b_device, larger + 1, layer.stream) ==
        CUBLAS_STATUS_SUCCESS);
  layer.product.prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::uint32_t{4});
  REQUIRE(layer.product.find(found) == CUBLAS_STATUS_SUCCESS);
  CHECK(run(larger + 1, found.workspaceSize) == CUBLAS_STATUS_SUCCESS);
  layer.product.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_RELU);
  CHECK(run(layer.d, found.workspaceSize) == CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("Products that the device could not compute are refused") {
  LinearLayer layer;
  cublasLtMatmulHeuristicResult_t found;
  SECTION("a mask whose leading dimension is no multiple of 128 bits") {
    layer.product.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_RELU_AUX);
    layer.product.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{64});
    CHECK(layer.product.find(found) == CUBLAS_STATUS_INVALID_VALUE);
  }
  SECTION("an epilogue that is asked to be unsupported") {
    Setting refused(settings().lt_refuse_epilogue, static_cast<int>(CUBLASLT_EPILOGUE_BIAS));
    CHECK(layer.product.find(found) == CUBLAS_STATUS_SUCCESS);
    layer.product.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    CHECK(layer.product.find(found) == CUBLAS_STATUS_NOT_SUPPORTED);
  }
  SECTION("every algorithm, when that is asked for") {
    Setting refused(settings().lt_refuse_all, true);
    CHECK(layer.product.find(found) == CUBLAS_STATUS_NOT_SUPPORTED);
  }
  SECTION("a matrix that leaves its allocation") {
    Buffer<float> small(M * N - 1);
    CHECK(layer.product.run(layer.a_device, layer.b_device, small, layer.stream) ==
          CUBLAS_STATUS_INVALID_VALUE);
  }
  SECTION("a matrix in host memory") {
    CHECK(layer.product.run(layer.a.data(), layer.b_device, layer.d, layer.stream) ==
          CUBLAS_STATUS_INVALID_VALUE);
  }
  SECTION("a result over one of its factors") {
    Buffer<float> both(K * M);
    CHECK(layer.product.run(both, layer.b_device, both, layer.stream) ==
          CUBLAS_STATUS_INVALID_VALUE);
  }
  SECTION("a bias that is not there") {
    layer.product.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    CHECK(layer.product.run(layer.a_device, layer.b_device, layer.d, layer.stream) ==
          CUBLAS_STATUS_INVALID_VALUE);
  }
}
