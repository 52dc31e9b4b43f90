#include "tarn/tests/cuda_emulator/executor_state.h"

namespace cuda_emulator {
namespace {

unsigned lanes_of_warp(unsigned warp) {
  unsigned left = executor.count - warp * warp_lanes;
  return left >= warp_lanes ? ~0u : (1u << left) - 1;
}

Meeting& find_meeting(Warp& warp, unsigned mask, WarpOp op, const char* name, Where where) {
  Meeting* unused = nullptr;
  for (Meeting& m : warp.meetings) {
    if (m.arrived == 0) {
      if (!unused) unused = &m;
    } else if (m.mask == mask && m.op == op && same_place(m.where, where)) {
      return m;
    } else if (m.mask & mask) {
      fail("divergent warp: lanes of one warp meet in %s(%08x) at %s:%d and in %s(%08x) at %s:%d",
           m.name, m.mask, m.where.file, m.where.line, name, mask, where.file, where.line);
    }
  }
  *unused = {mask, 0, 0, op, name, where};
  return *unused;
}

template <class T>
void combine(const Warp& warp, unsigned mask, WarpOp op, unsigned char* result) {
  T total{};
  bool first = true;
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    T value;
    copy_bytes(&value, warp.value[lane], sizeof value);
    if (first)
      total = value;
    else if (op == WarpOp::add)
      total = static_cast<T>(static_cast<unsigned>(total) + static_cast<unsigned>(value));
    else if (op == WarpOp::max_signed || op == WarpOp::max_unsigned)
      total = value > total ? value : total;
    else
      total = value < total ? value : total;
    first = false;
  }
  copy_bytes(result, &total, sizeof total);
}

// The last lane to arrive computes every lane's result.
void finish_meeting(Warp& warp, const Meeting& m) {
  unsigned char results[warp_lanes][16];
  unsigned char common[16] = {};
  switch (m.op) {
    case WarpOp::shuffle:
      break;
    case WarpOp::ballot: {
      unsigned votes = 0;
      for (unsigned lane = 0; lane < warp_lanes; ++lane)
        if ((m.mask >> lane & 1) && warp.value[lane][0]) votes |= 1u << lane;
      copy_bytes(common, &votes, sizeof votes);
      break;
    }
    case WarpOp::min_signed:
    case WarpOp::max_signed:
      combine<int>(warp, m.mask, m.op, common);
      break;
    default:
      combine<unsigned>(warp, m.mask, m.op, common);
  }
  for (unsigned lane = 0; lane < warp_lanes; ++lane)
    if (m.mask >> lane & 1)
      copy_bytes(results[lane], m.op == WarpOp::shuffle ? warp.value[warp.source[lane]] : common,
                 16);
  for (unsigned lane = 0; lane < warp_lanes; ++lane)
    if (m.mask >> lane & 1) copy_bytes(warp.value[lane], results[lane], 16);
}

}  // namespace

void warp_exchange(WarpOp op, const char* name, unsigned mask, void* value, std::size_t size,
                   unsigned source, Where where) {
  Executor& x = executor;
  unsigned lane = x.current % warp_lanes, w = x.current / warp_lanes;
  Warp& warp = x.warps[w];
  if (!(mask >> lane & 1))
    fail("%s: lane %u is not in its own mask %08x, %s:%d", name, lane, mask, where.file,
         where.line);
  if (mask & ~lanes_of_warp(w))
    fail("%s: mask %08x names lanes that a block of %u threads does not have, %s:%d", name, mask,
         x.count, where.file, where.line);
  if (!(mask >> source & 1))
    fail("%s reads lane %u, which is not in mask %08x, %s:%d", name, source, mask, where.file,
         where.line);

  Meeting& meeting = find_meeting(warp, mask, op, name, where);
  copy_bytes(warp.value[lane], value, size);
  warp.source[lane] = source;
  meeting.arrived |= 1u << lane;
  // Only __syncwarp orders memory; the others exchange registers.
  bool orders = size == 0;
  if (orders) tsan_release(&x.sync->warp[w]);
  if (meeting.arrived == mask) {
    finish_meeting(warp, meeting);
    for (unsigned other = 0; other < warp_lanes; ++other)
      if (meeting.waiting >> other & 1) make_ready(w * warp_lanes + other);
    meeting.arrived = 0;
  } else {
    meeting.waiting |= 1u << lane;
    wait(State::in_warp_op, name, where);
  }
  if (orders) tsan_acquire(&x.sync->warp[w]);
  copy_bytes(value, warp.value[lane], size);
}

}  // namespace cuda_emulator
