//===- KernelsTest.cpp - products and copies of a GPU that is not there -----------------------===//

#include "runtime/device/Cuda.h"
#include "runtime/plan/Error.h"
#include "test/unit/cuda/CudaTesting.h"

#include <cmath>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::HasSubstr;

namespace {

using Integers = std::vector<int64_t>;

struct KernelsTest : testing::Test {
  FakeCuda &fake = fakeCuda();
  CudaOptions options;

  KernelsTest() {
    fake.reset({});
    options.libraries = DEEPSHARD_FAKE_LIBRARIES;
    device = openCuda(options);
    stream = device->stream("compute");
  }

  /// Calls `work` as work of the stream, and waits for it.
  void onStream(std::function<void()> work) {
    stream->issue([](void *context,
                     uint64_t) noexcept { (*static_cast<std::function<void()> *>(context))(); },
                  &work, 0);
    device->throwIfFailed();
    stream->join();
  }

  std::unique_ptr<Device> device;
  std::unique_ptr<Stream> stream;
};

/// So many numbers of a window.
std::vector<double> numbers(const TensorDesc &desc, double seed) {
  int64_t last = 0;
  for (int64_t i = 0; i < desc.rank(); ++i)
    last += (desc.shape[i] - 1) * desc.strides[i];
  std::vector<double> result;
  for (int64_t i = 0; i <= last + 1; ++i) // one more: operands stay multiples of 16 bytes
    result.push_back(std::sin(seed + 1.3 * static_cast<double>(i)));
  return result;
}

struct Case {
  const char *name;
  KernelSpec spec;
};

TensorDesc dense(Integers shape) { return TensorDesc::contiguous(DType::F64, std::move(shape)); }
TensorDesc strided(Integers shape, Integers strides) {
  return {DType::F64, std::move(shape), std::move(strides)};
}
Attributes contracting(Integers lhsBatch, Integers rhsBatch, Integers lhs, Integers rhs) {
  return {{"lhs_batch", lhsBatch},
          {"rhs_batch", rhsBatch},
          {"lhs_contract", lhs},
          {"rhs_contract", rhs}};
}

std::vector<Case> cases() {
  std::vector<Case> all = {
      {"plain",
       {"matmul", {dense({3, 4}), dense({4, 6})}, {dense({3, 6})}, contracting({}, {}, {1}, {0})}},
      {"left transposed",
       {"matmul", {dense({4, 3}), dense({4, 6})}, {dense({3, 6})}, contracting({}, {}, {0}, {0})}},
      {"right transposed",
       {"matmul", {dense({3, 4}), dense({6, 4})}, {dense({3, 6})}, contracting({}, {}, {1}, {1})}},
      {"column-major result",
       {"matmul",
        {dense({3, 4}), dense({4, 6})},
        {strided({3, 6}, {1, 3})},
        contracting({}, {}, {1}, {0})}},
      {"rows with gaps",
       {"matmul",
        {strided({3, 4}, {10, 1}), strided({4, 6}, {8, 1})},
        {strided({3, 6}, {12, 1})},
        contracting({}, {}, {1}, {0})}},
      {"a vector",
       {"matmul", {dense({3, 4}), dense({4})}, {dense({3})}, contracting({}, {}, {1}, {0})}},
      {"to a number",
       {"matmul", {dense({5}), dense({5})}, {dense({})}, contracting({}, {}, {0}, {0})}},
      {"outer product",
       {"matmul", {dense({3, 1}), dense({1, 6})}, {dense({3, 6})}, contracting({}, {}, {1}, {0})}},
      {"batch",
       {"matmul",
        {dense({2, 3, 4}), dense({2, 4, 6})},
        {dense({2, 3, 6})},
        contracting({0}, {0}, {2}, {1})}},
      {"heads",
       {"matmul",
        {strided({2, 3, 4, 6}, {72, 6, 18, 1}), strided({2, 3, 4, 6}, {72, 6, 18, 1})},
        {dense({2, 3, 4, 4})},
        contracting({0, 1}, {0, 1}, {3}, {3})}},
      {"linear", {"linear", {dense({2, 3, 4}), dense({4, 6})}, {dense({2, 3, 6})}, {}}},
      {"linear with bias",
       {"linear", {dense({2, 3, 4}), dense({4, 6}), dense({6})}, {dense({2, 3, 6})}, {}}},
      {"linear, weight transposed",
       {"linear",
        {dense({3, 4}), dense({6, 4}), dense({6})},
        {dense({3, 6})},
        {{"transpose_weight", true}}}}};
  return all;
}

/// By the definition, in any order of the sum.
std::vector<double> expected(const KernelSpec &spec, const std::vector<std::vector<double>> &inputs,
                             std::vector<double> output) {
  KernelSpec matmul = spec;
  if (spec.name == "linear") {
    int64_t k = spec.attributes.flag("transpose_weight") ? 1 : 0;
    matmul.attributes = contracting({}, {}, {spec.inputs[0].rank() - 1}, {k});
    matmul.inputs.resize(2);
  }
  matmul.name = "matmul";
  void *operands[] = {const_cast<double *>(inputs[0].data()),
                      const_cast<double *>(inputs[1].data())};
  void *outputs[] = {output.data()};
  findProvider("reference")->prepare(matmul)->run({operands, outputs, nullptr});
  if (spec.name == "linear" && spec.inputs.size() == 3)
    for (size_t i = 0; i < output.size() - 1; ++i)
      output[i] += inputs[2][i % 6];
  return output;
}

TEST_F(KernelsTest, ProductsOfCublaslt) {
  const KernelProvider &provider = *device->provider("cublaslt");
  EXPECT_EQ(provider.library(), "cuBLASLt 13.1.2");
  for (auto &[name, spec] : cases()) {
    spec.attributes.set("workspace_bytes", int64_t{0});
    ASSERT_EQ(provider.whyNot(spec), std::nullopt) << name;
    std::vector<std::vector<double>> inputs;
    std::vector<std::unique_ptr<Arena>> arenas;
    std::vector<void *> places;
    for (const TensorDesc &input : spec.inputs) {
      inputs.push_back(numbers(input, static_cast<double>(inputs.size())));
      arenas.push_back(device->arena(Space::Device, inputs.back().size() * 8));
      device->write(arenas.back()->data(), inputs.back().data(), inputs.back().size() * 8);
      places.push_back(arenas.back()->data());
    }
    std::vector<double> result = numbers(spec.outputs[0], 9);
    std::unique_ptr<Arena> output = device->arena(Space::Device, result.size() * 8);
    device->write(output->data(), result.data(), result.size() * 8);
    std::vector<double> correct = expected(spec, inputs, result);
    std::unique_ptr<Kernel> kernel = provider.prepare(spec);
    void *outputs[] = {output->data()};
    onStream([&] { kernel->run({places, outputs, nullptr}); });
    device->read(result.data(), output->data(), result.size() * 8);
    for (size_t i = 0; i < result.size(); ++i)
      EXPECT_NEAR(result[i], correct[i], 1e-13) << name << ", " << i;
  }
}

TEST_F(KernelsTest, ProductsAddToWhatIsThere) {
  KernelSpec spec{"matmul",
                  {dense({2, 2}), dense({2, 2}), dense({2, 2})},
                  {dense({2, 2})},
                  contracting({}, {}, {1}, {0})};
  spec.attributes.set("accumulate", true);
  spec.attributes.set("workspace_bytes", int64_t{0});
  std::unique_ptr<Arena> arena = device->arena(Space::Device, 12 * 8);
  std::vector<double> values = {1, 2, 3, 4, 5, 6, 7, 8, 100, 200, 300, 400};
  device->write(arena->data(), values.data(), 12 * 8);
  void *inputs[] = {arena->data(), arena->data() + 32, arena->data() + 64};
  void *outputs[] = {arena->data() + 64};
  std::unique_ptr<Kernel> kernel = device->provider("cublaslt")->prepare(spec);
  onStream([&] { kernel->run({inputs, outputs, nullptr}); });
  device->read(values.data(), arena->data(), 12 * 8);
  EXPECT_THAT(std::vector<double>(values.begin() + 8, values.end()),
              testing::ElementsAre(119, 222, 343, 450));
}

TEST_F(KernelsTest, CublasltSaysWhyNot) {
  const KernelProvider &provider = *device->provider("cublaslt");
  KernelSpec spec{
      "matmul", {dense({2, 2}), dense({2, 2})}, {dense({2, 2})}, contracting({}, {}, {1}, {0})};
  spec.attributes.set("workspace_bytes", int64_t{0});
  spec.inputs[0].strides = {4, 2};
  EXPECT_THAT(*provider.whyNot(spec), HasSubstr("neither dimension of an operand is contiguous"));
  spec.inputs[0].strides = {0, 1}; // one row for all
  EXPECT_THAT(*provider.whyNot(spec), HasSubstr("repeats its elements within a matrix"));
  spec.inputs[0] = TensorDesc::contiguous(DType::F32, {2, 2});
  EXPECT_NE(provider.whyNot(spec), std::nullopt);
  spec.name = "softmax";
  EXPECT_THAT(*provider.whyNot(spec), HasSubstr("no cuBLASLt kernel called softmax"));
  for (auto [columns, contracted] : {std::pair(1, 4), std::pair(6, 1)}) {
    spec = {"linear",
            {dense({3, contracted}), dense({contracted, columns}), dense({columns})},
            {dense({3, columns})},
            {{"workspace_bytes", int64_t{0}}}};
    EXPECT_THAT(*provider.whyNot(spec), HasSubstr("a bias of one number"));
  }
}

TEST_F(KernelsTest, CopiesOfWindows) {
  struct Window {
    Integers shape, from, to;
  };
  for (const Window &window :
       {Window{{}, {}, {}}, Window{{6}, {1}, {1}}, Window{{6}, {2}, {1}}, Window{{6}, {0}, {1}},
        Window{{3, 4}, {4, 1}, {4, 1}}, Window{{3, 4}, {10, 1}, {4, 1}},
        Window{{3, 4}, {1, 3}, {4, 1}}, Window{{2, 3, 4}, {40, 8, 1}, {12, 4, 1}},
        Window{{2, 3, 4}, {1, 2, 6}, {12, 4, 1}}, Window{{2, 0, 4}, {1, 1, 1}, {1, 1, 1}}})
    for (size_t width : {1, 2, 4, 8}) {
      std::unique_ptr<Arena> from = device->arena(Space::Device, 1024);
      std::unique_ptr<Arena> to = device->arena(Space::Device, 1024);
      std::vector<char> source(1024), found(1024), correct(1024, 0);
      for (size_t i = 0; i < source.size(); ++i)
        source[i] = static_cast<char>(i * 7 % 251);
      device->write(from->data(), source.data(), source.size());
      onStream([&] {
        device->copy({from->data(), to->data(), window.shape, window.from, window.to, width});
      });
      device->read(found.data(), to->data(), found.size());
      int64_t elements = 1;
      for (int64_t size : window.shape)
        elements *= size;
      for (int64_t i = 0; i < elements; ++i) {
        int64_t rest = i, fromOffset = 0, toOffset = 0;
        for (size_t dim = window.shape.size(); dim-- > 0;) {
          fromOffset += rest % window.shape[dim] * window.from[dim];
          toOffset += rest % window.shape[dim] * window.to[dim];
          rest /= window.shape[dim];
        }
        std::memcpy(correct.data() + static_cast<size_t>(toOffset) * width,
                    source.data() + static_cast<size_t>(fromOffset) * width, width);
      }
      EXPECT_EQ(found, correct) << testing::PrintToString(window.shape) << " " << width;
    }
}

} // namespace
