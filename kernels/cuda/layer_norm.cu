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
  // Calls f(k, i) for each k at which the thread holds a pack, number i of the tile.
  template <class F>
  __device__ void for_packs(int64_t tile_start, F f) const {
    const int64_t rest = n - tile_start;
    const int packs = static_cast<int>(rest < tile() ? rest : tile()) / kPack;
    const int place = block.place(static_cast<int>(threadIdx.x));
    TARN_UNROLL
    for (int k = 0; k < kHeld; k += kPack) {
      const int i = k / kPack * block.depth + place;
      if (i < packs) f(k, i);
    }
  }
  // What the thread holds of a tile of row x: all on its way before the first is waited for.
  __device__ void load(const T* x, int64_t tile_start, V (&held)[kHeld]) const {
    const auto* const packs = reinterpret_cast<const Pack<T, kPack>*>(x + tile_start);
    for_packs(tile_start, [&](int k, int i) {
      const Pack<T, kPack> pack = packs[i];
      for (int e = 0; e < kPack; ++e) held[k + e] = V(pack.v[e]);
    });
  }
  // The same, or `other` where there is no x.
  __device__ void load_or(V other, const T* x, int64_t tile_start, V (&held)[kHeld]) const {
    if (x != nullptr) return load(x, tile_start, held);
    for (V& value : held) value = other;
  }
  // Writes of(k) for element k of what the thread holds. As an element of an array, not by a
  // pointer that was moved to it: nvcc then knows that a pack may be written at once.
  template <class Of>
  __device__ void store(T* x, int64_t tile_start, Of of) const {
    auto* const packs = reinterpret_cast<Pack<T, kPack>*>(x + tile_start);
    for_packs(tile_start, [&](int k, int i) {
      Pack<T, kPack> pack;
      for (int e = 0; e < kPack; ++e) pack.v[e] = T(of(k + e));
      packs[i] = pack;
    });
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

// Without the 2 it takes a few registers more than two blocks of a multiprocessor have.
template <class T, int kPack>
__global__ void __launch_bounds__(kBlockSize, kPack > 1 ? 2 : 1)
    forward_kernel(ForwardRows<T, kPack> rows, const T* x, const T* __restrict__ weight,
                   const T* __restrict__ bias, ComputeType<T> eps, T* out,
                   Statistics<ComputeType<T>> statistics) {
  using V = ComputeType<T>;
  const int64_t row = rows.row(), n = rows.n, end = row < rows.count ? n : 0;
  const V count = static_cast<V>(n);
  x += row * n;
  V held[rows.kHeld];

  V sum = 0;
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    rows.load(x, tile, held);
    V part = 0;
    rows.for_packs(tile, [&](int k, int) {
      for (int e = k; e < k + kPack; ++e) part += held[e];
    });
    sum += part;
  }
  // Each sum with a lambda of its own, since the type of the op names over_places' memory.
  const V mean = over_places(rows.block, sum, [](V a, V b) { return a + b; }) / count;
  V square = 0;
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    if (!rows.in_one_tile()) rows.load(x, tile, held);
    V part = 0;
    rows.for_packs(tile, [&](int k, int) {
      for (int e = k; e < k + kPack; ++e) part += (held[e] - mean) * (held[e] - mean);
    });
    square += part;
  }
  square = over_places(rows.block, square, [](V a, V b) { return a + b; });
  const V scale = math::rsqrt(square / count + eps);
  if (end == 0) return;
  if (rows.block.place(static_cast<int>(threadIdx.x)) == 0) {
    statistics.mean[row] = mean;
    statistics.scale[row] = scale;
  }
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    if (!rows.in_one_tile()) rows.load(x, tile, held);
    V parameter[rows.kHeld];
    rows.load_or(V(1), weight, tile, parameter);
    rows.for_packs(tile, [&](int k, int) {
      for (int e = k; e < k + kPack; ++e) held[e] = (held[e] - mean) * scale * parameter[e];
    });
    rows.load_or(V(0), bias, tile, parameter);
    rows.store(out + row * n, tile, [&](int k) { return held[k] + parameter[k]; });
  }
}

// The gradient of x. With p = grad_out * weight and z the normalized row it is
// scale * (p - mean(p) - z * mean(p * z)).
template <class T, int kPack>
__global__ void __launch_bounds__(kBlockSize)
    row_gradient_kernel(BackwardRows<T, kPack> rows, const T* grad_out, const T* x,
                        const T* __restrict__ weight, T* grad_in,
                        Statistics<ComputeType<T>> statistics) {
  using V = ComputeType<T>;
  const int64_t row = rows.row(), n = rows.n, end = row < rows.count ? n : 0;
  const V mean = end > 0 ? statistics.mean[row] : V(0);
  const V scale = end > 0 ? statistics.scale[row] : V(0);
  V p[rows.kHeld], z[rows.kHeld];
  const auto load = [&](int64_t tile) {
    V w[rows.kHeld];
    rows.load(grad_out + row * n, tile, p);
    rows.load(x + row * n, tile, z);
    rows.load_or(V(1), weight, tile, w);
    rows.for_packs(tile, [&](int k, int) {
      for (int e = k; e < k + kPack; ++e) {
        p[e] *= w[e];
        z[e] = (z[e] - mean) * scale;
      }
    });
  };

  V sum_p = 0, sum_pz = 0;
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    load(tile);
    V part_p = 0, part_pz = 0;
    rows.for_packs(tile, [&](int k, int) {
      for (int e = k; e < k + kPack; ++e) {
        part_p += p[e];
        part_pz += p[e] * z[e];
      }
    });
    sum_p += part_p, sum_pz += part_pz;
  }
  // As above, a lambda for each.
  sum_p = over_places(rows.block, sum_p, [](V a, V b) { return a + b; });
  sum_pz = over_places(rows.block, sum_pz, [](V a, V b) { return a + b; });
  const V level = sum_p / static_cast<V>(n), slope = sum_pz / static_cast<V>(n);
  for (int64_t tile = 0; tile < end; tile += rows.tile()) {
    if (!rows.in_one_tile()) load(tile);
    rows.store(grad_in + row * n, tile,
               [&](int k) { return (p[k] - level - z[k] * slope) * scale; });
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
