//===- NcclCommunicator.h - one group's collectives by NCCL -----------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_NCCL_NCCLCOMMUNICATOR_H
#define DEEPSHARD_RUNTIME_COMM_NCCL_NCCLCOMMUNICATOR_H

#include "runtime/comm/Communicator.h"
#include "runtime/comm/nccl/Api.h"
#include "runtime/comm/nccl/Nccl.h"
#include "runtime/device/cuda/Stream.h"

#include <memory>

namespace deepshard::runtime::cuda {

/// Collectives join the current stream. The order of sums is NCCL's, the same on all members.
class NcclCommunicator final : public Communicator {
public:
  /// `communicator` is given back to `world` at the end.
  NcclCommunicator(NcclWorld &world, const NcclApi &api, ncclComm_t communicator,
                   std::unique_ptr<Communicator> host, const Streams &streams);
  ~NcclCommunicator() override;

  int rank() const override { return host->rank(); }
  int size() const override { return host->size(); }
  void allReduce(const void *input, void *output, int64_t elements, DType type,
                 Reduction reduction) override;
  void reduceScatter(const void *input, void *output, int64_t outer, int64_t inner, DType type,
                     Reduction reduction) override;
  void allGather(const void *input, void *output, int64_t outer, int64_t inner,
                 DType type) override;
  void allToAllForward(const void *input, void *output, int64_t outer, int64_t middle,
                       int64_t inner, DType type) override;
  void allToAllBackward(const void *input, void *output, int64_t outer, int64_t middle,
                        int64_t inner, DType type) override;
  void permute(const void *input, void *output, int64_t elements, DType type,
               std::span<const int> sources) override;
  void barrier() override { host->barrier(); }

private:
  /// Calls `add(check)` inside a group of calls; each is given to `check`.
  template <typename Add> void group(const char *name, const Add &add);

  NcclWorld &world;
  const NcclApi &api;
  ncclComm_t communicator;
  std::unique_ptr<Communicator> host;
  const Streams &streams;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_COMM_NCCL_NCCLCOMMUNICATOR_H
