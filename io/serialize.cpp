#include "tarn/io/serialize.h"

#include <istream>
#include <ostream>

#include "tarn/io/atomic_file.h"
#include "tarn/io/formats.h"

namespace tarn {
namespace {

Value load_from(const detail::SourcePtr& source, const LoadOptions& options) {
  detail::Placer placer(options);
  Value value = detail::format_of(source).read(source, placer);
  placer.finish();
  return value;
}

}  // namespace

void save(const Value& value, const std::string& path, const SaveOptions& options) {
  detail::AtomicFile file(path, options.durable);
  detail::write_as(path, value, file, options);
  file.commit();
}

void save(const Value& value, std::ostream& stream, const SaveOptions& options) {
  detail::StreamSink sink(stream);
  detail::write_as("", value, sink, options);
  sink.finish();
}

Value load(const std::string& path, const LoadOptions& options) {
  return load_from(std::make_shared<detail::FileSource>(path), options);
}

Value load(std::istream& stream, const LoadOptions& options) {
  return load_from(std::make_shared<detail::MemorySource>(detail::read_all(stream), "<stream>"),
                   options);
}

Value load(const char* data, size_t size, const LoadOptions& options) {
  return load_from(std::make_shared<detail::MemorySource>(data, size), options);
}

}  // namespace tarn
