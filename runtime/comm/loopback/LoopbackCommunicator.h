//===- LoopbackCommunicator.h - collectives of ranks that share a GPU -------------------------===//
//
// The ranks are threads of one process, so each sees the memory and the events of the others. A
// collective is, on every rank:
//
//   stream                                      host
//   record `ready`                              say where the input is
//                                               wait until all have come here
//   wait for `ready` of all others
//   copy or reduce from their windows
//   record `done`
//                                               wait until all have come here
//   wait for `done` of all others
//
// So nothing on the GPU spins, and any number of ranks fits on it.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_LOOPBACK_LOOPBACKCOMMUNICATOR_H
#define DEEPSHARD_RUNTIME_COMM_LOOPBACK_LOOPBACKCOMMUNICATOR_H

#include "runtime/comm/Communicator.h"
#include "runtime/device/cuda/BuiltIn.h"
#include "runtime/device/cuda/Stream.h"

#include <memory>
#include <vector>

namespace deepshard::runtime::cuda {

/// The sums have the order of Communicator.h: they give the bits of ranks on the CPU.
class LoopbackCommunicator final : public Communicator {
public:
  /// `host`: the same group in host memory; `exchange`: this rank's window there. All members make
  /// theirs at the same time. Throws Error for groups of more than kMostMembers.
  LoopbackCommunicator(std::unique_ptr<Communicator> host, char *exchange, BuiltIn &builtIn,
                       const Streams &streams);

  int rank() const override { return self; }
  int size() const override { return static_cast<int>(members.size()); }
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
  /// What a member shows the others. It lives as long as one of them may wait for its events.
  struct Member {
    CudaEvent ready, done;
    const char *input = nullptr;
    char *output = nullptr;
  };
  /// A member for the others to take, by a number, as long as the offer lives: a rank that leaves
  /// takes nothing away that another one is reading.
  class Offer {
  public:
    explicit Offer(std::shared_ptr<Member> member);
    ~Offer();
    Offer(const Offer &) = delete;
    Offer &operator=(const Offer &) = delete;
    int64_t number() const { return own; }
    /// Null if there is no such offer any more.
    static std::shared_ptr<Member> take(int64_t number);

  private:
    struct Open;
    static Open &open();
    int64_t own;
  };

  /// Calls `work` between the two meetings.
  template <typename Work> void meet(const void *input, void *output, const Work &work);
  void waitForOthers(CudaEvent Member::*event);
  Member &own() { return *members[static_cast<size_t>(self)]; }
  /// Copies [outer][rows][bytes] with these strides in bytes.
  void copy(const char *from, char *to, const int64_t (&shape)[3], const int64_t (&fromStrides)[3],
            const int64_t (&toStrides)[3]);

  std::unique_ptr<Communicator> host;
  int self;
  std::vector<std::shared_ptr<Member>> members;
  BuiltIn &builtIn;
  const Streams &streams;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_COMM_LOOPBACK_LOOPBACKCOMMUNICATOR_H
