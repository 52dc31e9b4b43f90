#if TARN_CUDA
#include "tarn/kernels/cuda/strided.h"

#include "tarn/tests/support/catch.h"

namespace tarn::testing {
namespace {

using namespace cuda;

TEST_CASE("division by multiplication is exact") {
  const uint32_t most = kMaxPart;
  for (const uint32_t d : {1u, 2u, 3u, 7u, 10u, 641u, 65536u, 65537u, 1u << 30, most - 1, most}) {
    for (const uint32_t n : {0u, 1u, 2u, d - 1, d, d + 1, 2 * d - 1, most / 2, most - 1, most}) {
      if (n > most) continue;
      uint32_t quotient = n;
      const uint32_t remainder = Divisor(d).divide(quotient);
      INFO(n << " / " << d);
      CHECK(quotient == n / d);
      CHECK(remainder == n % d);
    }
  }
}

// The elements of a walk of two operands, as bytes from their beginnings, part by part.
std::vector<std::pair<int64_t, int64_t>> walked(const Walk<2>& walk, int64_t limit, int& parts) {
  std::vector<std::pair<int64_t, int64_t>> places;
  parts = 0;
  for_each_part(
      walk,
      [&](const StridedIndex<2>& index, void* const* data) {
        ++parts;
        CHECK(index.count <= limit);
        for (uint32_t i = 0; i < index.count; ++i) {
          int64_t at[2];
          index.offsets(i, at);
          places.push_back({static_cast<char*>(data[0]) - walk.data[0] + at[0] * walk.items[0],
                            static_cast<char*>(data[1]) - walk.data[1] + at[1] * walk.items[1]});
        }
      },
      limit);
  return places;
}

TEST_CASE("a walk in parts visits what a walk in one does, in the same order") {
  std::vector<char> memory(1 << 22);
  const int64_t items[] = {4, 2};
  const int64_t sizes[] = {3, 5, 2, 7}, out[] = {70, 14, 7, 1}, in[] = {1, 3, 0, 15};
  const View views[] = {{memory.data(), sizes, out, 4, kFloat},
                        {memory.data(), sizes, in, 4, kHalf}};
  const StridedLoop loop(views[0], views[1]);
  const Walk<2> walk(loop, items);
  int parts;
  const auto whole = walked(walk, kMaxPart, parts);
  CHECK(parts == 1);
  CHECK(whole.size() == 210);
  for (const int64_t limit : {1, 2, 6, 7, 20, 69, 70, 100, 209}) {
    CHECK(walked(walk, limit, parts) == whole);
    CHECK(parts >= 210 / limit);
  }
}

TEST_CASE("more dimensions than an index has are walked in parts") {
  // Bit-reversed, so that no two dimensions collapse.
  constexpr int kDims = 20;
  int64_t sizes[kDims], out[kDims], in[kDims];
  for (int d = 0; d < kDims; ++d) {
    sizes[d] = 2;
    out[d] = int64_t{1} << d;
    in[d] = int64_t{1} << (kDims - 1 - d);
  }
  std::vector<char> memory(4 << kDims);
  const View views[] = {{memory.data(), sizes, out, kDims, kFloat},
                        {memory.data(), sizes, in, kDims, kHalf}};
  const int64_t items[] = {4, 2};
  int parts;
  const auto places = walked(Walk<2>(StridedLoop(views[0], views[1]), items), kMaxPart, parts);
  CHECK(parts == 1 << (kDims - kMaxPartDims));
  REQUIRE(places.size() == size_t{1} << kDims);
  bool right = true;
  for (size_t i = 0; i < places.size(); ++i) {
    int64_t reversed = 0;
    for (int d = 0; d < kDims; ++d) reversed |= static_cast<int64_t>(i >> d & 1) << (kDims - 1 - d);
    right =
        right && places[i].first == static_cast<int64_t>(i) * 4 && places[i].second == reversed * 2;
  }
  CHECK(right);
}

}  // namespace
}  // namespace tarn::testing
#endif
