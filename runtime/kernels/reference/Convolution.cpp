//===- Convolution.cpp - convolutions and their gradients -------------------------------------===//
//
// Each of the three is, per group, a sum of products over k of one operand that is read through the
// window and one that is read plainly, computed in tiles (Tile.h):
//
//   |             | windowed | m            | k                 | plain  | n       |
//   | ----------- | -------- | ------------ | ----------------- | ------ | ------- |
//   | convolution | x        | batch, y     | inputs, kernel    | weight | outputs |
//   | input grad  | dy       | batch, x     | outputs, kernel   | weight | inputs  |
//   | weight grad | x        | inputs, kern | batch, y          | dy     | outputs |
//
// Where element (m, k) of the windowed operand lies is a sum of a part that m gives and one that k
// gives: an offset (batch, channel) and a place per spatial dimension, which may be outside (the
// padding) or, for the input grad, between two elements (a stride above 1).
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/Convolution.h"

#include "runtime/kernels/Require.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Tile.h"
#include "runtime/kernels/reference/Types.h"

#include <array>
#include <fmt/format.h>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

constexpr size_t kMostSpatial = 3;
using Places = std::array<int64_t, kMostSpatial>;

/// All indices of a list of dimensions, row-major: offset and places of each.
struct Indices {
  std::vector<int64_t> offsets = {0};
  std::vector<Places> places = {{}};

  /// The next inner dimension, which moves the offset.
  void add(int64_t size, int64_t step) {
    expand(size, [&](int64_t &offset, Places &, int64_t i) { offset += i * step; });
  }
  /// The next inner dimension, which moves the place in spatial dimension `dim`.
  void addPlaces(size_t dim, int64_t size, int64_t start, int64_t step) {
    expand(size, [&](int64_t &, Places &place, int64_t i) { place[dim] += start + i * step; });
  }

private:
  template <typename Move> void expand(int64_t size, const Move &move) {
    Indices longer{{}, {}};
    longer.offsets.reserve(offsets.size() * size);
    longer.places.reserve(offsets.size() * size);
    for (size_t at = 0; at < offsets.size(); ++at)
      for (int64_t i = 0; i < size; ++i) {
        longer.offsets.push_back(offsets[at]);
        longer.places.push_back(places[at]);
        move(longer.offsets.back(), longer.places.back(), i);
      }
    *this = std::move(longer);
  }
};

/// A spatial dimension of the windowed operand: element e lies at place e * spacing.
struct Window {
  int64_t size = 1, spacing = 1, stride = 0;
};

/// The sum of products that a convolution or a gradient is.
struct WindowedProduct {
  Indices windowedM, windowedK;
  std::array<Window, kMostSpatial> window;
  std::vector<int64_t> plainN, plainK, outM, outN;
  int64_t groups;
  int64_t windowedGroup, plainGroup, outGroup; // elements from one group to the next
  unsigned windowed;                           // which operand is it
};

/// The offsets of a tensor over the indices of `outer`, then its spatial dimensions.
std::vector<int64_t> offsets(const TensorDesc &tensor, size_t outer, int64_t outerSize,
                             size_t spatial) {
  Indices indices;
  indices.add(outerSize, tensor.strides[outer]);
  for (size_t dim = 2; dim < 2 + spatial; ++dim)
    indices.add(tensor.shape[dim], tensor.strides[dim]);
  return std::move(indices.offsets);
}

/// The offsets of `size` channels, which are dimension `dim` of `tensor`.
std::vector<int64_t> channels(const TensorDesc &tensor, size_t dim, int64_t size) {
  Indices indices;
  indices.add(size, tensor.strides[dim]);
  return std::move(indices.offsets);
}

/// An index besides the spatial ones: its size, and which dimension it is of the two tensors that
/// have it.
struct OuterIndex {
  int64_t size;
  size_t first, second;
};

/// All but the windows. `m` are dimensions of (windowed, out), `n` of (plain, out), `k` of
/// (windowed, plain); groups are the major part of dimension 1 of x and y and 0 of weight.
WindowedProduct productOf(const Convolution &c, const TensorDesc &windowed, const TensorDesc &plain,
                          const TensorDesc &out, OuterIndex m, OuterIndex n, OuterIndex k) {
  auto groupStep = [&](const TensorDesc &tensor) {
    const size_t dim = &tensor == &c.weight ? 0 : 1;
    return tensor.shape[dim] / c.groups * tensor.strides[dim];
  };
  const size_t spatial = c.spatial.size();
  WindowedProduct product{};
  product.windowedM.add(m.size, windowed.strides[m.first]);
  product.windowedK.add(k.size, windowed.strides[k.first]);
  product.plainN = channels(plain, n.first, n.size);
  product.plainK = offsets(plain, k.second, k.size, spatial);
  product.outM = offsets(out, m.second, m.size, spatial);
  product.outN = channels(out, n.second, n.size);
  product.groups = c.groups;
  product.windowedGroup = groupStep(windowed);
  product.plainGroup = groupStep(plain);
  product.outGroup = groupStep(out);
  return product;
}

WindowedProduct forward(const Convolution &c) {
  WindowedProduct product =
      productOf(c, c.x, c.weight, c.y, {c.batch, 0, 0}, {c.outputs, 0, 1}, {c.inputs, 1, 1});
  for (size_t i = 0; i < c.spatial.size(); ++i) {
    const ConvolutionDim &dim = c.spatial[i];
    product.windowedM.addPlaces(i, dim.output, -dim.low, dim.stride);
    product.windowedK.addPlaces(i, dim.kernel, 0, dim.dilation);
    product.window[i] = {dim.input, 1, c.x.strides[2 + i]};
  }
  product.windowed = 0;
  return product;
}

/// dx at place p is the sum of dy at (p + low - k dilation) / stride, where that is an element.
WindowedProduct inputGrad(const Convolution &c) {
  WindowedProduct product =
      productOf(c, c.y, c.weight, c.x, {c.batch, 0, 0}, {c.inputs, 1, 1}, {c.outputs, 1, 0});
  for (size_t i = 0; i < c.spatial.size(); ++i) {
    const ConvolutionDim &dim = c.spatial[i];
    product.windowedM.addPlaces(i, dim.input, dim.low, 1);
    product.windowedK.addPlaces(i, dim.kernel, 0, -dim.dilation);
    product.window[i] = {dim.output, dim.stride, c.y.strides[2 + i]};
  }
  product.windowed = 0;
  return product;
}

WindowedProduct weightGrad(const Convolution &c) {
  WindowedProduct product =
      productOf(c, c.x, c.y, c.weight, {c.inputs, 1, 1}, {c.outputs, 1, 0}, {c.batch, 0, 0});
  for (size_t i = 0; i < c.spatial.size(); ++i) {
    const ConvolutionDim &dim = c.spatial[i];
    product.windowedM.addPlaces(i, dim.kernel, -dim.low, dim.dilation);
    product.windowedK.addPlaces(i, dim.output, 0, dim.stride);
    product.window[i] = {dim.input, 1, c.x.strides[2 + i]};
  }
  product.windowed = 1;
  return product;
}

/// Operands of type T, a result of type R.
template <typename T, typename R> class ConvolutionKernel : public Kernel {
public:
  ConvolutionKernel(WindowedProduct product, int threads)
      : p(std::move(product)), threads(threads) {}

  void run(const KernelArguments &arguments) noexcept override {
    const auto *windowed = static_cast<const T *>(arguments.inputs[p.windowed]);
    const auto *plain = static_cast<const T *>(arguments.inputs[1 - p.windowed]);
    auto *out = static_cast<R *>(arguments.outputs[0]);
    const auto depth = static_cast<int64_t>(p.plainK.size());
    forEachTile(threads, p.groups, p.outM.size(), p.outN.size(),
                [&](Tile &tile, int64_t group, int64_t m, int64_t n) {
                  for (int64_t k = 0; k < depth; k += kTileK) {
                    const int64_t now = std::min(kTileK, depth - k);
                    packWindows(tile.a, windowed + group * p.windowedGroup, m, k, now);
                    packPanel<kTileN>(tile.b, plain + group * p.plainGroup, p.plainN, n,
                                      p.plainK.data() + k, now);
                    tile.addProduct(now);
                  }
                  tile.store(out + group * p.outGroup, p.outM, m, p.outN, n);
                });
  }

private:
  /// As `packPanel`, for the windowed operand.
  void packWindows(double *to, const T *from, int64_t firstM, int64_t firstK, int64_t depth) const {
    const int64_t count = std::min(kTileM, static_cast<int64_t>(p.outM.size()) - firstM);
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t i = 0; i < count; ++i)
        to[k * kTileM + i] = element(from, firstM + i, firstK + k);
      std::fill(to + k * kTileM + count, to + (k + 1) * kTileM, 0.0);
    }
  }

  double element(const T *from, int64_t m, int64_t k) const {
    int64_t offset = p.windowedM.offsets[m] + p.windowedK.offsets[k];
    for (size_t dim = 0; dim < kMostSpatial; ++dim) {
      const Window &window = p.window[dim];
      const int64_t place = p.windowedM.places[m][dim] + p.windowedK.places[k][dim];
      if (place < 0 || place >= window.size * window.spacing || place % window.spacing != 0)
        return 0;
      offset += place / window.spacing * window.stride;
    }
    return static_cast<double>(widened(from[offset]));
  }

  WindowedProduct p;
  int threads;
};

template <WindowedProduct (*productOf)(const Convolution &)>
std::unique_ptr<Kernel> prepareConvolution(const KernelSpec &spec) {
  const Convolution convolution = Convolution::of(spec);
  require(convolution.spatial.size() <= kMostSpatial,
          fmt::format("there are {} spatial dimensions, expected at most {}",
                      convolution.spatial.size(), kMostSpatial));
  return dispatchAnyFloat(
      spec.inputs[0].dtype, "operand 0", [&](auto tag) -> std::unique_ptr<Kernel> {
        using T = typename decltype(tag)::Type;
        if (spec.outputs[0].dtype != spec.inputs[0].dtype)
          return std::make_unique<ConvolutionKernel<T, float>>(productOf(convolution),
                                                               spec.threads);
        return std::make_unique<ConvolutionKernel<T, T>>(productOf(convolution), spec.threads);
      });
}

} // namespace

void deepshard::runtime::reference::addConvolution(KernelTable &table) {
  table["convolution"] = {prepareConvolution<forward>};
  table["convolution_input_grad"] = {prepareConvolution<inputGrad>};
  table["convolution_weight_grad"] = {prepareConvolution<weightGrad>};
}
