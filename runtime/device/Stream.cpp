//===- Stream.cpp - work in order on a thread of its own --------------------------------------===//

#include "runtime/device/Stream.h"

#include <omp.h>

#include <utility>

namespace deepshard::runtime {

void Event::complete(uint64_t ticket) {
  {
    std::lock_guard lock(mutex);
    completed = ticket;
  }
  changed.notify_all();
}

void Event::waitFor(uint64_t ticket) {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return completed >= ticket; });
}

Stream::Stream(std::string name, int team)
    : label(std::move(name)), queue(kQueueItems), thread([this, team] { loop(team); }) {}

Stream::~Stream() {
  {
    std::lock_guard lock(mutex);
    isEnding = true;
  }
  arrived.notify_one();
  thread.join();
}

void Stream::issue(Work work, void *context, uint64_t argument) {
  {
    std::unique_lock lock(mutex);
    freed.wait(lock, [&] { return issuedItems - finishedItems < kQueueItems; });
    queue[issuedItems++ % kQueueItems] = {work, context, argument};
  }
  arrived.notify_one();
}

void Stream::record(Event &event) {
  auto work = [](void *context, uint64_t ticket) noexcept {
    static_cast<Event *>(context)->complete(ticket);
  };
  issue(work, &event, event.nextTicket());
}

void Stream::wait(Event &event) {
  auto work = [](void *context, uint64_t ticket) noexcept {
    static_cast<Event *>(context)->waitFor(ticket);
  };
  issue(work, &event, event.latestTicket());
}

void Stream::join() {
  std::unique_lock lock(mutex);
  freed.wait(lock, [&] { return issuedItems == finishedItems; });
}

void Stream::loop(int team) {
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
