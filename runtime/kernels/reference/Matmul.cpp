//===- Matmul.cpp - general contraction -------------------------------------------------------===//
//
// The result is cut into tiles of kTileM x kTileN. For a tile, panels of both operands are
// converted to f64 and packed kTileK deep, and a small kernel adds their product to f64
// accumulators. Each element of the result is one sum over k in ascending order, whatever the tiles
// and threads.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/Contraction.h"
#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Types.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

constexpr int64_t kTileM = 32, kTileN = 32, kTileK = 128;
constexpr int kRows = 4, kColumns = 8; // of the small kernel

/// Offsets of all indices of a list of dimensions, in row-major order.
std::vector<int64_t> offsets(const std::vector<ContractionDim> &dims,
                             int64_t ContractionDim::*stride) {
  std::vector<int64_t> result = {0};
  for (const ContractionDim &dim : dims) {
    std::vector<int64_t> longer;
    longer.reserve(result.size() * dim.size);
    for (int64_t base : result)
      for (int64_t i = 0; i < dim.size; ++i)
        longer.push_back(base + i * (dim.*stride));
    result = std::move(longer);
  }
  return result;
}

struct Tile {
  alignas(64) double a[kTileK * kTileM];   // [k][m]
  alignas(64) double b[kTileK * kTileN];   // [k][n]
  alignas(64) double acc[kTileM * kTileN]; // [m][n]

  void addProduct(int64_t depth) {
    for (int64_t i = 0; i < kTileM; i += kRows)
      for (int64_t j = 0; j < kTileN; j += kColumns) {
        double sum[kRows][kColumns];
        for (int r = 0; r < kRows; ++r)
          for (int c = 0; c < kColumns; ++c)
            sum[r][c] = acc[(i + r) * kTileN + j + c];
        for (int64_t k = 0; k < depth; ++k)
          for (int r = 0; r < kRows; ++r)
            for (int c = 0; c < kColumns; ++c)
              sum[r][c] += a[k * kTileM + i + r] * b[k * kTileN + j + c];
        for (int r = 0; r < kRows; ++r)
          for (int c = 0; c < kColumns; ++c)
            acc[(i + r) * kTileN + j + c] = sum[r][c];
      }
  }
};

template <typename T> class MatmulKernel : public Kernel {
public:
  MatmulKernel(const Contraction &dims, int threads)
      : batch{offsets(dims.batch, &ContractionDim::lhs), offsets(dims.batch, &ContractionDim::rhs),
              offsets(dims.batch, &ContractionDim::out)},
        lhsM(offsets(dims.m, &ContractionDim::lhs)), lhsK(offsets(dims.k, &ContractionDim::lhs)),
        rhsN(offsets(dims.n, &ContractionDim::rhs)), rhsK(offsets(dims.k, &ContractionDim::rhs)),
        outM(offsets(dims.m, &ContractionDim::out)), outN(offsets(dims.n, &ContractionDim::out)),
        threads(threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    const auto tilesM = static_cast<int64_t>(lhsM.size() + kTileM - 1) / kTileM;
    const auto tilesN = static_cast<int64_t>(rhsN.size() + kTileN - 1) / kTileN;
    const int64_t tiles = tilesM * tilesN * static_cast<int64_t>(batch[0].size());
    parallelRanges(threads, tiles, 1, [&](int64_t begin, int64_t end) {
      Tile tile;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i / (tilesM * tilesN);
        runTile(tile, static_cast<const T *>(arguments.inputs[0]) + batch[0][at],
                static_cast<const T *>(arguments.inputs[1]) + batch[1][at],
                static_cast<T *>(arguments.outputs[0]) + batch[2][at], i / tilesN % tilesM * kTileM,
                i % tilesN * kTileN);
      }
    });
  }

private:
  /// Packs elements [first, first + kTile) of one operand for `depth` values of k; zeros beyond the
  /// end.
  template <int64_t kTile>
  static void pack(double *to, const T *from, const std::vector<int64_t> &outer, int64_t first,
                   const int64_t *inner, int64_t depth) {
    const int64_t count = std::min(kTile, static_cast<int64_t>(outer.size()) - first);
    for (int64_t k = 0; k < depth; ++k) {
      const T *row = from + inner[k];
      for (int64_t i = 0; i < count; ++i)
        to[k * kTile + i] = static_cast<double>(row[outer[first + i]]);
      std::fill(to + k * kTile + count, to + (k + 1) * kTile, 0.0);
    }
  }

  void runTile(Tile &tile, const T *lhs, const T *rhs, T *out, int64_t m, int64_t n) noexcept {
    std::fill_n(tile.acc, kTileM * kTileN, 0.0);
    const auto depth = static_cast<int64_t>(lhsK.size());
    for (int64_t k = 0; k < depth; k += kTileK) {
      const int64_t now = std::min(kTileK, depth - k);
      pack<kTileM>(tile.a, lhs, lhsM, m, lhsK.data() + k, now);
      pack<kTileN>(tile.b, rhs, rhsN, n, rhsK.data() + k, now);
      tile.addProduct(now);
    }
    const int64_t rows = std::min(kTileM, static_cast<int64_t>(outM.size()) - m);
    const int64_t columns = std::min(kTileN, static_cast<int64_t>(outN.size()) - n);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        out[outM[m + i] + outN[n + j]] = static_cast<T>(tile.acc[i * kTileN + j]);
  }

  std::vector<int64_t> batch[3]; // offsets in lhs, rhs and result
  std::vector<int64_t> lhsM, lhsK, rhsN, rhsK, outM, outN;
  int threads;
};

std::unique_ptr<Kernel> prepareMatmul(const KernelSpec &spec) {
  const Contraction dims = Contraction::of(spec);
  return dispatchFloat(
      spec.outputs[0].dtype, "the result", [&](auto tag) -> std::unique_ptr<Kernel> {
        return std::make_unique<MatmulKernel<typename decltype(tag)::Type>>(dims, spec.threads);
      });
}

} // namespace

void deepshard::runtime::reference::addMatmul(KernelTable &table) {
  table["matmul"] = {prepareMatmul};
}
