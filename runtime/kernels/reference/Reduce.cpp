//===- Reduce.cpp - sum, maximum, minimum and log-sum-exp over dimensions ---------------------===//

#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/reference/Folds.h"
#include "runtime/kernels/reference/Reduction.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Types.h"
#include "runtime/kernels/reference/VectorMath.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

constexpr int kLanes = kFoldLanes;
constexpr int kBlock = 256; // neighbouring results folded together
constexpr int64_t kChunk = kFoldChunk;

template <typename T, typename Op> struct Lanes {
  using Acc = typename Op::Acc;
  Acc lane[kLanes];

  Lanes() { std::fill_n(lane, kLanes, Op::kInitial); }

  Acc folded() const {
    Acc acc = lane[0];
    for (int i = 1; i < kLanes; ++i)
      acc = Op::fold(acc, lane[i]);
    return acc;
  }

  /// A row function over one operand; `context` is the lanes.
  static void row(const void *context, char *const *at, const int64_t *strides, int64_t count) {
    Acc *lane = static_cast<Lanes *>(const_cast<void *>(context))->lane;
    Acc local[kLanes];
    std::copy_n(lane, kLanes, local);
    int64_t i = 0;
    if (strides[0] == sizeof(T)) {
      const auto *in = reinterpret_cast<const T *>(at[0]);
      for (; i + kLanes <= count; i += kLanes)
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k)
          local[k] = Op::fold(local[k], static_cast<Acc>(in[i + k]));
    }
    for (; i < count; ++i)
      local[i % kLanes] =
          Op::fold(local[i % kLanes],
                   static_cast<Acc>(*reinterpret_cast<const T *>(at[0] + i * strides[0])));
    std::copy_n(local, kLanes, lane);
  }
};

template <typename T, typename Op> struct Block {
  using Acc = typename Op::Acc;
  Acc acc[kBlock];
  int64_t columns;
  int64_t columnStride; // bytes

  Block(int64_t columns, int64_t columnStride) : columns(columns), columnStride(columnStride) {
    std::fill_n(acc, kBlock, Op::kInitial);
  }

  /// A row function over one operand, the first column; `context` is the block.
  static void row(const void *context, char *const *at, const int64_t *strides, int64_t count) {
    auto *block = static_cast<Block *>(const_cast<void *>(context));
    for (int64_t i = 0; i < count; ++i) {
      char *in = at[0] + i * strides[0];
      if (block->columnStride == sizeof(T)) {
        const auto *values = reinterpret_cast<const T *>(in);
#pragma omp simd
        for (int64_t k = 0; k < block->columns; ++k)
          block->acc[k] = Op::fold(block->acc[k], static_cast<Acc>(values[k]));
      } else {
        for (int64_t k = 0; k < block->columns; ++k)
          block->acc[k] = Op::fold(block->acc[k], static_cast<Acc>(*reinterpret_cast<const T *>(
                                                      in + k * block->columnStride)));
      }
    }
  }
};

/// Results that are worth a thread of their own.
int64_t grainOf(const Reduction &split) {
  return std::max<int64_t>(1, 8192 / std::max<int64_t>(1, split.reduced.count));
}

template <typename T, template <typename> typename OpOf> class ReduceKernel : public Kernel {
  using Op = OpOf<T>;
  using Acc = typename Op::Acc;

public:
  ReduceKernel(Reduction split, int threads)
      : split(std::move(split)), chunks(this->split.chunks()), threads(threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    auto *out = static_cast<char *>(arguments.outputs[0]);
    auto *in = static_cast<char *>(arguments.inputs[0]);
    if (chunks > 1)
      runChunks(out, in, static_cast<Acc *>(arguments.workspace));
    else if (split.foldsBlocks())
      runBlocks(out, in);
    else
      runRows(out, in);
  }

private:
  Acc foldRange(char *in, int64_t begin, int64_t end) const {
    Lanes<T, Op> lanes;
    runRange(split.reduced, {in}, Lanes<T, Op>::row, &lanes, begin, end);
    return lanes.folded();
  }

  void runRows(char *out, char *in) noexcept {
    parallelRanges(threads, split.kept.count, grainOf(split), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        char *to = out, *from = in;
        split.advance(i, to, from);
        *reinterpret_cast<T *>(to) = static_cast<T>(foldRange(from, 0, split.reduced.count));
      }
    });
  }

  void runChunks(char *out, char *in, Acc *partials) noexcept {
    parallelRanges(threads, split.kept.count * chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        char *to = out, *from = in;
        split.advance(i / chunks, to, from);
        const int64_t first = i % chunks * kChunk;
        partials[i] = foldRange(from, first, std::min(first + kChunk, split.reduced.count));
      }
    });
    for (int64_t i = 0; i < split.kept.count; ++i) {
      char *to = out, *from = in;
      split.advance(i, to, from);
      Acc acc = partials[i * chunks];
      for (int64_t chunk = 1; chunk < chunks; ++chunk)
        acc = Op::fold(acc, partials[i * chunks + chunk]);
      *reinterpret_cast<T *>(to) = static_cast<T>(acc);
    }
  }

  void runBlocks(char *out, char *in) noexcept {
    const int64_t inner = split.kept.shape.back();
    const ByteStrides &step = split.kept.strides.back();
    const int64_t blocks = (inner + kBlock - 1) / kBlock;
    parallelRanges(threads, split.kept.count / inner * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % blocks * kBlock;
        char *to = out, *from = in;
        split.advance(i / blocks * inner + first, to, from);
        Block<T, Op> block(std::min<int64_t>(kBlock, inner - first), step[1]);
        runRange(split.reduced, {from}, Block<T, Op>::row, &block, 0, split.reduced.count);
        for (int64_t k = 0; k < block.columns; ++k)
          *reinterpret_cast<T *>(to + k * step[0]) = static_cast<T>(block.acc[k]);
      }
    });
  }

  Reduction split;
  int64_t chunks;
  int threads;
};

/// Two passes over the elements of a result: their maximum, and the sum of e^(x - maximum).
template <typename T> class LogSumExpKernel : public Kernel {
public:
  LogSumExpKernel(Reduction split, int threads) : split(std::move(split)), threads(threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    parallelRanges(threads, split.kept.count, grainOf(split), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        char *to = static_cast<char *>(arguments.outputs[0]);
        char *from = static_cast<char *>(arguments.inputs[0]);
        split.advance(i, to, from);
        *reinterpret_cast<T *>(to) = static_cast<T>(logSumExp(from));
      }
    });
  }

private:
  /// Sums of e^(x - shift).
  struct Powers {
    Lanes<T, Sum<T>> sum;
    T shift;

    /// A row function over one operand; `context` is the powers.
    static void row(const void *context, char *const *at, const int64_t *strides, int64_t count) {
      auto *powers = static_cast<Powers *>(const_cast<void *>(context));
      const T shift = powers->shift;
      T block[kBlock];
      for (int64_t first = 0; first < count; first += kBlock) {
        const int64_t now = std::min<int64_t>(kBlock, count - first);
        if (strides[0] == sizeof(T)) {
          const auto *in = reinterpret_cast<const T *>(at[0]) + first;
#pragma omp simd
          for (int64_t i = 0; i < now; ++i)
            block[i] = vectorExp(in[i] - shift);
        } else {
          for (int64_t i = 0; i < now; ++i)
            block[i] =
                vectorExp(*reinterpret_cast<const T *>(at[0] + (first + i) * strides[0]) - shift);
        }
        char *const values = reinterpret_cast<char *>(block);
        const int64_t step = sizeof(T);
        Lanes<T, Sum<T>>::row(&powers->sum, &values, &step, now);
      }
    }
  };

  double logSumExp(char *in) const {
    Lanes<T, Max<T>> largest;
    runRange(split.reduced, {in}, Lanes<T, Max<T>>::row, &largest, 0, split.reduced.count);
    const T max = largest.folded();
    // Nothing is taken off an infinity: the sum is infinite or 0 then, as it should be.
    Powers powers{{}, std::isfinite(max) ? max : T(0)};
    runRange(split.reduced, {in}, Powers::row, &powers, 0, split.reduced.count);
    return static_cast<double>(powers.shift) + std::log(powers.sum.folded());
  }

  Reduction split;
  int threads;
};

size_t reduceWorkspace(const KernelSpec &spec) {
  const Reduction split = Reduction::of(spec);
  const int64_t chunks = split.chunks();
  return chunks > 1 ? static_cast<size_t>(split.kept.count * chunks) * sizeof(double) : 0;
}

std::unique_ptr<Kernel> prepareSum(const KernelSpec &spec) {
  Reduction split = Reduction::of(spec);
  return dispatchNumber(spec.inputs[0].dtype, "operand 0",
                        [&](auto tag) -> std::unique_ptr<Kernel> {
                          return std::make_unique<ReduceKernel<typename decltype(tag)::Type, Sum>>(
                              std::move(split), spec.threads);
                        });
}

std::unique_ptr<Kernel> prepareLogSumExp(const KernelSpec &spec) {
  Reduction split = Reduction::of(spec);
  return dispatchFloat(spec.inputs[0].dtype, "operand 0", [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<LogSumExpKernel<typename decltype(tag)::Type>>(std::move(split),
                                                                           spec.threads);
  });
}

template <template <typename> typename Op>
std::unique_ptr<Kernel> prepareExtremum(const KernelSpec &spec) {
  Reduction split = Reduction::of(spec);
  if (spec.inputs[0].dtype == DType::I1) // the maximum is "any", the minimum "all"
    return std::make_unique<ReduceKernel<uint8_t, Op>>(std::move(split), spec.threads);
  return dispatchNumber(spec.inputs[0].dtype, "operand 0",
                        [&](auto tag) -> std::unique_ptr<Kernel> {
                          return std::make_unique<ReduceKernel<typename decltype(tag)::Type, Op>>(
                              std::move(split), spec.threads);
                        });
}

} // namespace

void deepshard::runtime::reference::addReduce(KernelTable &table) {
  table["reduce_sum"] = {prepareSum, reduceWorkspace};
  table["reduce_max"] = {prepareExtremum<Max>, reduceWorkspace};
  table["reduce_min"] = {prepareExtremum<Min>, reduceWorkspace};
  table["reduce_log_sum_exp"] = {prepareLogSumExp};
}
