//===- LoopNest.h - elementwise loops over strided operands -----------------------------------===//
//
// Most reference kernels visit the elements of one index space and touch one element of every
// operand at each index. A `LoopNest` is that index space with the operands' byte strides, its
// dimensions sorted and merged so that the innermost one is as long and as contiguous as can be. A
// `NestStep` runs a row function over it; a `NestKernel` is a list of steps.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_LOOPNEST_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_LOOPNEST_H

#include "runtime/kernels/Kernel.h"

#include <array>
#include <memory>
#include <vector>

namespace deepshard::runtime::reference {

constexpr int kMaxNestOperands = 4;
using Pointers = std::array<char *, kMaxNestOperands>;
using ByteStrides = std::array<int64_t, kMaxNestOperands>;

/// Computes `count` elements: operand k's next element lies `strides[k]` bytes after `at[k]`.
using RowFunction = void (*)(const void *context, char *const *at, const int64_t *strides,
                             int64_t count);

struct LoopNest {
  int64_t count = 0;                // elements in all
  std::vector<int64_t> shape;       // outermost first, at least one dimension
  std::vector<ByteStrides> strides; // per dimension

  /// The nest over `shape`; every operand has these sizes. The first operand (the one written)
  /// decides the order.
  LoopNest(const std::vector<int64_t> &shape, const std::vector<TensorDesc> &operands);
};

/// Where an operand of a step lies: an input or output of the kernel, or constant bytes the step
/// owns.
struct NestOperand {
  enum Kind { Input, Output, Constant } kind;
  int index = 0;
  int64_t byteOffset = 0;

  static NestOperand input(int index, int64_t byteOffset = 0) { return {Input, index, byteOffset}; }
  static NestOperand output(int index, int64_t byteOffset = 0) {
    return {Output, index, byteOffset};
  }
  static NestOperand constant() { return {Constant, 0, 0}; }
};

struct NestStep {
  LoopNest nest;
  std::vector<NestOperand> operands; // in the order of the nest's
  RowFunction row;
  std::shared_ptr<const void> context; // given to `row`
  std::vector<char> constant;          // what a Constant operand points to
};

/// Runs steps one after the other, each split over the team.
class NestKernel : public Kernel {
public:
  NestKernel(std::vector<NestStep> steps, int threads)
      : steps(std::move(steps)), threads(threads) {}
  void run(const KernelArguments &arguments) noexcept override;

private:
  std::vector<NestStep> steps;
  int threads;
};

/// Requires that all inputs have the shape of result 0.
void requireEqualShapes(const KernelSpec &spec);

/// A kernel of one step over the whole of result 0 and all inputs, whose shapes must be equal.
std::unique_ptr<Kernel> elementwiseKernel(const KernelSpec &spec, RowFunction row,
                                          std::shared_ptr<const void> context = nullptr);

/// Runs `row` over the elements [begin, end) of the nest's row-major order.
void runRange(const LoopNest &nest, const Pointers &base, RowFunction row, const void *context,
              int64_t begin, int64_t end) noexcept;

/// Offset, in elements, of element `index` of the row-major order.
int64_t offsetOf(const TensorDesc &desc, int64_t index);

/// A row function that copies elements of `dtype` from operand 1 to operand 0.
RowFunction copyRow(DType dtype);

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_LOOPNEST_H
