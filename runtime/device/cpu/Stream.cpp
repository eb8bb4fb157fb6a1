//===- Stream.cpp - work in order on a thread of its own --------------------------------------===//

#include "runtime/device/cpu/Stream.h"

#include <omp.h>

namespace deepshard::runtime {

void CpuEvent::complete(uint64_t ticket) {
  {
    std::lock_guard lock(mutex);
    completed = ticket;
  }
  changed.notify_all();
}

void CpuEvent::waitFor(uint64_t ticket) {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return completed >= ticket; });
}

CpuStream::CpuStream(int team) : queue(kQueueItems), thread([this, team] { loop(team); }) {}

CpuStream::~CpuStream() {
  {
    std::lock_guard lock(mutex);
    isEnding = true;
  }
  arrived.notify_one();
  thread.join();
}

void CpuStream::issue(Work work, void *context, uint64_t argument) {
  {
    std::unique_lock lock(mutex);
    freed.wait(lock, [&] { return issuedItems - finishedItems < kQueueItems; });
    queue[issuedItems++ % kQueueItems] = {work, context, argument};
  }
  arrived.notify_one();
}

void CpuStream::record(Event &event) {
  auto work = [](void *context, uint64_t ticket) noexcept {
    static_cast<CpuEvent *>(context)->complete(ticket);
  };
  auto &own = static_cast<CpuEvent &>(event);
  issue(work, &own, own.nextTicket());
}

void CpuStream::wait(Event &event) {
  auto work = [](void *context, uint64_t ticket) noexcept {
    static_cast<CpuEvent *>(context)->waitFor(ticket);
  };
  auto &own = static_cast<CpuEvent &>(event);
  issue(work, &own, own.latestTicket());
}

void CpuStream::join() {
  std::unique_lock lock(mutex);
  freed.wait(lock, [&] { return issuedItems == finishedItems; });
}

void CpuStream::loop(int team) {
  // The team of a parallel region is a setting of the thread that opens it.
  omp_set_num_threads(team);
  std::unique_lock lock(mutex);
  while (true) {
    arrived.wait(lock, [&] { return issuedItems != finishedItems || isEnding; });
    if (issuedItems == finishedItems)
      return;
    Item item = queue[finishedItems % kQueueItems];
    lock.unlock();
    item.work(item.context, item.argument);
    lock.lock();
    ++finishedItems;
    freed.notify_one();
  }
}

} // namespace deepshard::runtime
