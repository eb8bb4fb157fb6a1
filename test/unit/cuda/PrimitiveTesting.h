//===- PrimitiveTesting.h - kernels of provider "cuda" beside the reference -------------------===//
//
// Operands lie between pages that nobody may touch, at addresses that are aligned to their elements
// only, with random strides; results begin with bytes that must remain where no element is.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_CUDA_PRIMITIVETESTING_H
#define DEEPSHARD_TEST_UNIT_CUDA_PRIMITIVETESTING_H

#include "runtime/device/Cuda.h"
#include "runtime/kernels/Providers.h"
#include "test/unit/cuda/CudaTesting.h"
#include "test/unit/gpu/DeviceMemory.h"

#include <random>

namespace deepshard::runtime::test {

using Integers = std::vector<int64_t>;
using Bytes = std::vector<char>;

class PrimitiveTest : public testing::Test {
protected:
  PrimitiveTest();

  int64_t number(int64_t least, int64_t most);
  bool maybe() { return number(0, 1) == 1; }
  template <typename T> T oneOf(const std::vector<T> &choices) {
    return choices[static_cast<size_t>(number(0, static_cast<int64_t>(choices.size()) - 1))];
  }
  /// Sizes of up to `most`, with a few dimensions of 0 and 1.
  Integers shape(int64_t rank, int64_t most = 7);
  /// Dense, permuted or with gaps; an input may repeat elements (stride 0).
  TensorDesc strided(DType type, const Integers &shape, bool isInput);
  TensorDesc dense(DType type, const Integers &shape) {
    return TensorDesc::contiguous(type, shape);
  }

  /// Bytes from the first element of a window to behind its last.
  static size_t extent(const TensorDesc &desc);
  /// Random elements: of floats also infinities, NaN, zeros of both signs and denormals, of
  /// integers bounds.
  Bytes elements(const TensorDesc &desc, bool isSpecial = true);
  /// Integers of [least, most] for the elements of an index.
  Bytes indices(const TensorDesc &desc, int64_t least, int64_t most);
  template <typename T> static Bytes scalar(T value) {
    Bytes bytes(sizeof(T));
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }

  /// Runs `spec` by provider `by`; gives the bytes of all results. Result `output` of a pair
  /// (input, output) of `inPlace` lies over the input. Fails the test if the GPU reports a fault.
  std::vector<Bytes> run(const KernelProvider &by, const KernelSpec &spec,
                         const std::vector<Bytes> &inputs,
                         const std::vector<std::pair<size_t, size_t>> &inPlace = {});
  /// Runs it by both and compares the results.
  void check(const KernelSpec &spec, const std::vector<Bytes> &inputs, double ulps = 0);
  void expectEqual(const KernelSpec &spec, const std::vector<Bytes> &found,
                   const std::vector<Bytes> &expected, double ulps);
  const KernelProvider &cuda() { return *device->provider("cuda"); }

  FakeCuda &fake = fakeCuda();
  std::mt19937_64 random{7};
  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;
};

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_CUDA_PRIMITIVETESTING_H
