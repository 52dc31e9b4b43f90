#include "tarn/tests/cuda_emulator/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>

#include "tarn/tests/cuda_emulator/api.h"
#include "tarn/tests/cuda_emulator/executor.h"
#include "tarn/tests/cuda_emulator/settings.h"

#if TARN_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) static_cast<void>(address)
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) static_cast<void>(address)
#endif

namespace cuda_emulator {
namespace {

constexpr std::size_t arena_bytes = std::size_t{16} << 30;
constexpr std::size_t redzone = 256;  // also the alignment cudaMalloc promises
constexpr std::size_t page = 4096;
constexpr std::size_t resting = 8;  // freed blocks of a size that are not given out again
constexpr int max_devices = 8;
constexpr unsigned char canary = 0xFD;
#if TARN_EMULATOR_ASAN
constexpr bool sees_redzones = true;
#else
constexpr bool sees_redzones = false;
#endif

struct Arena {
  char* base = nullptr;
  std::size_t top = 0;  // bytes ever given out, whole pages of them committed
  std::size_t in_use = 0;
  bool open = false;
  std::size_t visits = 0;  // since it was last closed
  unsigned peers = 0;
  std::map<std::size_t, std::deque<char*>> freed;  // by size of the chunk
};

std::size_t whole_pages(std::size_t bytes) { return (bytes + page - 1) & ~(page - 1); }
std::size_t chunk_bytes(std::size_t bytes) {
  return ((bytes + redzone - 1) & ~(redzone - 1)) + 2 * redzone;
}

std::map<const char*, Block>& blocks() {
  static auto* map = new std::map<const char*, Block>;  // outlives whatever frees at exit
  return *map;
}

unsigned open_devices = 0;  // what the innermost Access has opened
struct sigaction outer_handler;
bool fault_seen = false;
Arena* arena_list = nullptr;

// Says whose memory was touched, and leaves the rest to whoever handled the signal before.
void on_fault(int, siginfo_t* info, void*) {
  const void* address = info->si_addr;
  int device = device_of(address);
  if (device >= 0) {
    std::fflush(stdout);
    if (in_kernel())
      std::fprintf(stderr,
                   "cuda emulator: a kernel touched %p, memory of cuda:%d, which its device cannot "
                   "reach\n",
                   address, device);
    else
      std::fprintf(stderr, "cuda emulator: host code touched %p, memory of cuda:%d\n", address,
                   device);
  }
  // The access is tried again, before another handler; the second time before none.
  if (fault_seen)
    signal(SIGSEGV, SIG_DFL);
  else
    sigaction(SIGSEGV, &outer_handler, nullptr);
  fault_seen = true;
}

// Done before each time that host code could meet closed memory: test programs install handlers of
// their own, and take back what they found, for every test.
void install_fault_handler() {
  struct sigaction current {};
  sigaction(SIGSEGV, nullptr, &current);
  if (current.sa_flags & SA_SIGINFO && current.sa_sigaction == on_fault) return;
  outer_handler = current;
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
}

void report_leaks() {
  for (const auto& [address, block] : blocks())
    std::fprintf(stderr, "cuda emulator: leaked %zu bytes of %s at %p\n", block.size,
                 describe(address).c_str(), static_cast<const void*>(address));
  if (blocks().empty()) return;
  std::fflush(nullptr);
  _exit(1);
}

Arena* arenas() {
  if (arena_list) return arena_list;
  auto* list = new Arena[max_devices];
  for (int d = 0; d < settings().devices; ++d) {
    void* memory =
        mmap(nullptr, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail("no address space for the memory of cuda:%d", d);
    list[d].base = static_cast<char*>(memory);
  }
  arena_list = list;
  if (settings().leaks) std::atexit(report_leaks);
  return list;
}

void protect(Arena& arena, bool open) {
  if (arena.open == open) return;
  arena.open = open;
  arena.visits = 0;
  if (!open) install_fault_handler();
  if (arena.top > 0)
    mprotect(arena.base, whole_pages(arena.top), open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

// Closing costs time for each page, so that a large arena is closed only after some visits: 4 MiB
// a visit.
bool time_to_close(Arena& arena) { return ++arena.visits * (std::size_t{4} << 20) >= arena.top; }

void set_access(unsigned devices) {
  open_devices = devices;
  for (int d = 0; d < settings().devices; ++d) {
    Arena& arena = arenas()[d];
    if (devices >> d & 1)
      protect(arena, true);
    else if (arena.open && (devices != 0 || (settings().guard && time_to_close(arena))))
      protect(arena, false);
  }
}

void check_redzones(const Block& block) {
  if (sees_redzones) return;
  const char* chunk = block.begin - redzone;
  const char* end = chunk + chunk_bytes(block.size);
  for (const char* p = chunk; p < end; ++p) {
    if (p == block.begin) p += block.size;
    if (static_cast<unsigned char>(*p) != canary)
      fail("a kernel wrote %td bytes from the beginning of an allocation of %zu bytes of cuda:%d",
           p - block.begin, block.size, block.device);
  }
}

void free_device(const Block& block) {
  Arena& arena = arenas()[block.device];
  Access access(1u << block.device);
  check_redzones(block);
  std::size_t chunk = chunk_bytes(block.size);
  arena.in_use -= block.size;
  // Whole pages go back to the system.
  auto first = whole_pages(reinterpret_cast<std::uintptr_t>(block.begin));
  auto last = reinterpret_cast<std::uintptr_t>(block.begin + block.size) & ~(page - 1);
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  ASAN_POISON_MEMORY_REGION(block.begin, block.size);
  arena.freed[chunk].push_back(block.begin - redzone);
}

}  // namespace

const Block* find_block(const void* p) {
  auto it = blocks().upper_bound(static_cast<const char*>(p));
  if (it == blocks().begin()) return nullptr;
  const Block& block = std::prev(it)->second;
  return p <= block.begin + block.size ? &block : nullptr;
}

int device_of(const void* p) {
  if (!arena_list) return -1;
  for (int d = 0; d < settings().devices; ++d) {
    const char* base = arena_list[d].base;
    if (p >= base && p < base + arena_bytes) return d;
  }
  return -1;
}

std::string describe(const void* p) {
  int device = device_of(p);
  if (device >= 0)
    return (find_block(p) ? "memory of cuda:" : "freed or unallocated memory of cuda:") +
           std::to_string(device);
  return find_block(p) ? "pinned host memory" : "pageable host memory";
}

void* allocate_device(int device, std::size_t bytes) {
  Arena& arena = arenas()[device];
  if (bytes > settings().capacity || arena.in_use > settings().capacity - bytes) return nullptr;
  std::size_t size = chunk_bytes(bytes);
  Access access(1u << device);
  char* chunk = nullptr;
  auto rested = arena.freed.find(size);
  if (rested != arena.freed.end() && rested->second.size() > resting) {
    chunk = rested->second.front();
    rested->second.pop_front();
  } else {
    if (arena.top + size > arena_bytes) return nullptr;
    chunk = arena.base + arena.top;
    std::size_t committed = whole_pages(arena.top);
    arena.top += size;
    std::size_t wanted = whole_pages(arena.top);
    if (wanted > committed)
      mprotect(arena.base + committed, wanted - committed, PROT_READ | PROT_WRITE);
  }
  ASAN_UNPOISON_MEMORY_REGION(chunk, size);
  char* memory = chunk + redzone;
  std::memset(chunk, canary, size);
  std::memset(memory, 0xFF, bytes);
  ASAN_POISON_MEMORY_REGION(chunk, redzone);
  ASAN_POISON_MEMORY_REGION(memory + bytes, size - redzone - bytes);
  arena.in_use += bytes;
  blocks()[memory] = {memory, bytes, Block::device_memory, device};
  return memory;
}

void* allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, page, bytes) != 0) return nullptr;
  std::memset(memory, 0xFF, bytes);
  auto* begin = static_cast<char*>(memory);
  blocks()[begin] = {begin, bytes, Block::pinned, current_device()};
  return memory;
}

bool register_pinned(void* memory, std::size_t bytes) {
  auto* begin = static_cast<char*>(memory);
  auto next = blocks().lower_bound(begin);
  bool free_behind = next == blocks().end() || next->second.begin >= begin + bytes;
  bool free_before = next == blocks().begin() ||
                     std::prev(next)->second.begin + std::prev(next)->second.size <= begin;
  if (!free_behind || !free_before) return false;
  blocks()[begin] = {begin, bytes, Block::registered, current_device()};
  return true;
}

bool free_block(void* memory, Block::Kind kind) {
  auto it = blocks().find(static_cast<char*>(memory));
  if (it == blocks().end() || it->second.kind != kind) return false;
  Block block = it->second;
  blocks().erase(it);
  if (kind == Block::device_memory) free_device(block);
  if (kind == Block::pinned) std::free(memory);
  return true;
}

void free_all(int device) {
  for (auto it = blocks().begin(); it != blocks().end();) {
    Block block = (it++)->second;
    if (block.device == device) free_block(block.begin, block.kind);
  }
}

std::size_t bytes_in_use(int device) { return arenas()[device].in_use; }

bool peer_access(int from, int to) { return arenas()[from].peers >> to & 1; }

void set_peer_access(int from, int to, bool enabled) {
  unsigned bit = 1u << to;
  arenas()[from].peers = enabled ? arenas()[from].peers | bit : arenas()[from].peers & ~bit;
}

unsigned reachable_from(int device) { return 1u << device | arenas()[device].peers; }

Access::Access(unsigned devices) : outer_(open_devices) { set_access(devices); }
Access::~Access() { set_access(outer_); }

}  // namespace cuda_emulator
