#include "tarn/io/stored_bytes.h"

#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "tarn/device/check.h"
#include "tarn/device/parallel.h"
#include "tarn/io/crc32.h"

namespace tarn::detail {
namespace {

// Read and checked while they are in the CPU's cache.
constexpr uint64_t kPiece = 256 << 10;
// What is worth a second thread.
constexpr uint64_t kWorthThread = 2 << 20;

// Raw deflate data, from its start.
class Inflater {
 public:
  explicit Inflater(const StoredBytes& from)
      : from_(from), buffer_(std::min(kPiece, from.stored), '\0') {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) {
      throw OutOfMemoryError("[load] zlib has no memory");
    }
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // The next `size` bytes, all of them.
  void take(void* to, uint64_t size) {
    auto* out = static_cast<Bytef*>(to);
    while (size > 0) {
      const uint64_t got = step(out, size);
      if (got == 0 && ended_) {
        from_.fail(str("does not inflate to its size of ", from_.skip + from_.size, " bytes"));
      }
      out += got;
      size -= got;
    }
  }
  // There must be no more bytes, inside or out.
  void finish() {
    while (!ended_) {
      Bytef extra;
      if (step(&extra, 1) > 0) from_.fail("inflates to more than its size");
    }
    if (stream_.avail_in != 0 || taken_ != from_.stored) {
      from_.fail("has bytes after its compressed data, or its size lies");
    }
  }

 private:
  uint64_t step(Bytef* out, uint64_t room) {
    if (ended_) return 0;
    if (stream_.avail_in == 0 && taken_ < from_.stored) {
      const uint64_t size = std::min<uint64_t>(buffer_.size(), from_.stored - taken_);
      from_.source->read(from_.offset + taken_, buffer_.data(), size);
      stream_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_in = static_cast<uInt>(size);
      taken_ += size;
    }
    const auto asked = static_cast<uInt>(std::min<uint64_t>(room, 1u << 30));
    stream_.next_out = out;
    stream_.avail_out = asked;
    const int status = ::inflate(&stream_, Z_NO_FLUSH);
    const uint64_t got = asked - stream_.avail_out;
    ended_ = status == Z_STREAM_END;
    const bool starved = got == 0 && stream_.avail_in == 0 && taken_ == from_.stored;
    if (!ended_ && (status != Z_OK || starved)) from_.fail("has broken compressed data");
    return got;
  }

  const StoredBytes& from_;
  std::string buffer_;
  z_stream stream_{};
  uint64_t taken_ = 0;
  bool ended_ = false;
};

// Inflates to `to`, or to nowhere if it is null. Returns the CRC if asked for it.
uint32_t inflate_all(const StoredBytes& from, char* to, bool check) {
  Inflater inflater(from);
  std::string nowhere(to == nullptr || from.skip > 0 ? kPiece : 0, '\0');
  for (uint64_t left = from.skip; left > 0;) {
    const uint64_t size = std::min(left, kPiece);
    inflater.take(nowhere.data(), size);
    left -= size;
  }
  uint32_t crc = 0;
  for (uint64_t done = 0; done < from.size;) {
    const uint64_t size = std::min(from.size - done, kPiece);
    char* out = to == nullptr ? nowhere.data() : to + done;
    inflater.take(out, size);
    if (check) crc = crc32_join(crc, crc32(out, size), size);
    done += size;
  }
  inflater.finish();
  return crc;
}

// A part of a job that one thread does at a time.
struct Piece {
  size_t job;
  uint64_t begin, size;
  uint32_t crc = 0;
};

void run(const ReadJob& job, Piece& piece, std::string& nowhere) {
  const StoredBytes& from = job.bytes;
  auto* out = static_cast<char*>(job.to);
  if (from.deflated) {
    piece.crc = inflate_all(from, out, job.check);
    return;
  }
  if (out == nullptr) nowhere.resize(kPiece);
  out = out == nullptr ? nowhere.data() : out + piece.begin;
  from.source->read(from.offset + piece.begin, out, piece.size);
  if (job.check) piece.crc = crc32(out, piece.size);
}

}  // namespace

void StoredBytes::fail(const std::string& problem) const {
  throw IOError(
      str("[load] ", source->name(), ": record '", record, "' at byte ", offset, ' ', problem));
}

StoredBytes StoredBytes::part(uint64_t begin, uint64_t count) const {
  return {source, record, offset + begin, count, count};
}

std::string StoredBytes::prefix(uint64_t count) const {
  count = std::min(count, size);
  if (!deflated) return source->read_text(offset, count);
  std::string text(count, '\0');
  Inflater(*this).take(text.data(), count);
  return text;
}

StoredBytes StoredBytes::after(const std::string& prefix) const {
  StoredBytes rest = *this;
  const uint64_t count = prefix.size();
  rest.size -= count;
  if (deflated) {
    rest.skip += count;
  } else {
    rest.offset += count;
    rest.stored -= count;
  }
  // The CRC of a whole is that of its start moved on past the rest, plus that of the rest.
  if (crc) rest.crc = *crc ^ crc32_join(crc32(prefix.data(), count), 0, rest.size);
  return rest;
}

void read_together(const std::vector<ReadJob>& jobs) {
  std::vector<Piece> pieces;
  uint64_t total = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const StoredBytes& bytes = jobs[i].bytes;
    total += bytes.size;
    const uint64_t step = bytes.deflated ? std::max<uint64_t>(bytes.size, 1) : kPiece;
    for (uint64_t at = 0; at < bytes.size || (at == 0 && bytes.deflated); at += step) {
      pieces.push_back({i, at, std::min(step, bytes.size - at)});
    }
  }
  // Each thread takes the next piece when it is done with one: reading is not equally fast
  // everywhere.
  std::atomic<size_t> next{0};
  const auto threads = static_cast<int64_t>(
      std::min({total / kWorthThread + 1, pieces.size(), uint64_t(get_num_threads())}));
  parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    std::string nowhere;
    for (size_t i = next++; i < pieces.size(); i = next++)
      run(jobs[pieces[i].job], pieces[i], nowhere);
  });
  std::vector<uint32_t> found(jobs.size(), 0);
  for (const Piece& piece : pieces) {
    uint32_t& crc = found[piece.job];
    if (jobs[piece.job].check) crc = crc32_join(crc, piece.crc, piece.size);
  }
  for (size_t i = 0; i < jobs.size(); ++i) {
    const StoredBytes& bytes = jobs[i].bytes;
    if (!jobs[i].check || !bytes.crc || *bytes.crc == found[i]) continue;
    bytes.fail(
        "has the wrong CRC. HINT: the file was damaged, or PyTorch wrote it after "
        "torch.serialization.set_crc32_options(False): then load with {.verify_crc = false}");
  }
}

}  // namespace tarn::detail
