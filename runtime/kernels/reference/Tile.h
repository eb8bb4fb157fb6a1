//===- Tile.h - a tile of a sum of products ---------------------------------------------------===//
//
// A result of m x n sums over k is cut into tiles of kTileM x kTileN. For a tile, panels of both
// operands are converted to f64 and packed kTileK deep, and a small kernel adds their product to
// f64 accumulators. Each element of the result is one sum over k in ascending order, whatever the
// tiles and threads.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_TILE_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_TILE_H

#include "runtime/kernels/Parallel.h"
#include "runtime/kernels/reference/Types.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace deepshard::runtime::reference {

constexpr int64_t kTileM = 32, kTileN = 32, kTileK = 128;

struct Tile {
  static constexpr int kRows = 4, kColumns = 8; // of the small kernel

  alignas(64) double a[kTileK * kTileM];   // [k][m]
  alignas(64) double b[kTileK * kTileN];   // [k][n]
  alignas(64) double acc[kTileM * kTileN]; // [m][n]

  /// Adds the product of the first `depth` rows of both panels.
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

  /// Writes the accumulators of the results from (firstM, firstN) on; `m` and `n` are the offsets
  /// of all rows and columns.
  template <typename T>
  void store(T *out, const std::vector<int64_t> &m, int64_t firstM, const std::vector<int64_t> &n,
             int64_t firstN) const {
    const int64_t rows = std::min(kTileM, static_cast<int64_t>(m.size()) - firstM);
    const int64_t columns = std::min(kTileN, static_cast<int64_t>(n.size()) - firstN);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        out[m[firstM + i] + n[firstN + j]] = narrowed<T>(acc[i * kTileN + j]);
  }
};

/// Packs elements [first, first + kTile) of one operand for `depth` values of k; zeros beyond the
/// end. `outer` and `inner` are their offsets.
template <int64_t kTile, typename T>
void packPanel(double *to, const T *from, const std::vector<int64_t> &outer, int64_t first,
               const int64_t *inner, int64_t depth) {
  const int64_t count = std::min(kTile, static_cast<int64_t>(outer.size()) - first);
  for (int64_t k = 0; k < depth; ++k) {
    const T *row = from + inner[k];
    for (int64_t i = 0; i < count; ++i)
      to[k * kTile + i] = static_cast<double>(widened(row[outer[first + i]]));
    std::fill(to + k * kTile + count, to + (k + 1) * kTile, 0.0);
  }
}

/// Calls `body(tile, batch, m, n)` for the tiles of `batches` results of m x n.
template <typename Body>
void forEachTile(int threads, size_t batches, size_t m, size_t n, const Body &body) noexcept {
  const auto tilesM = static_cast<int64_t>(m + kTileM - 1) / kTileM;
  const auto tilesN = static_cast<int64_t>(n + kTileN - 1) / kTileN;
  const int64_t tiles = tilesM * tilesN * static_cast<int64_t>(batches);
  parallelRanges(threads, tiles, 1, [&](int64_t begin, int64_t end) {
    Tile tile;
    for (int64_t i = begin; i < end; ++i) {
      std::fill_n(tile.acc, kTileM * kTileN, 0.0);
      body(tile, i / (tilesM * tilesN), i / tilesN % tilesM * kTileM, i % tilesN * kTileN);
    }
  });
}

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_TILE_H
