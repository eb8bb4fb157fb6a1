//===- Widened.cpp - bf16 and f16 kernels on CPUs that multiply f32 ---------------------------===//
//
// Without bf16 instructions the library's own bf16 kernels are ten times slower than its f32 ones,
// and f16 ones there are none. Here operands are converted to f32 in the workspace, in the order in
// which they lie, multiplied by the f32 kernel and the result is rounded.
//
// Products of large matrices (a vocabulary) are cut along one dimension, so that the copies stay
// small: along a free dimension each block is a part of the result,
//
//   result[:, block] = lhs rhs[:, block]                     rhs converted block by block, lhs once
//
// along a contracted one the blocks are added up in f32,
//
//   result += lhs[:, block] rhs[block, :]                    both converted block by block
//
// The cut follows from the shapes alone. The workspace, each part at a multiple of 64 bytes:
//
//   | lhs | rhs | bias | result, if it is rounded | workspace of the f32 kernel |
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/onednn/Widened.h"

#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/onednn/Primitive.h"

#include <algorithm>
#include <array>
#include <bit>
#include <fmt/format.h>
#include <immintrin.h>
#include <numeric>

using namespace deepshard::runtime;
using namespace deepshard::runtime::onednn;

namespace {

constexpr int64_t kBlockElements = int64_t{1} << 22; // of the operands that are cut
constexpr size_t kAlignment = 64;

/// Conversions of rows from and to a type of 16 bits, whose elements lie `step` apart.
struct Bf16 {
  static float widen(uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
  static uint16_t narrow(float x) {
    const auto bits = std::bit_cast<uint32_t>(x);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16,
                   quiet = (bits >> 16) | 0x40;
    return static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
  }
  /// Eight numbers, each in the low half of its lane.
  static __m256i narrow(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x), high = _mm256_srli_epi32(bits, 16);
    const __m256i even = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_srli_epi32(
        _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), even), 16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i isNan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, isNan);
  }
  static void widenRow(const uint16_t *from, int64_t step, float *to, int64_t length) {
    int64_t i = 0;
    for (; step == 1 && i + 8 <= length; i += 8) {
      const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from + i));
      _mm256_storeu_ps(to + i,
                       _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16)));
    }
    for (; i < length; ++i)
      to[i] = widen(from[i * step]);
  }
  static void narrowRow(const float *from, uint16_t *to, int64_t step, int64_t length) {
    int64_t i = 0;
    for (; step == 1 && i + 16 <= length; i += 16) {
      const __m256i packed = _mm256_packus_epi32(narrow(_mm256_loadu_ps(from + i)),
                                                 narrow(_mm256_loadu_ps(from + i + 8)));
      _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + i),
                          _mm256_permute4x64_epi64(packed, 0xd8)); // packs within halves
    }
    for (; i < length; ++i)
      to[i * step] = narrow(from[i]);
  }
};

struct F16 {
  static void widenRow(const uint16_t *from, int64_t step, float *to, int64_t length) {
    int64_t i = 0;
    for (; step == 1 && i + 8 <= length; i += 8)
      _mm256_storeu_ps(
          to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from + i))));
    for (; i < length; ++i)
      to[i] = _cvtsh_ss(from[i * step]);
  }
  static void narrowRow(const float *from, uint16_t *to, int64_t step, int64_t length) {
    int64_t i = 0;
    for (; step == 1 && i + 8 <= length; i += 8)
      _mm_storeu_si128(reinterpret_cast<__m128i *>(to + i),
                       _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < length; ++i)
      to[i * step] = _cvtss_sh(from[i], _MM_FROUND_TO_NEAREST_INT);
  }
};

/// Dimensions from the largest step to the smallest.
std::vector<size_t> byStride(const TensorDesc &desc) {
  std::vector<size_t> order(desc.shape.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return desc.strides[a] > desc.strides[b]; });
  return order;
}

/// An f32 tensor of the shape of `desc`, without gaps, its dimensions in the order in which those
/// of `desc` lie. Repeated dimensions stay repeated.
TensorDesc packed(const TensorDesc &desc) {
  TensorDesc result{DType::F32, desc.shape, desc.strides};
  std::vector<size_t> order = byStride(desc);
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const size_t dim = order[i];
    if (desc.strides[dim] == 0 && desc.shape[dim] != 1)
      continue;
    result.strides[dim] = step;
    step *= desc.shape[dim];
  }
  return result;
}

int64_t storedElements(const TensorDesc &desc) {
  int64_t count = 1;
  for (size_t dim = 0; dim < desc.shape.size(); ++dim)
    if (desc.strides[dim] != 0)
      count *= desc.shape[dim];
  return count;
}

/// The loops that copy between a tensor of 16 bits and its packed f32 copy: rows of neighbours.
class Rows {
public:
  Rows() = default;
  explicit Rows(const TensorDesc &narrowDesc) : isF16(narrowDesc.dtype == DType::F16) {
    const TensorDesc wideDesc = packed(narrowDesc);
    std::vector<size_t> order = byStride(narrowDesc);
    for (size_t dim : order) {
      if (narrowDesc.strides[dim] == 0 || narrowDesc.shape[dim] == 1)
        continue;
      const Loop loop{narrowDesc.shape[dim], narrowDesc.strides[dim], wideDesc.strides[dim]};
      // A dimension that continues the next larger one in memory is part of it.
      if (!loops.empty() && loops.back().narrowStep == loop.narrowStep * loop.size)
        loops.back() = {loops.back().size * loop.size, loop.narrowStep, loop.wideStep};
      else
        loops.push_back(loop);
    }
    if (loops.empty())
      loops.push_back({1, 1, 1});
    row = loops.back();
    loops.pop_back();
    for (const Loop &loop : loops)
      count *= loop.size;
  }

  /// Calls `body(narrowOffset, wideOffset, length)` for pieces of rows.
  template <typename Body> void forEach(int threads, const Body &body) const noexcept {
    constexpr int64_t kPiece = 4096;
    const int64_t pieces = (row.size + kPiece - 1) / kPiece;
    const int64_t grain = std::max<int64_t>(1, kPiece / std::min(kPiece, row.size));
    parallelRanges(threads, count * pieces, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % pieces * kPiece;
        int64_t index = i / pieces, narrowAt = first * row.narrowStep,
                wideAt = first * row.wideStep;
        for (size_t dim = loops.size(); dim-- > 0; index /= loops[dim].size) {
          const int64_t at = index % loops[dim].size;
          narrowAt += at * loops[dim].narrowStep;
          wideAt += at * loops[dim].wideStep;
        }
        body(narrowAt, wideAt, std::min(kPiece, row.size - first));
      }
    });
  }

  void widenAll(const uint16_t *from, float *to, int threads) const noexcept {
    forEach(threads, [&](int64_t narrowAt, int64_t wideAt, int64_t length) {
      // The packed row has no gaps.
      (isF16 ? F16::widenRow : Bf16::widenRow)(from + narrowAt, row.narrowStep, to + wideAt,
                                               length);
    });
  }

  void narrowAll(const float *from, uint16_t *to, int threads) const noexcept {
    forEach(threads, [&](int64_t narrowAt, int64_t wideAt, int64_t length) {
      (isF16 ? F16::narrowRow : Bf16::narrowRow)(from + wideAt, to + narrowAt, row.narrowStep,
                                                 length);
    });
  }

private:
  struct Loop {
    int64_t size, narrowStep, wideStep;
  };
  std::vector<Loop> loops; // outermost first, the rows apart
  Loop row{1, 1, 1};
  int64_t count = 1;
  bool isF16 = false; // else bf16
};

/// The dimension along which a product is cut, in each tensor that has it; -1: it does not.
struct Cut {
  int64_t size = 1, block = 1;
  std::array<int64_t, 3> inputs = {-1, -1, -1};
  int64_t output = -1; // -1: contracted, blocks are added up
};

/// The dimensions of a product by what they are.
std::vector<Cut> dimensionsOf(const KernelSpec &spec) {
  const TensorDesc &lhs = spec.inputs[0], &rhs = spec.inputs[1];
  std::vector<Cut> result;
  if (spec.name == "linear") {
    const int64_t rows = lhs.rank() - 1, columns = rhs.rank() - 1;
    const bool transposed = spec.attributes.flag("transpose_weight");
    for (int64_t dim = 0; dim < rows; ++dim)
      result.push_back({lhs.shape[dim], 1, {dim, -1, -1}, dim});
    for (int64_t dim = 0; dim < columns; ++dim) {
      const int64_t at = transposed ? dim : dim + 1;
      result.push_back({rhs.shape[at], 1, {-1, at, dim}, rows + dim});
    }
    const int64_t contracted = transposed ? columns : 0;
    result.push_back({lhs.shape[rows], 1, {rows, contracted, -1}, -1});
    return result;
  }
  const std::vector<int64_t> &lhsBatch = spec.attributes.integers("lhs_batch"),
                             &rhsBatch = spec.attributes.integers("rhs_batch"),
                             &lhsContract = spec.attributes.integers("lhs_contract"),
                             &rhsContract = spec.attributes.integers("rhs_contract");
  auto names = [](const std::vector<int64_t> &list, int64_t dim) {
    return std::find(list.begin(), list.end(), dim) != list.end();
  };
  auto at = static_cast<int64_t>(lhsBatch.size());
  for (int64_t dim = 0; dim < lhs.rank(); ++dim)
    if (!names(lhsBatch, dim) && !names(lhsContract, dim))
      result.push_back({lhs.shape[dim], 1, {dim, -1, -1}, at++});
  for (int64_t dim = 0; dim < rhs.rank(); ++dim)
    if (!names(rhsBatch, dim) && !names(rhsContract, dim))
      result.push_back({rhs.shape[dim], 1, {-1, dim, -1}, at++});
  for (size_t i = 0; i < lhsContract.size(); ++i)
    result.push_back({lhs.shape[lhsContract[i]], 1, {lhsContract[i], rhsContract[i], -1}, -1});
  return result;
}

/// Along the longest dimension, in blocks that keep the copies of what is cut small.
Cut cutOf(const KernelSpec &spec) {
  Cut cut;
  if (spec.name != "matmul" && spec.name != "linear")
    return cut;
  for (const Cut &dimension : dimensionsOf(spec))
    if (dimension.size > cut.size)
      cut = dimension;
  int64_t perIndex = 0;
  for (size_t i = 0; i < spec.inputs.size(); ++i)
    if (cut.inputs[i] >= 0)
      perIndex += storedElements(spec.inputs[i]) / cut.size;
  if (cut.output >= 0)
    perIndex += spec.outputs[0].elements() / cut.size;
  constexpr int64_t kUnit = 64;
  const int64_t fits = std::max<int64_t>(1, kBlockElements / std::max<int64_t>(1, perIndex));
  cut.block = fits >= cut.size ? cut.size : std::max(kUnit, fits / kUnit * kUnit);
  cut.block = std::min(cut.block, cut.size);
  return cut;
}

/// `desc` with `size` elements along `dim`.
TensorDesc resized(TensorDesc desc, int64_t dim, int64_t size) {
  if (dim >= 0)
    desc.shape[static_cast<size_t>(dim)] = size;
  return desc;
}

/// What computes blocks of one size; `first` and `later` differ where blocks are added up.
struct Block {
  std::vector<Rows> inputs;
  Rows output;
  std::unique_ptr<Kernel> first, later;
};

class Widened : public Kernel {
public:
  Widened(const KernelSpec &spec, bool accumulates)
      : spec(spec), cut(cutOf(spec)), rounds(isNarrowFloat(spec.outputs[0].dtype)),
        accumulates(accumulates) {
    size_t used = 0;
    auto reserve = [&](int64_t elements) {
      const size_t offset = used;
      used += (static_cast<size_t>(elements) * sizeof(float) + kAlignment - 1) / kAlignment *
              kAlignment;
      return offset;
    };
    for (size_t i = 0; i < spec.inputs.size(); ++i)
      inputAt.push_back(reserve(storedElements(resized(spec.inputs[i], cut.inputs[i], cut.block))));
    if (rounds)
      outputAt = reserve(resized(spec.outputs[0], cut.output, cut.block).elements());
    innerAt = used;
    full = prepare(cut.block);
    if (const int64_t rest = cut.size % cut.block; rest != 0)
      tail = prepare(rest);
    bytes = innerAt + innerBytes;
  }

  size_t workspaceBytes() const { return bytes; }

  void run(const KernelArguments &arguments) noexcept override {
    auto *workspace = static_cast<char *>(arguments.workspace);
    std::array<void *, 3> inputs{};
    for (size_t i = 0; i < spec.inputs.size(); ++i)
      inputs[i] = workspace + inputAt[i];
    const size_t outputBytes = sizeOf(spec.outputs[0].dtype);
    for (int64_t begin = 0; begin < cut.size; begin += cut.block) {
      const Block &block = begin + cut.block <= cut.size ? full : tail;
      for (size_t i = 0; i < spec.inputs.size(); ++i)
        if (begin == 0 || cut.inputs[i] >= 0)
          block.inputs[i].widenAll(static_cast<const uint16_t *>(arguments.inputs[i]) +
                                       offsetIn(spec.inputs[i], cut.inputs[i], begin),
                                   static_cast<float *>(inputs[i]), spec.threads);
      char *target =
          static_cast<char *>(arguments.outputs[0]) +
          static_cast<size_t>(offsetIn(spec.outputs[0], cut.output, begin)) * outputBytes;
      void *output = rounds ? workspace + outputAt : target;
      const bool adds = cut.output < 0 && begin > 0;
      // Later blocks of a contracted dimension have no bias.
      (adds ? block.later : block.first)
          ->run({std::span(inputs.data(), adds ? 2 : spec.inputs.size()), std::span(&output, 1),
                 workspace + innerAt});
      if (rounds && (cut.output >= 0 || begin + cut.block >= cut.size))
        block.output.narrowAll(static_cast<const float *>(output),
                               reinterpret_cast<uint16_t *>(target), spec.threads);
    }
  }

private:
  static int64_t offsetIn(const TensorDesc &desc, int64_t dim, int64_t index) {
    return dim < 0 ? 0 : index * desc.strides[static_cast<size_t>(dim)];
  }

  Block prepare(int64_t size) {
    Block block;
    KernelSpec wide = spec;
    for (size_t i = 0; i < spec.inputs.size(); ++i) {
      const TensorDesc part = resized(spec.inputs[i], cut.inputs[i], size);
      block.inputs.emplace_back(part);
      wide.inputs[i] = packed(part);
    }
    const TensorDesc part = resized(spec.outputs[0], cut.output, size);
    block.output = Rows(part);
    wide.outputs[0] = rounds ? packed(part) : part;
    block.first = prepareInner(wide, accumulates);
    if (cut.output < 0 && cut.block < cut.size) {
      wide.inputs.resize(2);
      block.later = prepareInner(wide, /*adds=*/true);
    }
    return block;
  }

  std::unique_ptr<Kernel> prepareInner(const KernelSpec &wide, bool adds) {
    const Call call = wide.name == "matmul"   ? matmulCall(wide, adds)
                      : wide.name == "linear" ? linearCall(wide, adds)
                                              : convolutionCall(wide);
    innerBytes = std::max(innerBytes, onednn::workspaceBytes(call));
    return onednn::prepare(call, wide.threads);
  }

  KernelSpec spec;
  Cut cut;
  bool rounds, accumulates;
  std::vector<size_t> inputAt;
  size_t outputAt = 0, innerAt = 0, innerBytes = 0, bytes = 0;
  Block full, tail;
};

} // namespace

WidenedKernel deepshard::runtime::onednn::widened(const KernelSpec &spec, bool adds) {
  require(spec.inputs.size() >= 2 && spec.inputs.size() <= 3 && spec.outputs.size() == 1,
          fmt::format("{} operands and {} results", spec.inputs.size(), spec.outputs.size()));
  for (const TensorDesc &desc : spec.inputs) {
    require(isNarrowFloat(desc.dtype) && desc.dtype == spec.inputs[0].dtype,
            fmt::format("an operand is {}, expected bf16 or f16 for all", textOf(desc)));
    require(desc.elements() > 0, fmt::format("an operand {} is empty", textOf(desc)));
  }
  require(givesDType(spec.inputs[0].dtype, spec.outputs[0].dtype),
          fmt::format("the result is {}, expected {} or f32", textOf(spec.outputs[0]),
                      nameOf(spec.inputs[0].dtype)));
  require(!adds || spec.outputs[0].dtype == DType::F32,
          fmt::format("the result is {}, expected f32 to add to", textOf(spec.outputs[0])));
  auto kernel = std::make_unique<Widened>(spec, adds);
  const size_t bytes = kernel->workspaceBytes();
  return {std::move(kernel), bytes};
}
