#pragma once
// The threads behind a DataLoader. Knows nothing of datasets: a job is the number of a slot in
// which its owner keeps what the job needs and makes.

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

namespace tarn::data::detail {

// All members are for one thread, the owner's.
class WorkerPool {
 public:
  // work(worker, slot) runs on thread `worker` of 0..workers-1, and must not throw. Ops inside it
  // use that one thread. Throws Error when the system gives no more threads.
  WorkerPool(size_t workers, std::function<void(size_t worker, size_t slot)> work);
  // Drops jobs that have not begun and waits for the running ones.
  ~WorkerPool();

  // Everything written to the slot before is seen by its job.
  void submit(size_t slot);
  // Waits for a job to end and returns its slot: the one submitted first if `in_order`, else any.
  // Null when there is none to wait for. Throws Error after `timeout`; the job goes on and may be
  // waited for again.
  std::optional<size_t> wait(bool in_order, std::optional<std::chrono::milliseconds> timeout);
  // Forgets all jobs, waiting for the running ones.
  void discard();
  // Ends the threads, as the destructor does.
  void join();

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace tarn::data::detail
