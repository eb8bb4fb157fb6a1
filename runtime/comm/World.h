//===- World.h - the ranks of one job on one host ---------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_WORLD_H
#define DEEPSHARD_RUNTIME_COMM_WORLD_H

#include "runtime/comm/Communicator.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace deepshard::runtime {

/// Memory that all ranks of a job see: a window per rank and a control block. It is an anonymous
/// shared mapping, made before the ranks start: processes forked afterwards share it, and so do
/// threads of one process. It has no name, so nothing stays behind however the ranks end.
class World {
public:
  /// `windowBytes`: of each rank. `timeout`: how long a rank waits for others that do not move.
  /// Throws Error if the machine does not have the memory.
  World(int ranks, uint64_t windowBytes, std::chrono::milliseconds timeout);
  ~World();
  World(const World &) = delete;
  World &operator=(const World &) = delete;

  int ranks() const;
  uint64_t windowBytes() const;
  std::chrono::milliseconds timeout() const;
  /// The window of a rank, aligned to 2 MiB, zero at first.
  char *window(int rank) const;

  /// The communicator of `members` (in the order of their parts), of which `rank` is one. `group`
  /// is the index among the plan's groups, the same for all members, below 128; a rank has one
  /// communicator of each index at a time. It must not outlive the world.
  std::unique_ptr<Communicator> communicator(int rank, int group, std::span<const int> members);

  /// Ends the job: whoever waits, or comes to wait, throws, within some 10 ms. The first reason is
  /// kept. A rank that waited for too long does this itself before it throws.
  void abort(int rank, const std::string &reason) noexcept;
  bool isAborted() const noexcept;
  /// The first reason and who gave it, "rank 2: its reason"; empty if nobody did.
  std::string abortReason() const;

  /// What a rank is doing, for messages about ranks that hang: the index of a collective task.
  void note(int rank, uint32_t sequence) noexcept;

  /// One number a rank publishes for all (peak bytes of memory), and the largest of all ranks.
  void publish(int rank, uint64_t number) noexcept;
  uint64_t largestPublished() const noexcept;

  /// The step after which all ranks stop: rank 0 names it before it joins that step's first
  /// collective, so that every rank has seen it when the step ends. Until then the last step is the
  /// largest number.
  void stopAfter(uint64_t step) noexcept;
  uint64_t lastStep() const noexcept;

private:
  class Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_COMM_WORLD_H
