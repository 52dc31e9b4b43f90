#include "tarn/io/data/worker_pool.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "tarn/device/check.h"
#include "tarn/device/parallel.h"

namespace tarn::data::detail {

struct WorkerPool::Shared {
  enum class State { kWaiting, kRunning, kDone };
  struct Job {
    size_t slot;
    State state;
  };

  std::function<void(size_t, size_t)> work;
  std::mutex mutex;
  std::condition_variable submitted, done;
  std::vector<Job> jobs;  // in order of submission; only the owner adds and removes
  bool ending = false;
  std::vector<std::thread> threads;

  // The first job in that state; it may move when the mutex is let go.
  Job* first(State state) {
    const auto job =
        std::find_if(jobs.begin(), jobs.end(), [=](const Job& j) { return j.state == state; });
    return job == jobs.end() ? nullptr : &*job;
  }

  void run(size_t worker) {
    const SerialGuard serial;
    std::unique_lock lock(mutex);
    for (;;) {
      submitted.wait(lock, [&] { return ending || first(State::kWaiting); });
      if (ending) return;
      Job* job = first(State::kWaiting);
      job->state = State::kRunning;
      const size_t slot = job->slot;
      lock.unlock();
      work(worker, slot);
      lock.lock();
      for (Job& j : jobs) {
        if (j.slot == slot) j.state = State::kDone;
      }
      done.notify_one();
    }
  }
};

WorkerPool::WorkerPool(size_t workers, std::function<void(size_t, size_t)> work)
    : shared_(std::make_unique<Shared>()) {
  shared_->work = std::move(work);
  shared_->threads.reserve(workers);
  try {
    for (size_t i = 0; i < workers; ++i) {
      shared_->threads.emplace_back([shared = shared_.get(), i] { shared->run(i); });
    }
  } catch (const std::system_error& error) {
    const size_t started = shared_->threads.size();
    join();
    throw Error(str("[DataLoader] cannot start worker ", started + 1, " of ", workers, ": ",
                    error.code().message()));
  }
}

WorkerPool::~WorkerPool() { join(); }

void WorkerPool::submit(size_t slot) {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->jobs.push_back({slot, Shared::State::kWaiting});
  }
  shared_->submitted.notify_one();
}

std::optional<size_t> WorkerPool::wait(bool in_order,
                                       std::optional<std::chrono::milliseconds> timeout) {
  std::unique_lock lock(shared_->mutex);
  auto& jobs = shared_->jobs;
  if (jobs.empty()) return std::nullopt;
  const auto find_done = [&] {
    const auto last = in_order ? jobs.begin() + 1 : jobs.end();
    const auto job = std::find_if(jobs.begin(), last,
                                  [](const auto& j) { return j.state == Shared::State::kDone; });
    return job == last ? jobs.end() : job;
  };
  const auto is_done = [&] { return find_done() != jobs.end(); };
  if (!timeout) {
    shared_->done.wait(lock, is_done);
  } else if (!shared_->done.wait_for(lock, *timeout, is_done)) {
    throw Error(str("[DataLoader] Timeout in DataLoader queue while waiting for next batch ",
                    "(timeout was ", timeout->count(), " ms)"));
  }
  const auto job = find_done();
  const size_t slot = job->slot;
  jobs.erase(job);
  return slot;
}

void WorkerPool::discard() {
  std::unique_lock lock(shared_->mutex);
  auto& jobs = shared_->jobs;
  std::erase_if(jobs, [](const auto& j) { return j.state != Shared::State::kRunning; });
  shared_->done.wait(lock, [&] { return !shared_->first(Shared::State::kRunning); });
  jobs.clear();
}

void WorkerPool::join() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->ending = true;
  }
  shared_->submitted.notify_all();
  for (std::thread& thread : shared_->threads) thread.join();
  shared_->threads.clear();
}

}  // namespace tarn::data::detail
