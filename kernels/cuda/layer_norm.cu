// Layer normalization and its gradients. A few threads share a row and keep it in registers, unless
// it is too long for that: then they read it again, from the cache if it is not too long for that.
#include "tarn/kernels/cuda/block_merge.h"
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/op_math.h"

namespace tarn::cuda {
namespace {

constexpr int kAtOnce = 4;             // rows on their way to a thread that sums a column
constexpr int kRowsPerThread = 16;     // that it sums at least, where there are more
constexpr int64_t kManyBlocks = 1024;  // as many as keep a device busy

// kPack adjacent elements, which load and store at once.
template <class T, int kPack>
struct alignas(kPack * sizeof(T)) Pack {
  T v[kPack];
};

// `count` rows of n elements, one after another. The threads of a row go through it in tiles, of
// which each holds kHeld elements, kPack by kPack.
template <class T, int kPack, int kHeldBytes>
struct Rows {
  using V = ComputeType<T>;
  static constexpr int kHeld = kHeldBytes / static_cast<int>(sizeof(V));

  int64_t count, n;
  BlockShape block;

  Rows(int64_t rows, int64_t size)
      : count(rows), n(size), block(BlockShape::held_rows(rows, size, kHeld, kPack)) {}
  TARN_HD int64_t tile() const { return int64_t{block.depth} * kHeld; }
  TARN_HD bool in_one_tile() const { return n <= tile(); }
  // The calling thread's row, which may be beyond the last.
  __device__ int64_t row() const {
    return int64_t{blockIdx.x} * block.width + block.result(static_cast<int>(threadIdx.x));
  }
  // Calls f(k, i) for each k at which the thread holds a pack, elements i... of the row.
  template <class F>
  __device__ void for_packs(int64_t tile_start, F f) const {
    const int64_t rest = n - tile_start;
    const int size = static_cast<int>(rest < tile() ? rest : tile());
    const int place = block.place(static_cast<int>(threadIdx.x));
    for (int k = 0; k < kHeld; k += kPack) {
      const int i = (k / kPack * block.depth + place) * kPack;
      if (i < size) f(k, tile_start + i);
    }
  }
  // A pack from x[i] on, or `other` where x is null.
  __device__ static void read(const T* x, int64_t i, V other, V* to) {
    Pack<T, kPack> pack;
    if (x != nullptr) pack = *reinterpret_cast<const Pack<T, kPack>*>(x + i);
    for (int e = 0; e < kPack; ++e) to[e] = x != nullptr ? V(pack.v[e]) : other;
  }
  __device__ static void write(T* x, int64_t i, const V* from) {
    Pack<T, kPack> pack;
    for (int e = 0; e < kPack; ++e) pack.v[e] = T(from[e]);
    *reinterpret_cast<Pack<T, kPack>*>(x + i) = pack;
  }
  // What the thread holds of a tile of row x.
  __device__ void load(const T* x, int64_t tile_start, V (&held)[kHeld]) const {
    for_packs(tile_start, [&](int k, int64_t i) { read(x, i, V(0), held + k); });
  }
};

template <class V>
struct Statistics {
  V *mean, *scale;  // of each row

  Statistics(const View& v, int64_t rows) : mean(v.as<V>()), scale(mean + rows) {}
};

template <class T, int kPack>
using ForwardRows = Rows<T, kPack, 128>;
// Two of everything.
template <class T, int kPack>
using BackwardRows = Rows<T, kPack, 64>;

template <class T, int kPack>
__global__ void __launch_bounds__(kBlockSize)
    forward_kernel(ForwardRows<T, kPack> rows, const T* x, const T* weight, const T* bias,
                   ComputeType<T> eps, T* out, Statistics<ComputeType<T>> statistics) {
  using V = ComputeType<T>;
  TARN_SHARED(sums, gpu::Arr<V, kBlockSize>);
  TARN_SHARED(squares, gpu::Arr<V, kBlockSize>);
  const auto add = [](V a, V b) { return a + b; };
  const int64_t row = rows.row(), n = rows.n, end = row < rows.count ? n : 0;
  const V count = static_cast<V>(n);
  x += row * n;
  V held[rows.kHeld];

  V sum = 0;
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    rows.load(x, tile, held);
    V part = 0;
    rows.for_packs(tile, [&](int k, int64_t) {
      for (int e = 0; e < kPack; ++e) part += held[k + e];
    });
    sum += part;
  }
  const V mean = merge_all(rows.block, sums, sum, add) / count;
  V square = 0;
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    if (!rows.in_one_tile()) rows.load(x, tile, held);
    V part = 0;
    rows.for_packs(tile, [&](int k, int64_t) {
      for (int e = 0; e < kPack; ++e) part += (held[k + e] - mean) * (held[k + e] - mean);
    });
    square += part;
  }
  const V scale = math::rsqrt(merge_all(rows.block, squares, square, add) / count + eps);
  if (end == 0) return;
  if (rows.block.place(static_cast<int>(threadIdx.x)) == 0) {
    statistics.mean[row] = mean;
    statistics.scale[row] = scale;
  }
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    if (!rows.in_one_tile()) rows.load(x, tile, held);
    rows.for_packs(tile, [&](int k, int64_t i) {
      V w[kPack], b[kPack], y[kPack];
      rows.read(weight, i, V(1), w);
      rows.read(bias, i, V(0), b);
      for (int e = 0; e < kPack; ++e) y[e] = (held[k + e] - mean) * scale * w[e] + b[e];
      rows.write(out + row * n, i, y);
    });
  }
}

// The gradient of x. With p = grad_out * weight and z the normalized row it is
// scale * (p - mean(p) - z * mean(p * z)).
template <class T, int kPack>
__global__ void __launch_bounds__(kBlockSize)
    row_gradient_kernel(BackwardRows<T, kPack> rows, const T* grad_out, const T* x, const T* weight,
                        T* grad_in, Statistics<ComputeType<T>> statistics) {
  using V = ComputeType<T>;
  struct Sums {
    V p, pz;
  };
  TARN_SHARED(sums, gpu::Arr<Sums, kBlockSize>);
  const int64_t row = rows.row(), n = rows.n, end = row < rows.count ? n : 0;
  const V mean = end > 0 ? statistics.mean[row] : V(0);
  const V scale = end > 0 ? statistics.scale[row] : V(0);
  V p[rows.kHeld], z[rows.kHeld];
  const auto load = [&](int64_t tile) {
    rows.load(grad_out + row * n, tile, p);
    rows.load(x + row * n, tile, z);
    rows.for_packs(tile, [&](int k, int64_t i) {
      V w[kPack];
      rows.read(weight, i, V(1), w);
      for (int e = 0; e < kPack; ++e) {
        p[k + e] *= w[e];
        z[k + e] = (z[k + e] - mean) * scale;
      }
    });
  };

  Sums sum{0, 0};
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    load(tile);
    Sums part{0, 0};
    rows.for_packs(tile, [&](int k, int64_t) {
      for (int e = 0; e < kPack; ++e) {
        part.p += p[k + e];
        part.pz += p[k + e] * z[k + e];
      }
    });
    sum = {sum.p + part.p, sum.pz + part.pz};
  }
  const Sums all = merge_all(rows.block, sums, sum, [](const Sums& a, const Sums& b) {
    return Sums{a.p + b.p, a.pz + b.pz};
  });
  const V level = all.p / static_cast<V>(n), slope = all.pz / static_cast<V>(n);
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    if (!rows.in_one_tile()) load(tile);
    rows.for_packs(tile, [&](int k, int64_t i) {
      V gradient[kPack];
      for (int e = 0; e < kPack; ++e) gradient[e] = (p[k + e] - level - z[k + e] * slope) * scale;
      rows.write(grad_in + row * n, i, gradient);
    });
  }
}

// Columns of (rows, n), summed over as many chunks of rows as the grid has in y.
struct Columns {
  BlockShape block;
  int64_t rows, n, chunk;
};

// The parameters' gradients or, where there are several chunks, those of each. Either may be null.
template <class T, class Out>
__global__ void __launch_bounds__(kBlockSize)
    column_kernel(Columns columns, const T* grad_out, const T* x,
                  Statistics<ComputeType<T>> statistics, Out* weight, Out* bias) {
  using V = ComputeType<T>;
  struct Sums {
    V weight, bias;
  };
  TARN_SHARED(sums, gpu::Arr<Sums, kBlockSize>);
  const BlockShape& block = columns.block;
  const int thread = static_cast<int>(threadIdx.x), place = block.place(thread);
  const int64_t n = columns.n, column = int64_t{blockIdx.x} * block.width + block.result(thread);
  const int64_t begin = blockIdx.y * columns.chunk;
  const int64_t end = begin + columns.chunk < columns.rows ? begin + columns.chunk : columns.rows;
  Sums sum{0, 0};
  for (int64_t first = begin + place; column < n && first < end;
       first += int64_t{kAtOnce} * block.depth) {
    V g[kAtOnce], z[kAtOnce];
    for (int j = 0; j < kAtOnce; ++j) {
      const int64_t row = first + int64_t{j} * block.depth, at = row * n + column;
      g[j] = row < end ? V(grad_out[at]) : V(0);
      z[j] = row < end && weight != nullptr
                 ? (V(x[at]) - statistics.mean[row]) * statistics.scale[row]
                 : V(0);
    }
    for (int j = 0; j < kAtOnce; ++j) sum = {sum.weight + g[j] * z[j], sum.bias + g[j]};
  }
  sum = merge_places(block, sums, sum, block.depth, [](const Sums& a, const Sums& b) {
    return Sums{a.weight + b.weight, a.bias + b.bias};
  });
  if (place != 0 || column >= n) return;
  if (weight != nullptr) weight[blockIdx.y * n + column] = Out(sum.weight);
  if (bias != nullptr) bias[blockIdx.y * n + column] = Out(sum.bias);
}

template <class T>
void parameter_gradients(const LayerNormBackwardArgs& args) {
  using V = ComputeType<T>;
  const int64_t rows = args.statistics.sizes[1], n = args.x.numel() / rows;
  const BlockShape block = BlockShape::by_columns(n, rows);
  const int64_t most = std::max<int64_t>(1, kManyBlocks / block.tiles(n));
  const int64_t wanted = std::clamp<int64_t>(rows / (kRowsPerThread * block.depth), 1, most);
  const int64_t chunk = (rows + wanted - 1) / wanted, chunks = (rows + chunk - 1) / chunk;
  const Columns columns{block, rows, n, chunk};
  const auto sum = [&]<class Out>(Out* weight, Out* bias) {
    const dim3 blocks(static_cast<unsigned>(block.tiles(n)), static_cast<unsigned>(chunks));
    launch(column_kernel<T, Out>, blocks, kBlockSize, 0, columns, args.grad_out.as<const T>(),
           args.x.as<const T>(), Statistics<V>(args.statistics, rows), weight, bias);
  };
  if (chunks == 1) return sum(args.grad_weight.as<T>(), args.grad_bias.as<T>());
  const int64_t size = chunks * n, sizes[] = {n, chunks}, strides[] = {1, n};
  const Scratch memory(static_cast<size_t>(2 * size) * sizeof(V));
  const View* const outs[] = {&args.grad_weight, &args.grad_bias};
  V* parts[2];
  for (int k = 0; k < 2; ++k)
    parts[k] = outs[k]->data != nullptr ? memory.as<V>() + k * size : nullptr;
  sum(parts[0], parts[1]);
  for (int k = 0; k < 2; ++k) {
    if (parts[k] == nullptr) continue;
    sum_rows(reduce, {outs[k]->data, sizes, strides, 1, ScalarTypeOf<T>},
             {parts[k], sizes, strides, 2, ScalarTypeOf<V>});
  }
}

// Calls f with the number of elements of rows of n that can be moved at once, from and to all data.
template <class T, class F>
void with_pack(int64_t n, std::initializer_list<const void*> data, F f) {
  constexpr int kPack = Vec<T>::kSize;
  const bool packs = n % kPack == 0 && std::all_of(data.begin(), data.end(), is_aligned);
  packs ? f(std::integral_constant<int, kPack>()) : f(std::integral_constant<int, 1>());
}

template <class T>
void forward(const LayerNormArgs& args) {
  using V = ComputeType<T>;
  const int64_t count = args.statistics.sizes[1], n = args.x.numel() / count;
  with_pack<T>(n, {args.out.data, args.x.data, args.weight.data, args.bias.data}, [&](auto pack) {
    const ForwardRows<T, pack> rows(count, n);
    launch(forward_kernel<T, pack>, static_cast<unsigned>(rows.block.tiles(count)), kBlockSize, 0,
           rows, args.x.as<const T>(), args.weight.as<const T>(), args.bias.as<const T>(),
           static_cast<V>(args.eps), args.out.as<T>(), Statistics<V>(args.statistics, count));
  });
}

template <class T>
void backward(const LayerNormBackwardArgs& args) {
  using V = ComputeType<T>;
  const int64_t count = args.statistics.sizes[1], n = args.x.numel() / count;
  const View &g = args.grad_out, &x = args.x, &weight = args.weight, &grad_in = args.grad_in;
  if (grad_in.data != nullptr) {
    with_pack<T>(n, {grad_in.data, g.data, x.data, weight.data}, [&](auto pack) {
      const BackwardRows<T, pack> rows(count, n);
      launch(row_gradient_kernel<T, pack>, static_cast<unsigned>(rows.block.tiles(count)),
             kBlockSize, 0, rows, g.as<const T>(), x.as<const T>(), weight.as<const T>(),
             grad_in.as<T>(), Statistics<V>(args.statistics, count));
    });
  }
  if (args.grad_weight.data != nullptr || args.grad_bias.data != nullptr)
    parameter_gradients<T>(args);
}

}  // namespace

void layer_norm(const LayerNormArgs& args) {
  visit_floating(args.x.dtype, [&]<class T>(T) { forward<T>(args); });
}

void layer_norm_backward(const LayerNormBackwardArgs& args) {
  visit_floating(args.x.dtype, [&]<class T>(T) { backward<T>(args); });
}

}  // namespace tarn::cuda
