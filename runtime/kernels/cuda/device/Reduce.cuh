//===- Reduce.cuh - sum, maximum, minimum and log-sum-exp over dimensions ---------------------===//
//
// In the order of the reference provider (reference/Reduction.h), so that the bits are its. A
// result, or a chunk of one, is folded by kFoldLanes threads, thread k having lane k; where
// neighbouring results are folded together, each is by one thread.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_REDUCE_CUH
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_REDUCE_CUH

#include "runtime/kernels/cuda/device/Threads.cuh"
#include "runtime/kernels/reference/Folds.h"
#include "runtime/kernels/reference/VectorMath.h"

namespace deepshard::runtime::cuda {
namespace {

constexpr int kLanes = 16;                // reference::kFoldLanes
constexpr int64_t kChunkElements = 65536; // reference::kFoldChunk

template <typename V> struct Folding {
  const ReduceParameters &p;

  __device__ V load(int64_t offset) const { return Computed<V>::load(at(p.in, offset), p.type); }

  template <typename Op> __device__ typename Op::Acc initial() const {
    if constexpr (std::is_integral_v<V>)
      return p.initial;
    else
      return Op::kInitial;
  }

  /// What `map` makes of the elements [begin, end) of a result whose operand begins at `base`, that
  /// are of lane `lane` of every `lanes`. Lanes begin anew with each row.
  template <typename Op, typename Map>
  __device__ typename Op::Acc folded(int64_t base, int64_t begin, int64_t end, int lane, int lanes,
                                     const Map &map) const {
    typename Op::Acc acc = initial<Op>();
    int64_t length = p.reduced.shape[p.reduced.rank - 1];
    int64_t step = p.reduced.strides[p.reduced.rank - 1][0];
    while (begin < end) {
      int64_t row = quotient(begin, length);
      int64_t rowEnd = (row + 1) * length < end ? (row + 1) * length : end;
      int64_t first = base + Offsets<1>(p.reduced, begin).of[0];
      for (int64_t i = lane; i < rowEnd - begin; i += lanes)
        acc = Op::fold(acc, static_cast<typename Op::Acc>(map(load(first + i * step))));
      begin = rowEnd;
    }
    return acc;
  }

  /// Those of all lanes of this thread's result, in order.
  template <typename Op> __device__ typename Op::Acc ofLanes(typename Op::Acc own) const {
    int first = int(threadIdx.x) % kWarp / kLanes * kLanes;
    typename Op::Acc acc = __shfl_sync(kAllLanes, own, first);
    for (int lane = 1; lane < kLanes; ++lane)
      acc = Op::fold(acc, __shfl_sync(kAllLanes, own, first + lane));
    return acc;
  }

  template <typename Op> __device__ void fold() const {
    auto itself = [](V x) { return x; };
    if (p.foldsBlocks) {
      for (int64_t i = firstElement(); i < p.kept.count; i += elementStep()) {
        Offsets<2> offsets(p.kept, i);
        auto acc = folded<Op>(offsets.of[1], 0, p.reduced.count, 0, 1, itself);
        Computed<V>::store(at(p.out, offsets.of[0]), p.type, V(acc));
      }
      return;
    }
    // All lanes of a warp come to the exchange.
    int64_t group = firstElement() / kLanes, groups = p.kept.count * p.chunks;
    bool isThere = group < groups;
    int lane = int(threadIdx.x) % kLanes;
    int64_t result = isThere ? quotient(group, p.chunks) : 0;
    int64_t chunk = isThere ? group - result * p.chunks : 0;
    Offsets<2> offsets(p.kept, result);
    int64_t begin = chunk * kChunkElements, end = p.reduced.count;
    if (p.chunks > 1 && begin + kChunkElements < end)
      end = begin + kChunkElements;
    auto acc = ofLanes<Op>(folded<Op>(offsets.of[1], begin, end, lane, kLanes, itself));
    if (!isThere || lane != 0)
      return;
    if (p.chunks > 1)
      static_cast<typename Op::Acc *>(p.partials)[group] = acc;
    else
      Computed<V>::store(at(p.out, offsets.of[0]), p.type, V(acc));
  }

  template <typename Op> __device__ void finish() const {
    auto *partials = static_cast<const typename Op::Acc *>(p.partials);
    for (int64_t i = firstElement(); i < p.kept.count; i += elementStep()) {
      typename Op::Acc acc = partials[i * p.chunks];
      for (int64_t chunk = 1; chunk < p.chunks; ++chunk)
        acc = Op::fold(acc, partials[i * p.chunks + chunk]);
      Computed<V>::store(at(p.out, Offsets<2>(p.kept, i).of[0]), p.type, V(acc));
    }
  }

  __device__ void logSumExp() const {
    int64_t group = firstElement() / kLanes;
    bool isThere = group < p.kept.count;
    int lane = int(threadIdx.x) % kLanes;
    Offsets<2> offsets(p.kept, isThere ? group : 0);
    V largest = ofLanes<reference::Max<V>>(folded<reference::Max<V>>(
        offsets.of[1], 0, p.reduced.count, lane, kLanes, [](V x) { return x; }));
    // Nothing is taken off an infinity: the sum is infinite or 0 then, as it should be.
    V shift = largest - largest == 0 ? largest : V(0);
    double sum = ofLanes<reference::Sum<V>>(
        folded<reference::Sum<V>>(offsets.of[1], 0, p.reduced.count, lane, kLanes,
                                  [=](V x) { return reference::vectorExp(x - shift); }));
    if (isThere && lane == 0)
      Computed<V>::store(at(p.out, offsets.of[0]), p.type, V(double(shift) + log(sum)));
  }
};

template <typename V> __device__ void reduce(const ReduceParameters &p) {
  Folding<V> folding{p};
  switch (p.fold) {
  case Fold::Sum:
    return folding.template fold<reference::Sum<V>>();
  case Fold::Max:
    return folding.template fold<reference::Max<V>>();
  case Fold::Min:
    return folding.template fold<reference::Min<V>>();
  default:
    if constexpr (!std::is_integral_v<V>)
      folding.logSumExp();
  }
}

template <typename V> __device__ void finishReduce(const ReduceParameters &p) {
  Folding<V> folding{p};
  switch (p.fold) {
  case Fold::Sum:
    return folding.template finish<reference::Sum<V>>();
  case Fold::Max:
    return folding.template finish<reference::Max<V>>();
  default:
    return folding.template finish<reference::Min<V>>();
  }
}

} // namespace

#define DEEPSHARD_REDUCE_OF(name, V)                                                               \
  extern "C" __global__ void __launch_bounds__(kThreads, 1)                                        \
      ds_reduce_##name(const __grid_constant__ ReduceParameters p) {                               \
    reduce<V>(p);                                                                                  \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(kThreads, 1)                                        \
      ds_finish_reduce_##name(const __grid_constant__ ReduceParameters p) {                        \
    finishReduce<V>(p);                                                                            \
  }
DEEPSHARD_REDUCE_OF(f32, float)
DEEPSHARD_REDUCE_OF(f64, double)
DEEPSHARD_REDUCE_OF(i64, int64_t)
#undef DEEPSHARD_REDUCE_OF

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_REDUCE_CUH
