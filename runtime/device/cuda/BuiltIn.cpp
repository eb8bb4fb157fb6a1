//===- BuiltIn.cpp - copies and reductions that the library brings itself ---------------------===//

#include "runtime/device/cuda/BuiltIn.h"

#include "runtime/device/cuda/Check.h"
#include "runtime/device/cuda/Embed.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

// Of Kernels.cu.
DEEPSHARD_EMBED(deepshardKernels, DEEPSHARD_KERNELS);

namespace deepshard::runtime::cuda {

namespace {

struct Dim {
  int64_t size, from, to; // strides in elements
};

/// The dimensions outermost first, without those of size 1, neighbours that continue each other on
/// both sides as one.
std::vector<Dim> mergedDims(const StridedCopy &copy) {
  std::vector<Dim> dims;
  for (size_t i = 0; i < copy.shape.size(); ++i) {
    Dim dim{copy.shape[i], copy.fromStrides[i], copy.toStrides[i]};
    if (dim.size == 1)
      continue;
    if (!dims.empty() && dims.back().from == dim.from * dim.size &&
        dims.back().to == dim.to * dim.size)
      dims.back() = {dims.back().size * dim.size, dim.from, dim.to};
    else
      dims.push_back(dim);
  }
  return dims;
}

/// Takes the innermost dimension, if it is dense, into elements of up to 16 bytes.
size_t widen(const StridedCopy &copy, std::vector<Dim> &dims) {
  size_t width = copy.width;
  if (dims.empty() || dims.back().from != 1 || dims.back().to != 1)
    return width;
  auto divides = [&](size_t by) { // `by` elements are one
    if (dims.back().size % static_cast<int64_t>(by) != 0 ||
        reinterpret_cast<uintptr_t>(copy.from) % (by * width) != 0 ||
        reinterpret_cast<uintptr_t>(copy.to) % (by * width) != 0)
      return false;
    return std::all_of(dims.begin(), dims.end() - 1, [&](const Dim &dim) {
      return dim.from % static_cast<int64_t>(by) == 0 && dim.to % static_cast<int64_t>(by) == 0;
    });
  };
  size_t by = 1;
  while (2 * by * width <= 16 && divides(2 * by))
    by *= 2;
  for (Dim &dim : dims) {
    if (&dim == &dims.back()) {
      dim.size /= static_cast<int64_t>(by);
    } else {
      dim.from /= static_cast<int64_t>(by);
      dim.to /= static_cast<int64_t>(by);
    }
  }
  return width * by;
}

Geometry geometryFor(int64_t elements, int64_t rows = 1) {
  constexpr int64_t kThreads = 256, kMostBlocks = 4096;
  int64_t blocks = std::clamp<int64_t>((elements + kThreads - 1) / kThreads, 1, kMostBlocks);
  return {dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(rows)), dim3(kThreads), 0};
}

} // namespace

BuiltIn::BuiltIn() : module(deepshardKernels) {}

void BuiltIn::copy(const StridedCopy &copy, cudaStream_t stream) {
  std::vector<Dim> dims = mergedDims(copy);
  if (std::any_of(dims.begin(), dims.end(), [](const Dim &dim) { return dim.size == 0; }))
    return;
  auto width = static_cast<int64_t>(copy.width);
  bool isDense = dims.empty() || (dims.back().from == 1 && dims.back().to == 1);
  if (isDense && dims.size() <= 1) {
    size_t bytes = copy.width * static_cast<size_t>(dims.empty() ? 1 : dims[0].size);
    return check(cudaMemcpyAsync(copy.to, copy.from, bytes, cudaMemcpyDefault, stream),
                 "cudaMemcpyAsync");
  }
  constexpr int64_t kMostPitch = INT32_MAX; // in bytes, of what copies engines do
  if (isDense && dims.size() == 2 && dims[0].from >= dims[1].size && dims[0].to >= dims[1].size &&
      std::max(dims[0].from, dims[0].to) <= kMostPitch / width)
    return check(cudaMemcpy2DAsync(copy.to, static_cast<size_t>(dims[0].to * width), copy.from,
                                   static_cast<size_t>(dims[0].from * width),
                                   static_cast<size_t>(dims[1].size * width),
                                   static_cast<size_t>(dims[0].size), cudaMemcpyDefault, stream),
                 "cudaMemcpy2DAsync");
  if (dims.size() > kMostDims)
    throw Error(fmt::format("a copy of a window with {} dimensions that do not continue each "
                            "other, at most {} were expected",
                            dims.size(), kMostDims),
                ExitCode::BadInput);
  StridedWindow window = {};
  size_t unit = widen(copy, dims);
  window.from = copy.from;
  window.to = copy.to;
  window.elements = 1;
  window.rank = static_cast<int32_t>(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) {
    window.elements *= dims[i].size;
    window.shape[i] = dims[i].size;
    window.fromStrides[i] = dims[i].from;
    window.toStrides[i] = dims[i].to;
  }
  Geometry geometry = geometryFor(window.elements);
  cudaKernel_t kernel = module.find(fmt::format("ds_copy_{}", unit), geometry);
  void *arguments[] = {&window};
  launch(kernel, geometry, arguments, stream);
}

void BuiltIn::reduce(const ReducedRows &what, int64_t rows, DType type, Reduction reduction,
                     cudaStream_t stream) {
  constexpr std::array<const char *, 3> kNames = {"sum", "max", "min"};
  if (what.elements == 0 || rows == 0)
    return;
  Geometry geometry = geometryFor(what.elements, rows);
  cudaKernel_t kernel = module.find(
      fmt::format("ds_reduce_{}_{}", nameOf(type), kNames[static_cast<size_t>(reduction)]),
      geometry);
  if (!kernel)
    throw Error(fmt::format("collectives do not reduce elements of type {}, only f32, f64, bf16, "
                            "f16, i64 and i32",
                            nameOf(type)),
                ExitCode::Internal);
  void *arguments[] = {const_cast<ReducedRows *>(&what)};
  launch(kernel, geometry, arguments, stream);
}

void BuiltIn::mark(uint64_t *place, uint64_t number, cudaStream_t stream) {
  const Geometry geometry = {dim3(1), dim3(1), 0};
  Mark mark = {place, number};
  void *arguments[] = {&mark};
  launch(module.find("ds_mark", geometry), geometry, arguments, stream);
}

} // namespace deepshard::runtime::cuda
