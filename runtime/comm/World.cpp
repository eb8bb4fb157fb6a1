//===- World.cpp - the ranks of one job on one host -------------------------------------------===//
//
// The mapping: the windows, each rounded up to 2 MiB, then the control block.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/comm/World.h"

#include "runtime/comm/Control.h"
#include "runtime/comm/SharedCommunicator.h"
#include "runtime/plan/Error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <optional>

#include <sched.h>
#include <sys/mman.h>

using namespace deepshard::runtime;

namespace {

constexpr uint64_t kAlignment = uint64_t{2} << 20;

uint64_t roundedUp(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// An anonymous mapping that forked processes share; zero, and without memory until it is touched.
class SharedMapping {
public:
  explicit SharedMapping(uint64_t bytes) : mappedBytes(bytes + kAlignment) {
    mapping =
        ::mmap(nullptr, mappedBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
      throw Error(fmt::format("this machine does not give {} bytes of shared memory, which the "
                              "ranks' windows need: {}",
                              bytes, std::strerror(errno)));
    base = reinterpret_cast<char *>(roundedUp(reinterpret_cast<uintptr_t>(mapping)));
  }
  ~SharedMapping() { ::munmap(mapping, mappedBytes); }
  SharedMapping(const SharedMapping &) = delete;
  SharedMapping &operator=(const SharedMapping &) = delete;

  char *data() const { return base; }

private:
  uint64_t mappedBytes;
  void *mapping;
  char *base;
};

/// Cores that this process may use: the ranks share them.
int cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

uint64_t checkedBytes(int ranks, uint64_t windowBytes) {
  if (ranks < 1)
    throw Error(fmt::format("a job of {} ranks cannot be, at least 1 is needed", ranks),
                ExitCode::Internal);
  constexpr uint64_t kMost = uint64_t{1} << 47; // addresses of a process
  if (windowBytes > kMost / static_cast<uint64_t>(ranks))
    throw Error(fmt::format("no machine gives {} windows of {} bytes", ranks, windowBytes));
  return ranks * roundedUp(windowBytes) + Control::bytesFor(ranks);
}

} // namespace

class World::Impl {
public:
  Impl(int ranks, uint64_t windowBytes, std::chrono::milliseconds timeout)
      : ranks(ranks), windowBytes(windowBytes), patience{ranks <= cores(), timeout},
        mapping(checkedBytes(ranks, windowBytes)),
        control(mapping.data() + ranks * roundedUp(windowBytes), ranks) {
    // Huge pages only for whole 2 MiB blocks: the rounded-up tail would count as used memory.
    if (const uint64_t whole = windowBytes / kAlignment * kAlignment; whole > 0)
      for (int rank = 0; rank < ranks; ++rank)
        ::madvise(window(rank), whole, MADV_HUGEPAGE);
  }

  char *window(int rank) const { return mapping.data() + rank * roundedUp(windowBytes); }

  const int ranks;
  const uint64_t windowBytes;
  const Patience patience;
  SharedMapping mapping;
  Control control;
};

World::World(int ranks, uint64_t windowBytes, std::chrono::milliseconds timeout)
    : impl(std::make_unique<Impl>(ranks, windowBytes, timeout)) {}

World::~World() = default;

int World::ranks() const { return impl->ranks; }

uint64_t World::windowBytes() const { return impl->windowBytes; }

std::chrono::milliseconds World::timeout() const { return impl->patience.timeout; }

char *World::window(int rank) const { return impl->window(rank); }

std::unique_ptr<Communicator> World::communicator(int rank, int group,
                                                  std::span<const int> members) {
  std::vector<bool> isMember(impl->ranks, false);
  std::vector<char *> windows;
  bool isValid = group >= 0 && group < kMaxGroups;
  for (int member : members) {
    isValid = isValid && member >= 0 && member < impl->ranks && !isMember[member];
    if (!isValid)
      break;
    isMember[member] = true;
    windows.push_back(impl->window(member));
  }
  const auto self = std::find(members.begin(), members.end(), rank);
  if (!isValid || self == members.end())
    throw Error(fmt::format("rank {} of {} cannot be in group {} of ranks [{}]: expected a group "
                            "below {} of distinct ranks, this one among them",
                            rank, impl->ranks, group, fmt::join(members, ", "), kMaxGroups),
                ExitCode::Internal);
  Rendezvous rendezvous(impl->control, group, members, static_cast<int>(self - members.begin()),
                        impl->patience);
  return std::make_unique<SharedCommunicator>(std::move(rendezvous), std::move(windows),
                                              impl->windowBytes);
}

void World::abort(int rank, const std::string &reason) noexcept {
  impl->control.abort(rank, reason);
}

bool World::isAborted() const noexcept { return impl->control.isAborted(); }

std::string World::abortReason() const { return impl->control.abortReason(); }

void World::note(int rank, uint32_t sequence) noexcept {
  impl->control.state(rank).noted.store(uint64_t{sequence} + 1, std::memory_order_relaxed);
}

void World::publish(int rank, uint64_t number) noexcept {
  impl->control.state(rank).published.store(number, std::memory_order_relaxed);
}

uint64_t World::largestPublished() const noexcept {
  uint64_t largest = 0;
  for (int rank = 0; rank < impl->ranks; ++rank)
    largest =
        std::max(largest, impl->control.state(rank).published.load(std::memory_order_relaxed));
  return largest;
}

void World::stopAfter(uint64_t step) noexcept { impl->control.lastStep().store(step); }

uint64_t World::lastStep() const noexcept { return impl->control.lastStep().load(); }
