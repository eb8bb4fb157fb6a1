//===- Nccl.h - collectives of GPUs by NCCL ---------------------------------------------------===//
//
// All groups are splits of one communicator of all ranks. Communicators do not block: a call may
// return while it still goes on, and is asked again until it has been taken; so a rank that waits
// for others can be told to give up (abort).
//
// What NCCL has no call for is a group of calls on contiguous pieces: a cut that is not along the
// outermost dimension is a call for each row.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_NCCL_NCCL_H
#define DEEPSHARD_RUNTIME_COMM_NCCL_NCCL_H

#include "runtime/device/Cuda.h"
#include "runtime/device/cuda/Stream.h"

#include <list>
#include <memory>
#include <span>

typedef struct ncclComm *ncclComm_t;

namespace deepshard::runtime::cuda {

struct NcclApi;

/// The NCCL side of a rank.
class NcclWorld {
public:
  /// Opens NCCL and meets all other ranks. Throws Error: NCCL is missing or older than 2.28.
  NcclWorld(const CudaOptions &options, const Streams &streams);
  ~NcclWorld();

  /// Memory that collectives reach without copies of NCCL's own, not cleared.
  std::unique_ptr<Arena> window(uint64_t bytes);
  /// Called by all ranks for all groups in one order.
  std::unique_ptr<Communicator> communicator(std::unique_ptr<Communicator> host,
                                             std::span<const int> members);

  /// Throws Error if a communicator reports one.
  void throwIfFailed() const;
  /// Ends what is under way on all communicators, which cannot be used again.
  void abort() noexcept;
  /// Gives a communicator of `communicator` back, together with its other members.
  void leave(ncclComm_t communicator) noexcept;

private:
  struct Membership;

  void join(const CudaOptions &options);
  void split(Membership &membership, int group, int rankInGroup);

  std::unique_ptr<NcclApi> api;
  const Streams &streams;
  int rank;
  std::list<Membership> memberships; // the first of all ranks
  char *windowBase = nullptr;
  uint64_t windowBytes = 0;
  bool isAborted = false;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_COMM_NCCL_NCCL_H
