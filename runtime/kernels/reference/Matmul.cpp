//===- Matmul.cpp - general contraction -------------------------------------------------------===//
//
// The result is cut into tiles, for which panels of both operands are packed: see Tile.h.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/Contraction.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Tile.h"
#include "runtime/kernels/reference/Types.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

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

/// Operands of type T, a result of type R.
template <typename T, typename R> class MatmulKernel : public Kernel {
public:
  MatmulKernel(const Contraction &dims, int threads)
      : batch{offsets(dims.batch, &ContractionDim::lhs), offsets(dims.batch, &ContractionDim::rhs),
              offsets(dims.batch, &ContractionDim::out)},
        lhsM(offsets(dims.m, &ContractionDim::lhs)), lhsK(offsets(dims.k, &ContractionDim::lhs)),
        rhsN(offsets(dims.n, &ContractionDim::rhs)), rhsK(offsets(dims.k, &ContractionDim::rhs)),
        outM(offsets(dims.m, &ContractionDim::out)), outN(offsets(dims.n, &ContractionDim::out)),
        threads(threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    forEachTile(threads, batch[0].size(), lhsM.size(), rhsN.size(),
                [&](Tile &tile, int64_t at, int64_t m, int64_t n) {
                  runTile(tile, static_cast<const T *>(arguments.inputs[0]) + batch[0][at],
                          static_cast<const T *>(arguments.inputs[1]) + batch[1][at],
                          static_cast<R *>(arguments.outputs[0]) + batch[2][at], m, n);
                });
  }

private:
  void runTile(Tile &tile, const T *lhs, const T *rhs, R *out, int64_t m, int64_t n) noexcept {
    const auto depth = static_cast<int64_t>(lhsK.size());
    for (int64_t k = 0; k < depth; k += kTileK) {
      const int64_t now = std::min(kTileK, depth - k);
      packPanel<kTileM>(tile.a, lhs, lhsM, m, lhsK.data() + k, now);
      packPanel<kTileN>(tile.b, rhs, rhsN, n, rhsK.data() + k, now);
      tile.addProduct(now);
    }
    tile.store(out, outM, m, outN, n);
  }

  std::vector<int64_t> batch[3]; // offsets in lhs, rhs and result
  std::vector<int64_t> lhsM, lhsK, rhsN, rhsK, outM, outN;
  int threads;
};

std::unique_ptr<Kernel> prepareMatmul(const KernelSpec &spec) {
  const Contraction dims = Contraction::of(spec);
  return dispatchAnyFloat(spec.inputs[0].dtype, "operand 0",
                          [&](auto tag) -> std::unique_ptr<Kernel> {
                            using T = typename decltype(tag)::Type;
                            if (spec.outputs[0].dtype != spec.inputs[0].dtype)
                              return std::make_unique<MatmulKernel<T, float>>(dims, spec.threads);
                            return std::make_unique<MatmulKernel<T, T>>(dims, spec.threads);
                          });
}

} // namespace

void deepshard::runtime::reference::addMatmul(KernelTable &table) {
  table["matmul"] = {prepareMatmul};
}
