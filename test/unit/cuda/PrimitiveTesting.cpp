//===- PrimitiveTesting.cpp - kernels of provider "cuda" beside the reference -----------------===//

#include "test/unit/cuda/PrimitiveTesting.h"

#include "runtime/kernels/Require.h"
#include "runtime/kernels/reference/Types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace deepshard::runtime::test {

PrimitiveTest::PrimitiveTest() {
  fake.reset({});
  device = openCuda(CudaOptions());
  stream = device->stream("compute");
}

int64_t PrimitiveTest::number(int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(random);
}

Integers PrimitiveTest::shape(int64_t rank, int64_t most) {
  Integers sizes;
  for (int64_t dim = 0; dim < rank; ++dim)
    sizes.push_back(number(0, 9) == 0 ? number(0, 1) : number(1, most));
  return sizes;
}

TensorDesc PrimitiveTest::strided(DType type, const Integers &shape, bool isInput) {
  TensorDesc desc{type, shape, Integers(shape.size())};
  std::vector<size_t> order(shape.size());
  std::iota(order.begin(), order.end(), 0);
  std::reverse(order.begin(), order.end());
  if (maybe())
    std::shuffle(order.begin(), order.end(), random);
  bool hasGaps = maybe();
  int64_t stride = hasGaps ? number(1, 2) : 1;
  for (size_t dim : order) {
    desc.strides[dim] = isInput && number(0, 7) == 0 ? 0 : stride;
    stride *= std::max<int64_t>(shape[dim], 1);
    stride += hasGaps ? number(0, 3) : 0;
  }
  return desc;
}

size_t PrimitiveTest::extent(const TensorDesc &desc) {
  int64_t last = 0;
  for (size_t dim = 0; dim < desc.shape.size(); ++dim) {
    if (desc.shape[dim] == 0)
      return 0;
    last += (desc.shape[dim] - 1) * desc.strides[dim];
  }
  return static_cast<size_t>(last + 1) * sizeOf(desc.dtype);
}

namespace {

template <typename T> void put(Bytes &bytes, size_t index, T value) {
  std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
}

double specialNumber(int64_t which, double otherwise) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double all[] = {0.0, -0.0, 1.0,   -1.0,    2.0,   3.0, kInfinity, -kInfinity,
                        NAN, 0.5,  1e-41, -1e-310, 127.0, 3e9, -1e19};
  return which < static_cast<int64_t>(std::size(all)) ? all[which] : otherwise;
}

} // namespace

Bytes PrimitiveTest::elements(const TensorDesc &desc, bool isSpecial) {
  Bytes bytes(extent(desc));
  size_t size = sizeOf(desc.dtype), count = bytes.size() / size;
  std::normal_distribution<double> normal(0, 3);
  for (size_t i = 0; i < count; ++i) {
    double real = isSpecial ? specialNumber(number(0, 60), normal(random)) : normal(random);
    auto integer = static_cast<int64_t>(random());
    if (maybe())
      integer = isSpecial && number(0, 9) == 0
                    ? std::numeric_limits<int64_t>::min() >> (64 - 8 * size)
                    : number(-9, 9);
    switch (desc.dtype) {
    case DType::F32:
      put(bytes, i, static_cast<float>(real));
      break;
    case DType::F64:
      put(bytes, i, real);
      break;
    case DType::BF16:
      put(bytes, i, reference::BFloat16::from(real));
      break;
    case DType::F16:
      put(bytes, i, reference::Float16::from(real));
      break;
    case DType::I1:
      put(bytes, i, static_cast<uint8_t>(integer & 1));
      break;
    default:
      std::memcpy(bytes.data() + i * size, &integer, size);
    }
  }
  return bytes;
}

Bytes PrimitiveTest::indices(const TensorDesc &desc, int64_t least, int64_t most) {
  Bytes bytes(extent(desc));
  size_t size = sizeOf(desc.dtype);
  for (size_t i = 0; i < bytes.size() / size; ++i) {
    int64_t index = number(least, most);
    std::memcpy(bytes.data() + i * size, &index, size);
  }
  return bytes;
}

std::vector<Bytes> PrimitiveTest::run(const KernelProvider &by, const KernelSpec &spec,
                                      const std::vector<Bytes> &inputs,
                                      const std::vector<std::pair<size_t, size_t>> &inPlace) {
  DeviceMemory memory;
  bool isReference = by.name() == "reference";
  auto place = [&](const Bytes &bytes, DType type) {
    size_t size = sizeOf(type);
    char *data =
        memory.allocate(bytes.size(), isReference ? 0 : size * random() % 16 / size * size);
    if (!bytes.empty())
      std::memcpy(data, bytes.data(), bytes.size());
    return static_cast<void *>(data);
  };
  std::vector<void *> in, out;
  for (size_t i = 0; i < inputs.size(); ++i)
    in.push_back(place(inputs[i], spec.inputs[i].dtype));
  for (size_t i = 0; i < spec.outputs.size(); ++i) {
    auto pair = std::find_if(inPlace.begin(), inPlace.end(),
                             [&](const auto &each) { return each.second == i; });
    out.push_back(pair != inPlace.end()
                      ? in[pair->first]
                      : place(Bytes(extent(spec.outputs[i]), 0x7b), spec.outputs[i].dtype));
  }
  size_t workspaceBytes = by.workspaceBytes(spec);
  void *workspace = nullptr;
  if (workspaceBytes > 0) {
    workspace = memory.allocate((workspaceBytes + 63) / 64 * 64);
    std::memset(workspace, 0xff, workspaceBytes);
  }
  std::unique_ptr<Kernel> kernel = by.prepare(spec);
  KernelArguments arguments{in, out, workspace};
  if (isReference) {
    kernel->run(arguments);
  } else {
    auto work = [&] { kernel->run(arguments); };
    stream->issue(
        [](void *context, uint64_t) noexcept { (*static_cast<decltype(work) *>(context))(); },
        &work, 0);
    device->throwIfFailed();
    stream->join();
  }
  std::vector<Bytes> results;
  for (size_t i = 0; i < spec.outputs.size(); ++i) {
    const char *data = static_cast<const char *>(out[i]);
    results.emplace_back(data, data + extent(spec.outputs[i]));
  }
  return results;
}

namespace {

std::string describe(const KernelSpec &spec) {
  std::string text = spec.name;
  for (const std::vector<TensorDesc> *operands : {&spec.inputs, &spec.outputs}) {
    for (const TensorDesc &desc : *operands)
      text += fmt::format(" {} by [{}]", textOf(desc), fmt::join(desc.strides, ", "));
    text += operands == &spec.inputs ? " ->" : "";
  }
  return text;
}

/// A number so that neighbours of the type differ by 1.
template <typename T, typename Bits> double ordinal(Bits bits) {
  auto number = static_cast<double>(bits & static_cast<Bits>(~(Bits(1) << (8 * sizeof(T) - 1))));
  return bits >> (8 * sizeof(T) - 1) ? -number : number;
}

/// 0 if both are NaN.
template <typename T, typename Bits>
double distance(const char *a, const char *b, const std::function<double(T)> &valueOf) {
  T x, y;
  std::memcpy(&x, a, sizeof(T));
  std::memcpy(&y, b, sizeof(T));
  double p = valueOf(x), q = valueOf(y);
  if (std::isnan(p) || std::isnan(q))
    return std::isnan(p) && std::isnan(q) ? 0 : INFINITY;
  Bits i, j;
  std::memcpy(&i, a, sizeof(T));
  std::memcpy(&j, b, sizeof(T));
  if (i == j)
    return 0;
  return std::max(1.0, std::abs(ordinal<T>(i) - ordinal<T>(j)));
}

double distance(DType type, const char *a, const char *b) {
  switch (type) {
  case DType::F32:
    return distance<float, uint32_t>(a, b, [](float x) { return x; });
  case DType::F64:
    return distance<double, uint64_t>(a, b, [](double x) { return x; });
  case DType::BF16:
    return distance<reference::BFloat16, uint16_t>(a, b, [](auto x) { return x.toFloat(); });
  case DType::F16:
    return distance<reference::Float16, uint16_t>(a, b, [](auto x) { return x.toFloat(); });
  default:
    return std::memcmp(a, b, sizeOf(type)) == 0 ? 0 : INFINITY;
  }
}

} // namespace

void PrimitiveTest::expectEqual(const KernelSpec &spec, const std::vector<Bytes> &found,
                                const std::vector<Bytes> &expected, double ulps) {
  for (size_t k = 0; k < found.size(); ++k) {
    ASSERT_EQ(found[k].size(), expected[k].size());
    size_t size = sizeOf(spec.outputs[k].dtype);
    for (size_t i = 0; i < found[k].size(); i += size)
      ASSERT_LE(distance(spec.outputs[k].dtype, found[k].data() + i, expected[k].data() + i), ulps)
          << "result " << k << ", place " << i / size << ": " << describe(spec);
  }
}

void PrimitiveTest::check(const KernelSpec &spec, const std::vector<Bytes> &inputs, double ulps) {
  const KernelProvider &provider = cuda();
  ASSERT_EQ(provider.whyNot(spec), std::nullopt) << describe(spec);
  EXPECT_EQ(plannedCudaProvider().whyNot(spec), std::nullopt);
  EXPECT_EQ(plannedCudaProvider().workspaceBytes(spec), provider.workspaceBytes(spec));
  std::vector<Bytes> expected = run(referenceProvider(), spec, inputs);
  expectEqual(spec, run(provider, spec, inputs), expected, ulps);
}

} // namespace deepshard::runtime::test
