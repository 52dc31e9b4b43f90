#pragma once
// The address spaces: an arena per virtual device, which host code cannot touch, and pinned host
// memory. The caller of every function here holds the lock.
#include <cstddef>
#include <cstdint>
#include <string>

namespace cuda_emulator {

/// A live allocation, or a registered range of host memory.
struct Block {
  enum Kind { device_memory, pinned, registered };
  char* begin;
  std::size_t size;
  Kind kind;
  int device;  ///< the one that was current, for pinned memory
};

/// The block that `p` points into or right behind the end of; null if there is none.
const Block* find_block(const void* p);
/// The device whose arena `p` lies in, allocated or not; -1 for host memory.
int device_of(const void* p);
inline bool is_device_memory(const void* p) { return device_of(p) >= 0; }
/// "freed memory of cuda:0", "pageable host memory", ...
std::string describe(const void* p);

/// Null when the device is full. The bytes are 0xFF: not a number in every floating type.
void* allocate_device(int device, std::size_t bytes);
void* allocate_pinned(std::size_t bytes);
bool register_pinned(void* memory, std::size_t bytes);
/// False if no block of the kind begins there.
bool free_block(void* memory, Block::Kind kind);
/// Frees what a device holds.
void free_all(int device);
std::size_t bytes_in_use(int device);

bool peer_access(int from, int to);
void set_peer_access(int from, int to, bool enabled);

/// While it lives, the arenas of a set of devices (bit d: cuda:d) are open, and all others closed.
class Access {
 public:
  explicit Access(unsigned devices);
  ~Access();
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;

 private:
  unsigned outer_;
};
/// What a kernel of the device may touch: its own memory and its peers'.
unsigned reachable_from(int device);

}  // namespace cuda_emulator
