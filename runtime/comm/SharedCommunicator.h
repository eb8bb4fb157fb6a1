//===- SharedCommunicator.h - collectives through shared memory -------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_SHAREDCOMMUNICATOR_H
#define DEEPSHARD_RUNTIME_COMM_SHAREDCOMMUNICATOR_H

#include "runtime/comm/Communicator.h"
#include "runtime/comm/Loops.h"
#include "runtime/comm/PeerPages.h"
#include "runtime/comm/Rendezvous.h"

#include <vector>

namespace deepshard::runtime {

/// The collectives of a group whose members see each other's windows. Nothing is packed or copied
/// in between: a member reads what it needs from the windows of the others, and all_reduce writes
/// the results there. Every collective is two phases of the rendezvous: at the first the inputs are
/// ready, at the second nobody reads or writes any more.
class SharedCommunicator final : public Communicator {
public:
  /// `windows`: of the members, `windowBytes` each.
  SharedCommunicator(Rendezvous rendezvous, std::vector<char *> windows, uint64_t windowBytes);

  int rank() const override { return self; }
  int size() const override { return members; }
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
  void barrier() override;

private:
  /// `rows` pieces of `bytes` each; strides in bytes from one piece to the next.
  struct Pieces {
    int64_t rows, bytes, toStride, fromStride;
  };

  /// The offset of `bytes` of this rank's window. Throws Error if they are not in it.
  uint64_t offsetOf(const void *data, int64_t bytes) const;
  /// The input of a member that has been awaited.
  const char *inputOf(int member) const { return windows[member] + rendezvous.offsetOf(member); }
  /// Says that this rank's input is ready, at `offset`.
  void enter(uint64_t offset);
  /// Calls `read(member, its input of so many bytes)` for each member once its input is ready,
  /// itself first; returns when all members have done so.
  template <typename Read> void readEach(const void *input, int64_t bytes, const Read &read);
  void copy(char *to, const char *from, const Pieces &pieces) const;
  /// `bytes` from `begin` on in the window of `member` are about to be used.
  void noteUse(int member, const void *begin, int64_t bytes);
  void leave();

  Rendezvous rendezvous;
  int self;
  int members;
  std::vector<char *> windows;
  uint64_t windowBytes;
  const comm::Loops &loops;
  PeerPages peerPages;
  std::vector<const void *> inputs; // of a reduction, one per member
  std::vector<void *> outputs;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_COMM_SHAREDCOMMUNICATOR_H
