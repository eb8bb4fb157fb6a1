//===- TestTensors.h - random strided tensors and running a kernel on them --------------------===//

#ifndef DEEPSHARD_TEST_UNIT_KERNELS_TESTTENSORS_H
#define DEEPSHARD_TEST_UNIT_KERNELS_TESTTENSORS_H

#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Kernel.h"
#include "runtime/kernels/Providers.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace deepshard::runtime::test {

using Sizes = std::vector<int64_t>;

inline int64_t product(const Sizes &sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

/// The row-major index `index` into `shape`, per dimension.
inline Sizes unravel(int64_t index, const Sizes &shape) {
  Sizes result(shape.size());
  for (auto dim = static_cast<int64_t>(shape.size()) - 1; dim >= 0; --dim) {
    result[dim] = index % shape[dim];
    index /= shape[dim];
  }
  return result;
}

/// The reverse of `unravel`.
inline int64_t ravel(const Sizes &index, const Sizes &shape) {
  int64_t result = 0;
  for (size_t dim = 0; dim < shape.size(); ++dim)
    result = result * shape[dim] + index[dim];
  return result;
}

/// A tensor in memory of its own, with the elements as doubles beside it in row-major order.
struct Tensor {
  TensorDesc desc;
  std::vector<char> bytes;

  Tensor(TensorDesc desc = {}) : desc(std::move(desc)) {
    int64_t last = 0;
    for (int64_t dim = 0; dim < this->desc.rank(); ++dim)
      last += std::max<int64_t>(this->desc.shape[dim] - 1, 0) * this->desc.strides[dim];
    bytes.resize((last + 1) * sizeOf(this->desc.dtype));
  }

  int64_t offset(int64_t index) const {
    int64_t result = 0;
    for (int64_t dim = desc.rank() - 1; dim >= 0; --dim) {
      result += index % desc.shape[dim] * desc.strides[dim];
      index /= desc.shape[dim];
    }
    return result;
  }

  double get(int64_t index) const {
    const char *at = bytes.data() + offset(index) * sizeOf(desc.dtype);
    switch (desc.dtype) {
    case DType::F32:
      return read<float>(at);
    case DType::F64:
      return read<double>(at);
    case DType::I64:
      return static_cast<double>(read<int64_t>(at));
    case DType::I32:
      return read<int32_t>(at);
    case DType::I8:
      return read<int8_t>(at);
    case DType::BF16: {
      const uint32_t wide = static_cast<uint32_t>(read<uint16_t>(at)) << 16;
      float value;
      std::memcpy(&value, &wide, sizeof(value));
      return value;
    }
    case DType::F16:
      return valueOfF16(read<uint16_t>(at));
    default:
      return read<uint8_t>(at);
    }
  }

  void set(int64_t index, double value) {
    char *at = bytes.data() + offset(index) * sizeOf(desc.dtype);
    switch (desc.dtype) {
    case DType::F32:
      return write(at, static_cast<float>(value));
    case DType::F64:
      return write(at, value);
    case DType::I64:
      return write(at, static_cast<int64_t>(value));
    case DType::I32:
      return write(at, static_cast<int32_t>(value));
    case DType::I8:
      return write(at, static_cast<int8_t>(value));
    case DType::BF16:
      return write(at, roundedToBf16(value));
    case DType::F16:
      return write(at, roundedToF16(value));
    default:
      return write(at, static_cast<uint8_t>(value != 0));
    }
  }

  /// To nearest, ties to even, by scaling to units of the last of 8 bits.
  static uint16_t roundedToBf16(double value) {
    if (!std::isfinite(value) || value == 0) {
      const auto wide = static_cast<float>(value);
      uint32_t bits;
      std::memcpy(&bits, &wide, sizeof(bits));
      return static_cast<uint16_t>(bits >> 16);
    }
    int exponent;
    const double fraction = std::frexp(value, &exponent);
    const auto nearest =
        static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8));
    uint32_t bits;
    std::memcpy(&bits, &nearest, sizeof(bits));
    return static_cast<uint16_t>(bits >> 16);
  }

  static double valueOfF16(uint16_t bits) {
    const int exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ff;
    const double magnitude = exponent == 0x1f ? (fraction ? std::nan("") : HUGE_VAL)
                             : exponent == 0  ? std::ldexp(fraction, -24)
                                              : std::ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
  }

  /// To nearest, ties to even: of units of the last of 11 bits, but not below 2^-24.
  static uint16_t roundedToF16(double value) {
    const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
    if (std::isnan(value))
      return sign | 0x7e00;
    if (value == 0)
      return sign;
    int exponent;
    std::frexp(value, &exponent);
    const int unit = std::max(exponent - 11, -24);
    const double units = std::nearbyint(std::ldexp(std::abs(value), -unit));
    if (std::isinf(value) || std::ldexp(units, unit) > 65504)
      return sign | 0x7c00;
    // Normal numbers carry the implicit bit, which raises the exponent field by one.
    return static_cast<uint16_t>(sign | (static_cast<int>(units) + 1024 * (unit + 24)));
  }

  std::vector<double> values() const {
    std::vector<double> result(desc.elements());
    for (size_t i = 0; i < result.size(); ++i)
      result[i] = get(static_cast<int64_t>(i));
    return result;
  }

private:
  template <typename T> static T read(const char *at) {
    T value;
    std::memcpy(&value, at, sizeof(T));
    return value;
  }
  template <typename T> static void write(char *at, T value) { std::memcpy(at, &value, sizeof(T)); }
};

/// Half a unit in the last place of a narrow type, relative to the smallest number that has it.
inline double roundingOf(DType dtype) { return dtype == DType::F16 ? 1.0 / 2048 : 1.0 / 256; }

/// Floats of 16 bits.
inline constexpr DType kNarrow[] = {DType::BF16, DType::F16};

using Random = std::mt19937_64;

inline int64_t draw(Random &random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

/// Row-major, or with dimensions in a random order in memory and gaps between them; `repeats`
/// allows strides of 0.
inline TensorDesc randomDesc(Random &random, DType dtype, const Sizes &shape, bool repeats) {
  TensorDesc desc = TensorDesc::contiguous(dtype, shape);
  if (draw(random, 0, 2) == 0)
    return desc;
  std::vector<int64_t> order(shape.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = static_cast<int64_t>(i);
  std::shuffle(order.begin(), order.end(), random);
  int64_t stride = draw(random, 1, 2);
  for (int64_t dim : order) {
    desc.strides[dim] = stride;
    stride *= shape[dim] + draw(random, 0, 1);
  }
  if (repeats)
    for (int64_t &each : desc.strides)
      if (draw(random, 0, 3) == 0)
        each = 0;
  return desc;
}

inline void fillUniform(Tensor &tensor, Random &random, double low, double high) {
  std::uniform_real_distribution<double> value(low, high);
  for (int64_t i = 0; i < tensor.desc.elements(); ++i)
    tensor.set(i, value(random));
}

inline Tensor uniform(Random &random, TensorDesc desc, double low = -2, double high = 2) {
  Tensor tensor(std::move(desc));
  fillUniform(tensor, random, low, high);
  return tensor;
}

inline Tensor uniform(Random &random, DType dtype, const Sizes &shape, double low = -2,
                      double high = 2) {
  return uniform(random, TensorDesc::contiguous(dtype, shape), low, high);
}

inline Sizes randomShape(Random &random, int64_t rank, int64_t largest) {
  Sizes shape(rank);
  for (int64_t &size : shape)
    size = draw(random, 0, 3) == 0 ? 1 : draw(random, 1, largest);
  return shape;
}

/// The oneDNN providers that this CPU can run: with and without bf16 instructions.
inline std::vector<const KernelProvider *> onednnLevels() {
  std::vector<const KernelProvider *> levels;
  for (std::string_view level : {"x86-64-v3", "x86-64-v4-bf16"})
    if (offers(cpuLevel(), level))
      levels.push_back(&onednnProvider(level));
  return levels;
}

/// The native providers that this CPU can run.
inline std::vector<const KernelProvider *> nativeLevels() {
  std::vector<const KernelProvider *> levels;
  for (std::string_view level : {"x86-64-v3", "x86-64-v4"})
    if (offers(cpuLevel(), level))
      levels.push_back(&nativeProvider(level));
  return levels;
}

/// Runs a kernel once on `threads` threads; the workspace ends where it was asked to end (guarded).
inline void runOnce(const KernelProvider &provider, const std::string &name,
                    const Attributes &attributes, const std::vector<Tensor *> &inputs,
                    const std::vector<Tensor *> &outputs, int threads) {
  KernelSpec spec{name, {}, {}, attributes, threads};
  std::vector<void *> in, out;
  for (Tensor *tensor : inputs) {
    spec.inputs.push_back(tensor->desc);
    in.push_back(tensor->bytes.data());
  }
  for (Tensor *tensor : outputs) {
    spec.outputs.push_back(tensor->desc);
    out.push_back(tensor->bytes.data());
  }
  const auto reason = provider.whyNot(spec);
  ASSERT_FALSE(reason) << name << ": " << *reason;
  const size_t bytes = provider.workspaceBytes(spec);
  constexpr size_t kGuard = 64;
  std::vector<char> memory(bytes + 64 + kGuard, 0x5a);
  void *workspace = memory.data();
  size_t space = memory.size();
  workspace = std::align(64, bytes + kGuard, workspace, space);
  auto kernel = provider.prepare(spec);
  kernel->run({in, out, workspace});
  for (size_t i = 0; i < kGuard; ++i)
    ASSERT_EQ(static_cast<char *>(workspace)[bytes + i], 0x5a)
        << name << " wrote beyond its workspace";
}

/// Runs a kernel with 1, 2 and 3 threads and expects the same bits; leaves the results in
/// `outputs`.
inline void runThreads(const std::string &provider, const std::string &name,
                       const Attributes &attributes, const std::vector<Tensor *> &inputs,
                       const std::vector<Tensor *> &outputs) {
  const KernelProvider *found = findProvider(provider);
  ASSERT_NE(found, nullptr);
  runOnce(*found, name, attributes, inputs, outputs, 1);
  std::vector<std::vector<char>> first;
  for (Tensor *tensor : outputs)
    first.push_back(tensor->bytes);
  for (int threads : {2, 3}) {
    for (Tensor *tensor : outputs)
      std::fill(tensor->bytes.begin(), tensor->bytes.end(), 0);
    runOnce(*found, name, attributes, inputs, outputs, threads);
    for (size_t i = 0; i < outputs.size(); ++i)
      EXPECT_TRUE(outputs[i]->bytes == first[i])
          << name << " differs with " << threads << " threads";
  }
}

inline std::string textOf(const Sizes &shape) {
  std::string text = "[";
  for (int64_t size : shape)
    text += std::to_string(size) + " ";
  return text + "]";
}

/// max |found - expected| <= tolerance max |expected|, NaN and infinities at the same places.
inline void expectNear(const Tensor &found, const std::vector<double> &expected, double tolerance,
                       const std::string &what) {
  ASSERT_EQ(found.desc.elements(), static_cast<int64_t>(expected.size())) << what;
  double largest = 0;
  for (double value : expected)
    if (std::isfinite(value))
      largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < expected.size(); ++i) {
    const double value = found.get(static_cast<int64_t>(i));
    if (std::isfinite(expected[i])) {
      ASSERT_LE(std::abs(value - expected[i]), tolerance * largest)
          << what << " " << textOf(found.desc.shape) << " element " << i << ": " << value << " "
          << expected[i];
    } else if (std::isnan(expected[i])) {
      ASSERT_TRUE(std::isnan(value)) << what << " element " << i << ": " << value;
    } else {
      ASSERT_EQ(value, expected[i]) << what << " element " << i;
    }
  }
}

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_KERNELS_TESTTENSORS_H
