//===- Communicator.h - what a group of ranks does together -----------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_COMMUNICATOR_H
#define DEEPSHARD_RUNTIME_COMM_COMMUNICATOR_H

#include "runtime/kernels/Kernel.h"

#include <cstdint>
#include <span>

namespace deepshard::runtime {

enum class Reduction { Sum, Max, Min };

/// The collectives of one group of ranks, seen from one of its members. Every member calls the same
/// collectives with the same sizes in the same order, each on the thread of the stream that the
/// task is on; a call returns when this rank may use its output and overwrite its input.
///
/// Memory marked (window) lies in the rank's window (World.h), at the same offset on every member.
/// Tensors are row-major without gaps; `outer`, `middle` and `inner` are products of dimensions
/// before, between and behind those that are cut, counted in elements. N is size().
///
/// A reduction adds halves of the group first, ((0 + 1) + (2 + 3)) + ..., so that groups of a power
/// of two that are summed one after another give the bits of one sum over all. Of an odd number the
/// first half is the larger: 3 members give (0 + 1) + 2, 5 give ((0 + 1) + 2) + (3 + 4). bf16 and
/// f16 are added in f32 and rounded once at the end; integers wrap; a NaN wins in Max and Min.
/// Every member gets the same bits. Types that are reduced: f32, f64, bf16, f16, i64, i32.
///
/// Every call throws Error if the job was aborted or no member moved for the timeout (by
/// ExitCode::RankFailed; the message names the members that are missing and what they noted last),
/// or, by ExitCode::Internal, if (window) memory is not in the window.
class Communicator {
public:
  virtual ~Communicator() = default;

  /// This rank's place in the group.
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// output[i] = the reduction of input[i] over the group. Input and output (window) may be equal.
  virtual void allReduce(const void *input, void *output, int64_t elements, DType type,
                         Reduction reduction) = 0;

  /// Input (window) [outer][N][inner], output [outer][inner]: part rank() of the reduction. With
  /// outer = 1 the output may be that part of the input.
  virtual void reduceScatter(const void *input, void *output, int64_t outer, int64_t inner,
                             DType type, Reduction reduction) = 0;

  /// Input (window, at any offset) [outer][inner], output [outer][N][inner]. With outer = 1 the
  /// input may be part rank() of the output.
  virtual void allGather(const void *input, void *output, int64_t outer, int64_t inner,
                         DType type) = 0;

  /// Cuts a dimension before the one that is joined: input (window) [outer][N][middle][inner],
  /// output [outer][middle][N][inner], output[o][m][j][i] = input of j [o][rank()][m][i].
  virtual void allToAllForward(const void *input, void *output, int64_t outer, int64_t middle,
                               int64_t inner, DType type) = 0;

  /// Cuts a dimension behind the one that is joined: input (window) [outer][middle][N][inner],
  /// output [outer][N][middle][inner], output[o][j][m][i] = input of j [o][m][rank()][i].
  virtual void allToAllBackward(const void *input, void *output, int64_t outer, int64_t middle,
                                int64_t inner, DType type) = 0;

  /// Output = the input (window) of member `sources[rank()]`; `sources` is a permutation.
  virtual void permute(const void *input, void *output, int64_t elements, DType type,
                       std::span<const int> sources) = 0;

  /// Returns when every member has called it.
  virtual void barrier() = 0;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_COMM_COMMUNICATOR_H
