//===- Parameters.h - what the kernels of provider "cuda" are given ---------------------------===//
//
// Included by nvcc and by g++: plain types only. The struct of a kernel begins with the addresses
// that it is given for a run; everything behind them is known when it is prepared. Strides and
// sizes are in bytes where they are not said to be in elements.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_PARAMETERS_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_PARAMETERS_H

#include "runtime/kernels/AdamWStep.h"
#include "runtime/kernels/LossScale.h"

#include <stdint.h>

namespace deepshard::runtime::cuda {

//===-- sizes that launches and kernels agree on ----------------------------------------------===//

constexpr int kThreads = 256;       // of a block, but for the sort's
constexpr int kSortTile = 1024;     // positions, and threads, of a block of the sort
constexpr int kMostDigitBits = 9;   // of a pass of the sort
constexpr int kSquaresTile = 16384; // elements whose squares a block sums

//===-- what several have in common -----------------------------------------------------------===//

/// As DType has them.
enum class Element : int32_t { F32, F64, BF16, F16, I64, I32, I8, I1 };

constexpr int kMostNestDims = 16;
constexpr int kMostNestOperands = 4;

/// An index space, outermost dimension first, at least one of them, and where its elements lie in
/// each operand (reference/LoopNest.h).
struct Nest {
  int64_t count;
  int64_t rank;
  int64_t shape[kMostNestDims];
  int64_t strides[kMostNestDims][kMostNestOperands];
};

//===-- elementwise ---------------------------------------------------------------------------===//

enum class Operation : int32_t {
  // clang-format off
  Neg, Abs, Sign, Exp, Log, Sqrt, Rsqrt, Reciprocal, Sin, Cos, Tanh, Erf, Ndtr, Sigmoid, Floor, Not,
  Add, Sub, Mul, Div, Remainder, Pow, Maximum, Minimum, And, Or, Xor, Eq, Ne, Lt, Le, Gt, Ge,
  // clang-format on
};

/// Kernels `ds_elementwise_f32` (of f32, bf16 and f16), `ds_elementwise_f64` and
/// `ds_elementwise_i64` (of all integers and i1): out = operation(a, b), the nest over (out, a, b).
struct ElementwiseParameters {
  void *out;
  const void *a, *b;
  Nest nest;
  Operation operation;
  Element type;       // of a and b
  Element resultType; // I1 of a comparison
};

/// Kernel `ds_select`: out = predicate ? a : b for elements of `width` bytes; the nest over (out,
/// predicate, a, b).
struct SelectParameters {
  void *out;
  const void *predicate, *a, *b;
  Nest nest;
  int32_t width;
};

/// Kernel `ds_convert`: the nest over (out, in).
struct ConvertParameters {
  void *out;
  const void *in;
  Nest nest;
  Element from, to;
};

/// Kernels `ds_dropout_f32` and `ds_dropout_f64`: the nest over (out, x, places), the last being
/// the index in the whole tensor behind that of the first element.
struct DropoutParameters {
  void *out;
  const void *x;
  const int64_t *counter;
  const int64_t *offsets; // of the part in the whole, `rank` of them; null: none
  Nest nest;
  double p, scale;
  int64_t id, wholeElements;
  int64_t rank;
  int64_t wholeStrides[kMostNestDims]; // in elements
};

//===-- layout --------------------------------------------------------------------------------===//

/// Kernel `ds_fill`: `bits` to the elements of `width` bytes of the nest over (out).
struct FillParameters {
  void *out;
  Nest nest;
  uint64_t bits;
  int32_t width;
};

/// Kernel `ds_iota`: the nest over (out, number).
struct IotaParameters {
  void *out;
  Nest nest;
  Element type;
};

/// Kernel `ds_reshape`: element i of one nest to element i of the other.
struct ReshapeParameters {
  void *out;
  const void *in;
  Nest outNest, inNest; // each over its own only
  int32_t width;
};

//===-- reductions ----------------------------------------------------------------------------===//

enum class Fold : int32_t { Sum, Max, Min, LogSumExp };

/// Kernels `ds_reduce_f32`, `ds_reduce_f64`, `ds_reduce_i64`: see reference/Reduction.h for the
/// order. With `chunks` > 1 the folds of the chunks go to `partials`, for
/// `ds_finish_reduce_TYPE` to fold.
struct ReduceParameters {
  void *out;
  const void *in;
  void *partials;
  Nest kept;    // over (out, in)
  Nest reduced; // over (in)
  int64_t chunks;
  int64_t initial; // of integers
  int32_t foldsBlocks;
  Fold fold;
  Element type;
};

//===-- indexing ------------------------------------------------------------------------------===//

/// Kernel `ds_gather`: the nest over (out, index, x without the step along the dimension).
struct GatherParameters {
  void *out;
  const void *x, *index;
  Nest nest;
  int64_t size, step; // of x along the dimension
  uint64_t missing;   // the bits of an element that does not exist
  int32_t width;
  int32_t isWide; // indices are i64
};

/// Kernels `ds_scatter_add_f32` and `ds_scatter_add_f64`: a thread adds the updates of a line along
/// the dimension; the nest over (out, index, updates) of the lines that have any.
struct ScatterAddParameters {
  void *out;
  const void *updates, *index;
  Nest lines;
  int64_t length, outStep; // along the dimension
  int64_t count, indexStep, updateStep;
  int32_t isWide;
};

/// Kernel `ds_embedding`: rows of a table, or of a part of it, to the places of their ids.
struct EmbeddingParameters {
  void *out;
  const void *table, *ids;
  const int64_t *firstRow; // null: 0
  Nest places;             // over (out, ids)
  Nest row;                // over (out, table)
  int64_t rows, rowStep;   // of the part
  int64_t wholeRows;
  uint64_t missing; // repeated to 8 bytes
  int32_t width;
  int32_t isWide;
};

/// Kernels `ds_sort_count`, `ds_sort_place`: a pass of a sort (PositionSort.h).
struct SortParameters {
  const void *ids;         // read by the first pass
  const int64_t *firstRow; // null: 0
  const uint32_t *keysIn, *valuesIn;
  uint32_t *keysOut, *valuesOut;
  uint32_t *counts;
  Nest idNest; // over (ids), in row-major order
  int64_t positions, rows, tiles;
  int32_t digitBits, shift;
  int32_t isFirst;
  int32_t isWide;
};

/// Kernel `ds_sort_starts`: starts[r] = how many keys are below r, for r <= rows.
struct SortStartsParameters {
  const uint32_t *keys;
  uint32_t *starts;
  int64_t positions, rows;
};

/// Kernels `ds_embedding_grad_f32` and `ds_embedding_grad_f64`: each row of the result is what
/// `sum` has there, or 0, and the rows of its positions, in ascending order.
struct EmbeddingGradParameters {
  void *out;
  const void *dy, *sum; // sum null: 0
  const uint32_t *starts, *positions;
  Nest places; // over (dy), in row-major order
  Nest row;    // over (out, dy)
  int64_t rows, rowStep;
  int64_t columns;
};

/// Kernels `ds_embedding_grad_start_TYPE` and `ds_embedding_grad_atomic_TYPE` of f32 and f64: the
/// result becomes what `sum` has, or 0; then each element of dy is added to it by an atomic.
struct EmbeddingGradAtomicParameters {
  void *out;
  const void *dy, *ids, *sum; // sum null: 0
  const int64_t *firstRow;    // null: 0
  Nest table;                 // over (out)
  Nest places;                // over (dy, ids)
  Nest row;                   // over (out, dy)
  int64_t rows, rowStep;
  int64_t columns;
  int32_t isWide;
};

//===-- the update ----------------------------------------------------------------------------===//

/// Kernels `ds_adamw_f32` and `ds_adamw_f64`, over flat tensors.
struct AdamWParameters {
  const void *p, *g, *m, *v;
  AdamWScalars scalars; // four addresses
  void *newP, *newM, *newV;
  void *copy; // null: none
  AdamWOptions options;
  int64_t count;
  Element copyType; // BF16 or F16
};

/// Kernels `ds_sum_squares_f32` and `ds_sum_squares_f64`: a sum for each tile.
struct SumSquaresParameters {
  const void *x;
  double *sums;
  int64_t count, stride; // in elements
};

/// Kernel `ds_sum_partials`: their sum, by one block.
struct SumPartialsParameters {
  const double *sums;
  double *out;
  int64_t count;
};

/// Kernel `ds_update_loss_scale`, of one thread.
struct LossScaleParameters {
  const double *state;
  const uint8_t *isFinite;
  double *next;
  LossScaleRule rule;
};

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_PARAMETERS_H
