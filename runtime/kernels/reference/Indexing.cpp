//===- Indexing.cpp - gather, scatter_add, embedding and its gradient -------------------------===//

#include "runtime/kernels/Accumulate.h"
#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/reference/Indices.h"
#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Types.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

uint64_t deepshard::runtime::reference::missingElement(DType dtype) {
  switch (dtype) {
  case DType::F32:
    return std::bit_cast<uint32_t>(std::numeric_limits<float>::quiet_NaN());
  case DType::F64:
    return std::bit_cast<uint64_t>(std::numeric_limits<double>::quiet_NaN());
  case DType::BF16:
    return 0x7fc0;
  case DType::F16:
    return 0x7e00;
  default:
    return 0;
  }
}

namespace {

/// An index operand of either type.
struct Indices {
  const void *data;
  bool isWide;

  int64_t operator[](int64_t offset) const {
    return isWide ? static_cast<const int64_t *>(data)[offset]
                  : static_cast<const int32_t *>(data)[offset];
  }
};

void requireIndex(const TensorDesc &desc, int operand) {
  require(desc.dtype == DType::I64 || desc.dtype == DType::I32,
          fmt::format("operand {}, the index, is {}, expected i64 or i32", operand, textOf(desc)));
}

/// result[i..] = x[.., index[i..], ..]: `dim` is the dimension that the index replaces.
class GatherKernel : public Kernel {
public:
  explicit GatherKernel(const KernelSpec &spec)
      : x(spec.inputs[0]), index(spec.inputs[1]), result(spec.outputs[0]),
        dim(spec.attributes.integer("dim")), threads(spec.threads) {
    along = x;
    along.shape = result.shape;
    along.strides[dim] = 0;
  }

  void run(const KernelArguments &arguments) noexcept override {
    const Indices indices{arguments.inputs[1], index.dtype == DType::I64};
    dispatchSize(x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      const auto *from = static_cast<const T *>(arguments.inputs[0]);
      auto *to = static_cast<T *>(arguments.outputs[0]);
      const T nothing = static_cast<T>(missingElement(x.dtype));
      parallelRanges(threads, result.elements(), 4096, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t at = indices[offsetOf(index, i)];
          const bool exists = at >= 0 && at < x.shape[dim];
          to[offsetOf(result, i)] =
              exists ? from[offsetOf(along, i) + at * x.strides[dim]] : nothing;
        }
      });
    });
  }

private:
  TensorDesc x, index, result;
  TensorDesc along; // x with the shape of the result, without its step along `dim`
  int64_t dim;
  int threads;
};

/// Requires that `index` fits into `whole` in every dimension but `dim`, and returns `dim`.
int64_t requireGather(const KernelSpec &spec, const TensorDesc &whole, const TensorDesc &index) {
  requireIndex(index, 1);
  const int64_t dim = spec.attributes.integer("dim");
  require(index.rank() == whole.rank() && dim >= 0 && dim < whole.rank(),
          fmt::format("dim {} and index {} do not fit {}", dim, textOf(index), textOf(whole)));
  for (int64_t i = 0; i < whole.rank(); ++i)
    require(i == dim || index.shape[i] <= whole.shape[i],
            fmt::format("dimension {} of index {} is larger than that of {}", i, textOf(index),
                        textOf(whole)));
  return dim;
}

std::unique_ptr<Kernel> prepareGather(const KernelSpec &spec) {
  requireOperands(spec, 2, 1);
  requireGather(spec, spec.inputs[0], spec.inputs[1]);
  require(spec.outputs[0].dtype == spec.inputs[0].dtype &&
              spec.outputs[0].shape == spec.inputs[1].shape,
          fmt::format("gather of {} by {} cannot give {}", textOf(spec.inputs[0]),
                      textOf(spec.inputs[1]), textOf(spec.outputs[0])));
  return std::make_unique<GatherKernel>(spec);
}

/// The adjoint of gather: zeros, to which update i.. is added at [.., index[i..], ..], in row-major
/// order. Lines along `dim` are independent of each other; they are split over the threads.
template <typename T> class ScatterAddKernel : public Kernel {
public:
  explicit ScatterAddKernel(const KernelSpec &spec)
      : updates(spec.inputs[0]), index(spec.inputs[1]), result(spec.outputs[0]),
        threads(spec.threads) {
    const int64_t dim = spec.attributes.integer("dim");
    length = result.shape[dim];
    resultStep = result.strides[dim];
    count = index.shape[dim];
    updateStep = updates.strides[dim];
    indexStep = index.strides[dim];
    for (TensorDesc *desc : {&updates, &index, &result})
      desc->shape[dim] = 1;
  }

  void run(const KernelArguments &arguments) noexcept override {
    const Indices indices{arguments.inputs[1], index.dtype == DType::I64};
    const auto *from = static_cast<const T *>(arguments.inputs[0]);
    auto *to = static_cast<T *>(arguments.outputs[0]);
    parallelRanges(threads, result.elements(), 16, [&](int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line) {
        T *sums = to + offsetOf(result, line);
        if (resultStep == 1)
          std::fill_n(sums, length, T(0));
        else
          for (int64_t i = 0; i < length; ++i)
            sums[i * resultStep] = 0;
        const int64_t position = lineOfIndex(line);
        if (position < 0)
          continue;
        const int64_t indexAt = offsetOf(index, position), updateAt = offsetOf(updates, position);
        for (int64_t i = 0; i < count; ++i) {
          const int64_t at = indices[indexAt + i * indexStep];
          if (at >= 0 && at < length)
            sums[at * resultStep] += from[updateAt + i * updateStep];
        }
      }
    });
  }

private:
  /// The line of the index at the place of this line of the result; -1 where the index does not
  /// reach.
  int64_t lineOfIndex(int64_t line) const {
    int64_t position = 0, scale = 1;
    for (int64_t dim = result.rank() - 1; dim >= 0; --dim) {
      const int64_t at = line % result.shape[dim];
      line /= result.shape[dim];
      if (at >= index.shape[dim])
        return -1;
      position += at * scale;
      scale *= index.shape[dim];
    }
    return position;
  }

  TensorDesc updates, index, result; // with size 1 along `dim`
  int64_t length, resultStep;        // of the result along `dim`
  int64_t count, updateStep, indexStep;
  int threads;
};

std::unique_ptr<Kernel> prepareScatterAdd(const KernelSpec &spec) {
  requireOperands(spec, 2, 1);
  requireGather(spec, spec.outputs[0], spec.inputs[1]);
  require(spec.outputs[0].dtype == spec.inputs[0].dtype &&
              spec.inputs[0].shape == spec.inputs[1].shape,
          fmt::format("scatter_add of {} by {} cannot give {}", textOf(spec.inputs[0]),
                      textOf(spec.inputs[1]), textOf(spec.outputs[0])));
  return dispatchFloat(spec.inputs[0].dtype, "operand 0", [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<ScatterAddKernel<typename decltype(tag)::Type>>(spec);
  });
}

/// Operand 2, if there is one, is the first row that a part of a table holds.
int64_t firstRow(const KernelArguments &arguments) {
  return arguments.inputs.size() > 2 ? *static_cast<const int64_t *>(arguments.inputs[2]) : 0;
}

void requireFirstRow(const KernelSpec &spec) {
  require(spec.inputs.size() < 3 || spec.inputs[2] == TensorDesc::contiguous(DType::I64, {}),
          "operand 2, the first row, is not an i64 scalar");
}

/// table [v, d...], ids of any shape -> ids.shape + [d...]. With operand 2 and attribute
/// global_rows the table is a part: ids of other rows give zeros.
class EmbeddingKernel : public Kernel {
public:
  explicit EmbeddingKernel(const KernelSpec &spec)
      : ids(spec.inputs[1]), places(head(spec.outputs[0], ids.rank())),
        row(tail(spec.inputs[0], 1)), resultRow(tail(spec.outputs[0], ids.rank())),
        rows(spec.inputs[0].shape[0]), rowStep(spec.inputs[0].strides[0]),
        globalRows(spec.inputs.size() > 2 ? spec.attributes.integer("global_rows") : rows),
        isPlain(row.isContiguous() && resultRow.isContiguous()), threads(spec.threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    const Indices indices{arguments.inputs[1], ids.dtype == DType::I64};
    const int64_t first = firstRow(arguments);
    dispatchSize(row.dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      const int64_t width = row.elements();
      const T nothing = static_cast<T>(missingElement(row.dtype));
      parallelRanges(
          threads, ids.elements(), std::max<int64_t>(1, 4096 / std::max<int64_t>(1, width)),
          [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
              const int64_t id = indices[offsetOf(ids, i)];
              T *to = static_cast<T *>(arguments.outputs[0]) + offsetOf(places, i);
              const int64_t own = id - first;
              const T *from = own >= 0 && own < rows
                                  ? static_cast<const T *>(arguments.inputs[0]) + own * rowStep
                                  : nullptr;
              writeRow(to, from, width, id >= 0 && id < globalRows ? T(0) : nothing);
            }
          });
    });
  }

private:
  /// A row of `nothing` if `from` is null.
  template <typename T> void writeRow(T *to, const T *from, int64_t width, T nothing) const {
    if (from && isPlain) {
      std::copy_n(from, width, to);
      return;
    }
    for (int64_t i = 0; i < width; ++i)
      to[offsetOf(resultRow, i)] = from ? from[offsetOf(row, i)] : nothing;
  }

  TensorDesc ids, places;    // places: the dimensions of ids in the result
  TensorDesc row, resultRow; // the dimensions of a row in the table and in the result
  int64_t rows, rowStep;
  int64_t globalRows; // of the whole table
  bool isPlain;
  int threads;
};

std::unique_ptr<Kernel> prepareEmbedding(const KernelSpec &spec) {
  requireOperands(spec, spec.attributes.has("global_rows") ? 3 : 2, 1);
  requireFirstRow(spec);
  const TensorDesc &table = spec.inputs[0], &ids = spec.inputs[1], &result = spec.outputs[0];
  requireIndex(ids, 1);
  require(table.rank() >= 1, "operand 0, the table, is a scalar");
  std::vector<int64_t> expected = ids.shape;
  expected.insert(expected.end(), table.shape.begin() + 1, table.shape.end());
  require(result.dtype == table.dtype && result.shape == expected,
          fmt::format("embedding of {} by {} cannot give {}", textOf(table), textOf(ids),
                      textOf(result)));
  return std::make_unique<EmbeddingKernel>(spec);
}

/// dy (ids.shape + [d...]), ids -> [rows, d...]: row r is the sum of dy over the positions with id
/// r, in ascending order; with `accumulate` it is added to row r of the last operand. With operand
/// 2 the result is a part of a table. The rows are split over the threads; each thread looks at all
/// ids.
template <typename T> class EmbeddingGradKernel : public Kernel {
public:
  /// `adds`: to what the result holds.
  EmbeddingGradKernel(const KernelSpec &spec, bool adds)
      : ids(spec.inputs[1]), places(head(spec.inputs[0], ids.rank())),
        row(tail(spec.inputs[0], ids.rank())), resultRow(tail(spec.outputs[0], 1)),
        rows(spec.outputs[0].shape[0]), rowStep(spec.outputs[0].strides[0]),
        isPlain(row.isContiguous() && resultRow.isContiguous()), adds(adds), threads(spec.threads) {
  }

  void run(const KernelArguments &arguments) noexcept override {
    const Indices indices{arguments.inputs[1], ids.dtype == DType::I64};
    const auto *from = static_cast<const T *>(arguments.inputs[0]);
    auto *to = static_cast<T *>(arguments.outputs[0]);
    const int64_t width = row.elements(), count = ids.elements(), first = firstRow(arguments);
    // Which rows occur is uneven (byte tokens in a large vocabulary), so columns are split where
    // rows are wide.
    parallelRanges(threads, width, 64, [&](int64_t begin, int64_t end) {
      for (int64_t r = 0; r < (adds ? 0 : rows); ++r)
        clearRow(to + r * rowStep, begin, end);
      for (int64_t position = 0; position < count; ++position) {
        const int64_t own = indices[offsetOf(ids, position)] - first;
        if (own < 0 || own >= rows)
          continue;
        addRow(to + own * rowStep, from + offsetOf(places, position), begin, end);
      }
    });
  }

private:
  void clearRow(T *to, int64_t begin, int64_t end) const {
    if (isPlain)
      std::fill(to + begin, to + end, T(0));
    else
      for (int64_t i = begin; i < end; ++i)
        to[offsetOf(resultRow, i)] = 0;
  }

  void addRow(T *to, const T *from, int64_t begin, int64_t end) const {
    if (isPlain) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i)
        to[i] += from[i];
      return;
    }
    for (int64_t i = begin; i < end; ++i)
      to[offsetOf(resultRow, i)] += from[offsetOf(row, i)];
  }

  TensorDesc ids, places, row, resultRow;
  int64_t rows, rowStep;
  bool isPlain, adds;
  int threads;
};

std::unique_ptr<Kernel> prepareEmbeddingGrad(const KernelSpec &given) {
  const bool adds = accumulates(given);
  const KernelSpec spec = adds ? withoutAccumulator(given) : given;
  requireOperands(spec, spec.inputs.size() > 2 ? 3 : 2, 1);
  requireFirstRow(spec);
  const TensorDesc &dy = spec.inputs[0], &ids = spec.inputs[1], &result = spec.outputs[0];
  requireIndex(ids, 1);
  const bool isPrefix =
      dy.rank() >= ids.rank() && std::equal(ids.shape.begin(), ids.shape.end(), dy.shape.begin());
  require(isPrefix, fmt::format("the shape of dy {} does not begin with that of ids {}", textOf(dy),
                                textOf(ids)));
  std::vector<int64_t> expected = {spec.attributes.integer("rows")};
  expected.insert(expected.end(), dy.shape.begin() + ids.rank(), dy.shape.end());
  require(result.dtype == dy.dtype && result.shape == expected,
          fmt::format("embedding_grad of {} by {} cannot give {}", textOf(dy), textOf(ids),
                      textOf(result)));
  return dispatchFloat(dy.dtype, "operand 0", [&](auto tag) -> std::unique_ptr<Kernel> {
    auto kernel = std::make_unique<EmbeddingGradKernel<typename decltype(tag)::Type>>(spec, adds);
    return adds ? accumulating(std::move(kernel), given) : std::move(kernel);
  });
}

} // namespace

void deepshard::runtime::reference::addIndexing(KernelTable &table) {
  table["gather"] = {prepareGather};
  table["scatter_add"] = {prepareScatterAdd};
  table["embedding"] = {prepareEmbedding};
  table["embedding_grad"] = {prepareEmbeddingGrad};
}
