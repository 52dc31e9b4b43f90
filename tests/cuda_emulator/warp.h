#pragma once
// Warp operations of the device language. Included by device.h.
#include "tarn/tests/cuda_emulator/executor.h"

namespace cuda_emulator {

template <class T>
T shuffle(const char* name, unsigned mask, T value, unsigned source, Where where) {
  static_assert(sizeof(T) <= 16);
  warp_exchange(WarpOp::shuffle, name, mask, &value, sizeof value, source, where);
  return value;
}

/// The lanes of a segment of `width`: [first, first + width).
struct Segment {
  unsigned lane, first, width;
  explicit Segment(int w) : lane(lane_index()), width(static_cast<unsigned>(w)) {
    first = lane & ~(width - 1);
  }
  /// `source`, or the lane itself where that lies outside the segment.
  unsigned inside(unsigned source) const {
    return source >= first && source < first + width ? source : lane;
  }
};

inline unsigned votes(const char* name, unsigned mask, int predicate, Where where) {
  unsigned value = predicate != 0;
  warp_exchange(WarpOp::ballot, name, mask, &value, sizeof value, lane_index(), where);
  return value;
}

template <class T>
T reduce(WarpOp op, const char* name, unsigned mask, T value, Where where) {
  static_assert(sizeof(T) == 4);
  warp_exchange(op, name, mask, &value, sizeof value, lane_index(), where);
  return value;
}

}  // namespace cuda_emulator

inline void __syncwarp(unsigned mask = ~0u, cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  cuda_emulator::warp_exchange(cuda_emulator::WarpOp::shuffle, "__syncwarp", mask, nullptr, 0,
                               cuda_emulator::lane_index(), where);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
              cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  cuda_emulator::Segment s(width);
  unsigned lane = s.first + (static_cast<unsigned>(source) & (s.width - 1));
  return cuda_emulator::shuffle("__shfl_sync", mask, value, lane, where);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = warpSize,
                  cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  cuda_emulator::Segment s(width);
  unsigned lane = s.inside(s.lane ^ static_cast<unsigned>(lanes));
  return cuda_emulator::shuffle("__shfl_xor_sync", mask, value, lane, where);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                 cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  cuda_emulator::Segment s(width);
  unsigned lane = s.lane - s.first < delta ? s.lane : s.lane - delta;
  return cuda_emulator::shuffle("__shfl_up_sync", mask, value, lane, where);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                   cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  cuda_emulator::Segment s(width);
  return cuda_emulator::shuffle("__shfl_down_sync", mask, value, s.inside(s.lane + delta), where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  return cuda_emulator::votes("__ballot_sync", mask, predicate, where);
}

inline int __any_sync(unsigned mask, int predicate,
                      cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  return cuda_emulator::votes("__any_sync", mask, predicate, where) != 0;
}

inline int __all_sync(unsigned mask, int predicate,
                      cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  return cuda_emulator::votes("__all_sync", mask, predicate, where) == mask;
}

inline unsigned __reduce_add_sync(unsigned mask, unsigned value,
                                  cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  return cuda_emulator::reduce(cuda_emulator::WarpOp::add, "__reduce_add_sync", mask, value, where);
}

inline int __reduce_add_sync(unsigned mask, int value,
                             cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  return cuda_emulator::reduce(cuda_emulator::WarpOp::add, "__reduce_add_sync", mask, value, where);
}

inline unsigned __reduce_min_sync(unsigned mask, unsigned value,
                                  cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  return cuda_emulator::reduce(cuda_emulator::WarpOp::min_unsigned, "__reduce_min_sync", mask,
                               value, where);
}

inline int __reduce_min_sync(unsigned mask, int value,
                             cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  return cuda_emulator::reduce(cuda_emulator::WarpOp::min_signed, "__reduce_min_sync", mask, value,
                               where);
}

inline unsigned __reduce_max_sync(unsigned mask, unsigned value,
                                  cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  return cuda_emulator::reduce(cuda_emulator::WarpOp::max_unsigned, "__reduce_max_sync", mask,
                               value, where);
}

inline int __reduce_max_sync(unsigned mask, int value,
                             cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  return cuda_emulator::reduce(cuda_emulator::WarpOp::max_signed, "__reduce_max_sync", mask, value,
                               where);
}
