// Reductions over any dimensions of any layout: the plan. The kernels are in reduce_kernels.h.
#include "tarn/kernels/cpu/reduce_dims.h"
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/reduce_kernels.h"

namespace tarn::cuda {
namespace {

using cpu::ReduceDims;

constexpr int kMostPerThread = 64;  // elements of a thread where a result has one chunk
constexpr int kMergedPerThread = 16;
constexpr int64_t kManyBlocks = 512;        // beyond which more chunks gain nothing
constexpr int64_t kManyElements = 1 << 20;  // enough to keep a device busy with kAcross

ReduceShape in_chunks(BlockShape block, int64_t count, int64_t chunk) {
  return {block, count, chunk, std::max<int64_t>(1, (count + chunk - 1) / chunk)};
}

// The elements of a chunk where one block would be too few for `count` of them, or too slow.
int64_t chunk_of(BlockShape block, int64_t results, int64_t count) {
  if (count <= int64_t{block.depth} * kMostPerThread) return std::max<int64_t>(count, 1);
  constexpr int64_t kLeast = 16, kMost = 512, kBatch = kStates * kMostAhead;
  const int64_t chunks = std::max<int64_t>(1, kManyBlocks / block.tiles(results));
  const int64_t per_thread = (count + chunks * block.depth - 1) / (chunks * block.depth);
  return block.depth * std::clamp((per_thread + kBatch - 1) / kBatch * kBatch, kLeast, kMost);
}

unsigned block_count(const ReduceShape& shape, int64_t results) {
  return static_cast<unsigned>(shape.block.tiles(results) * shape.chunks);
}

// Copies the input so that the elements of a result follow one another.
void reduce_copy(const ReduceArgs& args) {
  const View &in = args.in, &out = args.out;
  int64_t strides[kMaxDims], next = 1;
  for (const bool kept : {false, true}) {
    for (int d = in.ndim - 1; d >= 0; --d) {
      if ((out.strides[d] != 0) != kept) continue;
      strides[d] = next;
      next *= in.sizes[d];
    }
  }
  const Scratch memory(static_cast<size_t>(next * element_size(in.dtype)));
  ReduceArgs again = args;
  again.in.data = memory.data();
  again.in.strides = strides;
  copy(again.in, in);
  reduce(again);
}

template <class Op, class Fold, class V>
void run(const ReduceArgs& args, const Op& op) {
  using S = typename Fold::S;
  ReduceDims kept, reduced;
  cpu::split_dims(args, Fold::kTraits.indexed, kept, reduced);
  const int64_t count = reduced.numel();
  if (reduced.count > kMaxPartDims || (reduced.count > 1 && count > kMaxPart)) {
    return reduce_copy(args);
  }
  Walk<2> results;
  results.ndim = kept.count;
  results.numel = kept.numel();
  for (int d = 0; d < kept.count; ++d) {
    results.size[d] = kept.size[d];
    results.stride[d][0] = kept.out[d];
    results.stride[d][1] = kept.in[d];
  }
  results.data[0] = args.out.as<char>(), results.items[0] = element_size(args.out.dtype);
  results.data[1] = args.in.as<char>(), results.items[1] = element_size(args.in.dtype);
  StridedIndex<1> elements{};
  elements.ndim = reduced.count;
  for (int d = 0; d < reduced.count; ++d) {
    elements.size[d] =
        Divisor(static_cast<uint32_t>(std::clamp<int64_t>(reduced.size[d], 1, kMaxPart)));
    elements.stride[d][0] = reduced.in[d];
  }

  const bool by_columns = kept.in[0] == 1 && reduced.in[0] != 1 && kept.size[0] > 1;
  // Several elements at once need them to begin at multiples of their size, wherever that is.
  bool vector = reduced.count == 1 && is_aligned(args.in.data);
  for (int d = by_columns ? 1 : 0; d < kept.count; ++d) {
    vector = vector && (kept.in[d] % kStates == 0 || kept.size[d] == 1);
  }
  Lanes lanes = Lanes::kScattered;
  if (vector && by_columns && kept.size[0] % kStates == 0 && reduced.in[0] % kStates == 0 &&
      results.numel <= kMaxPart && results.numel * count >= kManyElements) {
    lanes = Lanes::kAcross;
  }
  const int64_t grouped = lanes == Lanes::kAcross ? kStates : 1;
  const BlockShape block = by_columns ? BlockShape::by_columns(kept.size[0] / grouped, count)
                                      : BlockShape::rows(results.numel, count);
  if (vector && !by_columns && reduced.in[0] == 1 && count >= kStates * block.depth) {
    lanes = Lanes::kAlong;
  }
  const ReduceShape shape =
      in_chunks(block, count, chunk_of(block, results.numel / grouped, count));

  for_each_part(results, [&](const StridedIndex<2>& part, void* const* data) {
    const auto bytes = [&](const ReduceShape& s) {
      return s.chunks == 1 ? 0 : static_cast<size_t>(part.count * s.chunks) * sizeof(S);
    };
    const Scratch memory(bytes(shape));
    ReduceTarget<S> target{data[0], args.out.dtype, memory.as<S>()};
    StridedIndex<2> groups = part;
    if (grouped > 1) {
      groups.count /= kStates;
      groups.size[0] = Divisor(static_cast<uint32_t>(kept.size[0] / kStates));
      for (int64_t& stride : groups.stride[0]) stride *= kStates;
    }
    launch(reduce_kernel<Op, Fold, V>, block_count(shape, groups.count), kBlockSize, 0, op, shape,
           groups, elements, lanes, kept.out[0], data[1], args.in.dtype, target);
    if (shape.chunks == 1) return;
    const auto merged = [&](int64_t states) {
      const BlockShape merge = BlockShape::rows(part.count, states);
      ReduceShape next = in_chunks(merge, states, int64_t{merge.depth} * kMergedPerThread);
      next.count = count;
      return next;
    };
    ReduceShape next = merged(shape.chunks);
    const Scratch more(bytes(next));
    // The states go to and fro between two pieces of memory until one is left for each result.
    S* from = memory.as<S>();
    target.partial = more.as<S>();
    for (int64_t states = shape.chunks; states > 1; states = next.chunks) {
      next = merged(states);
      launch(merge_kernel<Op, Fold>, block_count(next, part.count), kBlockSize, 0, op, next, part,
             static_cast<const S*>(from), states, target);
      std::swap(from, target.partial);
    }
  });
}

template <class Op, class Case>
void run_case(const ReduceArgs& args, const Case& op) {
  visit_compute(args.in.dtype, [&]<class V>(V) {
    if constexpr (op::kReducesIn<V, Op>) run<Case, op::Folding<Case, Op, V, V>, V>(args, op);
  });
}

template <class Op>
void run_op(const ReduceArgs& args) {
  op::visit_case(*static_cast<const Op*>(args.params),
                 [&](const auto& impl) { run_case<Op>(args, impl); });
}

template <class... Ops>
void dispatch(const ReduceArgs& args, List<Ops...>) {
  static constexpr void (*kRun[])(const ReduceArgs&) = {&run_op<Ops>...};
  kRun[args.op](args);
}

}  // namespace

void reduce(const ReduceArgs& args) { dispatch(args, op::ReduceOps{}); }

}  // namespace tarn::cuda
