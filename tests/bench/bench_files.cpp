// How long Tarn takes to save and load a model, beside the system calls that move the same bytes.
//
//   bench_files DIR [MIB [ROUNDS]]     prints "case<TAB>seconds<TAB>MiB beside the tensors"
//
// The best of ROUNDS, the cases in turn. DIR keeps raw.bin, model.pt and model.safetensors. First
// of all the results are checked: what each way of loading gives is what was saved.

#include <fcntl.h>
#include <tarn/tarn.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>

using namespace tarn;

namespace {

void check(bool passed, const char* what) {
  if (passed) return;
  std::fprintf(stderr, "bench_files: %s\n", what);
  std::exit(1);
}

// A number of kB from /proc/self/status.
double status_mib(const std::string& field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field)) return std::stod(line.substr(field.size() + 1)) / 1024;
  }
  return 0;
}
void reset_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

struct Case {
  const char* name;
  std::function<void()> prepare, run;
  double seconds = 1e9, mib = 0;
};

void measure(Case& c) {
  c.prepare();
  reset_peak();
  const double before = status_mib("VmRSS:");
  const auto start = std::chrono::steady_clock::now();
  c.run();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  c.seconds = std::min(c.seconds, seconds.count());
  c.mib = std::max(c.mib, status_mib("VmHWM:") - before);
}

void raw_write(const std::string& path, const std::vector<Tensor>& tensors, bool sync) {
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
  for (const Tensor& tensor : tensors) {
    const auto size = static_cast<ssize_t>(tensor.nbytes());
    check(::write(fd, tensor.data_ptr(), tensor.nbytes()) == size, "write failed");
  }
  check(!sync || ::fsync(fd) == 0, "fsync failed");
  ::close(fd);
}

void raw_read(const std::string& path, const std::vector<Tensor>& tensors) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  for (const Tensor& tensor : tensors) {
    const auto size = static_cast<ssize_t>(tensor.nbytes());
    check(::read(fd, tensor.data_ptr(), tensor.nbytes()) == size, "read failed");
  }
  ::close(fd);
}

bool same(const OrderedDict<std::string, Tensor>& a, const OrderedDict<std::string, Tensor>& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& item) {
           return b.contains(item.key()) && b[item.key()].equal(item.value());
         });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_files DIR [MIB [ROUNDS]]\n");
    return 2;
  }
  const std::string folder = argv[1], raw = folder + "/raw.bin", zip = folder + "/model.pt",
                    flat = folder + "/model.safetensors";
  const int mib = argc > 2 ? std::atoi(argv[2]) : 256, rounds = argc > 3 ? std::atoi(argv[3]) : 5;
  nn::Sequential net;
  for (int i = 0; i < mib / 16; ++i) {
    net->push_back(nn::Linear(nn::LinearOptions(2048, 2048).bias(false)));
  }
  const std::vector<Tensor> tensors = net->parameters();
  const auto state = [&] { return Value(OrderedDict<std::string, Tensor>(net->state_dict())); };
  const auto nothing = [] {};
  const auto absent = [](const std::string& path) { return [path] { ::unlink(path.c_str()); }; };

  raw_write(raw, tensors, false);
  save(state(), zip, {.durable = false});
  save(state(), flat, {.durable = false});
  for (const std::string& path : {zip, flat}) {
    for (const bool mmap : {false, true}) {
      check(same(load(path, {.mmap = mmap}).to_tensor_dict(), net->state_dict()), "load differs");
    }
    const auto wanted = load(path).to_tensor_dict();
    NoGradGuard no_grad;
    for (const Tensor& tensor : tensors) tensor.zero_();
    load_into(net, path);
    check(same(wanted, net->state_dict()), "load_into differs");
  }

  Case cases[] = {
      {"raw write", absent(raw), [&] { raw_write(raw, tensors, false); }},
      {"save", absent(zip), [&] { save(state(), zip, {.durable = false}); }},
      {"save safetensors", absent(flat), [&] { save(state(), flat, {.durable = false}); }},
      {"raw write and fsync", absent(raw), [&] { raw_write(raw, tensors, true); }},
      {"save durable", absent(zip), [&] { save(state(), zip); }},
      {"raw read", nothing, [&] { raw_read(raw, tensors); }},
      {"load_into", nothing, [&] { load_into(net, zip); }},
      {"load_into without CRC", nothing, [&] { load_into(net, zip, {.verify_crc = false}); }},
      {"load_into safetensors", nothing, [&] { load_into(net, flat); }},
      {"load", nothing, [&] { load(zip); }},
      {"load mapped", nothing, [&] { load(zip, {.mmap = true}); }},
      {"open", nothing, [&] { open(zip); }},
      {"list safetensors", nothing, [&] { list(flat); }},
  };
  for (int round = 0; round < rounds; ++round) {
    for (Case& c : cases) measure(c);
  }
  for (const Case& c : cases) std::printf("%s\t%.6f\t%.1f\n", c.name, c.seconds, c.mib);
  return 0;
}
