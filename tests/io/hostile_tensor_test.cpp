// Tensors that reach beyond their storage, and storages that are not what they say.

#include "tarn/tests/io/hostile.h"
#include "tarn/tests/support/tensors.h"

namespace tarn::testing {
namespace {

struct View {
  std::string type = "FloatStorage", key = "0";
  int64_t numel = 6, offset = 0;
  std::vector<int64_t> sizes = {6}, strides = {1};
  bool requires_grad = false;
  std::string location = "cpu";
};

std::string file_of(const View& v, size_t bytes = 24) {
  return torch_file(
      RawPickle()
          .tensor(v.type, v.key, v.numel, v.offset, v.sizes, v.strides, v.requires_grad, v.location)
          .done(),
      std::string(bytes, '\0'));
}
void check_tensor(const std::string& name, const View& view, const std::string& word) {
  check_refused(name, file_of(view), word);
}
Tensor loaded(const View& view, size_t bytes = 24) {
  const std::string file = file_of(view, bytes);
  return load(file.data(), file.size()).to_tensor();
}
constexpr int64_t k62 = int64_t{1} << 62, k32 = int64_t{1} << 32;

}  // namespace

TEST_CASE("a storage whose size is not its record's is refused", "[hostile]") {
  check_tensor("ten_numel_gt_record", {.numel = 1000, .sizes = {1000}}, "size");
  check_tensor("ten_numel_lt_record", {.numel = 2, .sizes = {2}}, "size");
  check_tensor("ten_numel_negative", {.numel = -1, .sizes = {1}}, "negative size");
  check_tensor("ten_numel_wrap", {.numel = 0x4000000000000006, .sizes = {1}}, "overflow");
  check_tensor("ten_missing_record", {.key = "9"}, "record");
  check_tensor("ten_key_traversal", {.key = "../../etc/passwd"}, "record");
  check_tensor("another member as key", {.key = "../version"}, "record");
  check_tensor("ten_unknown_storage", {.type = "EvilStorage"},
               "global torch.EvilStorage is not allowed");
  check_tensor("ten_quantized", {.type = "QInt8Storage"}, "unsupported");
}

TEST_CASE("views outside their storage are refused", "[hostile]") {
  check_tensor("ten_view_oob", {.offset = 4, .sizes = {4}}, "bounds");
  check_tensor("stride beyond the end", {.sizes = {2, 3}, .strides = {4, 1}}, "bounds");
  check_tensor("offset at the end", {.offset = 6, .sizes = {1}}, "bounds");
  check_tensor("scalar beyond the end", {.offset = 6, .sizes = {}, .strides = {}}, "bounds");
  check_tensor("ten_neg_offset", {.offset = -1, .sizes = {2}}, "invalid storage offset -1");
  check_tensor("ten_neg_stride", {.offset = 5, .sizes = {3}, .strides = {-1}}, "Negative strides");
  check_tensor("ten_neg_size", {.sizes = {-3}}, "negative size");
  check_tensor("two negative sizes", {.sizes = {-2, -3}, .strides = {3, 1}}, "negative");
  check_tensor("ten_stride_wrap", {.sizes = {3, 3}, .strides = {k62, k62}}, "overflow");
  check_tensor("stride wraps in a product", {.sizes = {5}, .strides = {k62}}, "overflow");
  check_tensor("ten_size_wrap", {.sizes = {k32, k32}, .strides = {0, 0}}, "overflow");
  check_tensor("bytes wrap", {.sizes = {k62}, .strides = {0}}, "overflow");
  check_tensor("ten_zero_dim_huge", {.sizes = {0, k62, k62}, .strides = {1, 1, 1}}, "overflow");
  check_tensor("ten_rank_mismatch", {.sizes = {2, 3}, .strides = {1}}, "stride");
  check_tensor("ten_rank_5000",
               {.sizes = std::vector<int64_t>(5000, 1), .strides = std::vector<int64_t>(5000, 1)},
               "rank");
}

TEST_CASE("views inside their storage load, whatever their shape", "[hostile]") {
  CHECK(loaded({.offset = 3, .sizes = {2}, .strides = {2}}).storage_offset() == 3);
  const Tensor expanded =
      check_loads("ten_expand_2e40", file_of({.sizes = {int64_t{1} << 40}, .strides = {0}}))
          .to_tensor();
  CHECK(expanded.numel() == int64_t{1} << 40);
  // More than any address space; what is merely more than this machine's memory may be granted.
  CHECK_THROWS_AS(expanded.expand({1 << 10, int64_t{1} << 40}).contiguous(), OutOfMemoryError);
  CHECK(loaded({.offset = 100, .sizes = {0}}).numel() == 0);
  CHECK(loaded({.sizes = std::vector<int64_t>(64, 1), .strides = std::vector<int64_t>(64, 7)})
            .numel() == 1);
}

TEST_CASE("one storage read with two dtypes or sizes is refused", "[hostile]") {
  RawPickle pickle;
  pickle.op("](").tensor("FloatStorage", "0", 6, 0, {6}, {1});
  pickle.tensor("DoubleStorage", "0", 3, 0, {3}, {1}).op("e");
  check_refused("ten_same_key_two_dtypes", torch_file(pickle.done()), "dtype");
}

TEST_CASE("requires_grad on integers is refused, on floats kept", "[hostile]") {
  check_refused("ten_requires_grad_int_dtype",
                file_of({.type = "IntStorage", .requires_grad = true}), "requires_grad");
  CHECK(loaded({.requires_grad = true}).requires_grad());
  CHECK_FALSE(loaded({}).requires_grad());
}

TEST_CASE("bytes of a bool storage other than 0 and 1 become 1", "[hostile]") {
  const std::string file = torch_file(RawPickle().tensor("BoolStorage", "0", 3, 0, {3}, {1}).done(),
                                      std::string("\0\2\xff", 3));
  const Tensor x = check_loads("ten_bool_bytes_2", file).to_tensor();
  const auto* bytes = static_cast<const unsigned char*>(x.data_ptr());
  CHECK(bytes[0] == 0);
  CHECK(bytes[1] == 1);
  CHECK(bytes[2] == 1);
}

TEST_CASE("a tensor of any real device loads to the CPU, of no device is refused", "[hostile]") {
  CHECK(check_loads("ten_cuda_no_device", file_of({.location = "cuda:7"})).to_tensor().is_cpu());
  for (const char* location : {"cuda:5", "cuda", "mps", "xpu:0", "cuda:0"}) {
    CHECK(loaded({.location = location}).device() == Device(kCPU));
  }
  check_tensor("meta", {.location = "meta"}, "device");
  check_tensor("nonsense", {.location = "../../x"}, "device");
  check_tensor("nothing", {.location = ""}, "device");
}

}  // namespace tarn::testing
