//===- CudaPtxTest.cpp - PTX of provider "cuda" -----------------------------------------------===//
//
// The kernels made for speed, as nvcc compiles them: no access outside of operands or not aligned,
// no race, and the bits of the reference.
//
//===------------------------------------------------------------------------------------------===//

#include "PtxInterpreter.h"

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/cuda/Primitives.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

using namespace deepshard;
using namespace deepshard::runtime;

namespace {

using Bytes = std::vector<char>;

TensorDesc dense(DType type, std::vector<int64_t> shape) {
  return TensorDesc::contiguous(type, std::move(shape));
}

size_t bytesOf(const TensorDesc &desc) {
  return static_cast<size_t>(desc.elements()) * sizeOf(desc.dtype);
}

template <typename T> Bytes bytesOf(const std::vector<T> &values) {
  Bytes bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// The text of one kernel, and what it declares with others.
std::string textOf(const std::string &name) {
  static const std::string all = [] {
    std::ifstream file(DEEPSHARD_PTX);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }();
  size_t begin = all.find(".entry " + name + "(");
  if (begin == std::string::npos)
    throw std::runtime_error("there is no kernel " + name);
  begin = all.rfind('\n', begin) + 1;
  std::string shared;
  for (size_t at = all.find("\n.shared"); at != std::string::npos;
       at = all.find("\n.shared", at + 1))
    shared += all.substr(at, all.find(';', at) + 1 - at);
  return shared + "\n" + all.substr(begin, all.find("\n}", begin) + 3 - begin);
}

struct CudaPtxTest : testing::Test {
  /// The bytes of all results, one after another.
  Bytes run(const KernelSpec &spec, const std::vector<Bytes> &inputs) {
    cuda::Steps steps = cuda::stepsOf(spec);
    DeviceMemory memory;
    std::vector<void *> in, out;
    for (const Bytes &bytes : inputs) {
      in.push_back(memory.allocate(bytes.size()));
      std::memcpy(in.back(), bytes.data(), bytes.size());
    }
    for (const TensorDesc &output : spec.outputs)
      out.push_back(memory.allocate(bytesOf(output)));
    void *workspace = memory.allocate(steps.workspaceBytes);
    std::memset(workspace, 0xff, steps.workspaceBytes);
    for (const cuda::Step &step : steps.steps) {
      auto launch = std::get<cuda::LaunchStep>(step);
      for (size_t i = 0; i < launch.places.size(); ++i) {
        void *address = launch.places[i].in({in, out, workspace});
        std::memcpy(launch.parameters.data() + i * sizeof(void *), &address, sizeof(void *));
      }
      ptx::Interpreter interpreter(memory);
      std::string error =
          interpreter.run(ptx::parse(textOf(launch.function)).at(launch.function),
                          {launch.blocks, 1, 1}, launch.threads, launch.parameters, random());
      EXPECT_EQ(error, "") << launch.function;
      traffic[launch.function] = interpreter.traffic();
    }
    Bytes results;
    for (size_t i = 0; i < out.size(); ++i) {
      const char *data = static_cast<const char *>(out[i]);
      results.insert(results.end(), data, data + bytesOf(spec.outputs[i]));
    }
    return results;
  }

  /// The bytes of the first result.
  Bytes expected(const KernelSpec &spec, const std::vector<Bytes> &inputs) {
    const KernelProvider &reference = referenceProvider();
    Bytes workspace(reference.workspaceBytes(spec));
    std::vector<Bytes> out;
    std::vector<void *> in, outputs;
    for (const TensorDesc &output : spec.outputs)
      outputs.push_back(out.emplace_back(bytesOf(output)).data());
    for (const Bytes &bytes : inputs)
      in.push_back(const_cast<char *>(bytes.data()));
    reference.prepare(spec)->run({in, outputs, workspace.data()});
    return out[0];
  }

  Bytes floats(int64_t count) {
    std::vector<float> values;
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < count; ++i)
      values.push_back(normal(random));
    return bytesOf(values);
  }

  double used(const std::string &function) {
    const ptx::Traffic &counted = traffic.at(function);
    return static_cast<double>(counted.used) / static_cast<double>(counted.touched);
  }

  std::mt19937_64 random{3};
  std::map<std::string, ptx::Traffic> traffic;
};

TEST_F(CudaPtxTest, EmbeddingGrad) {
  for (int64_t columns : {256, 130}) {
    constexpr int64_t kPositions = 1500, kRows = 700;
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < kPositions; ++i)
      ids.push_back(i % 3 == 0 ? 7 : static_cast<int64_t>(random() % (kRows + 2)) - 1);
    KernelSpec spec{"embedding_grad",
                    {dense(DType::F32, {kPositions, columns}), dense(DType::I64, {kPositions})},
                    {dense(DType::F32, {kRows, columns})},
                    {{"rows", kRows}}};
    std::vector<Bytes> inputs = {floats(kPositions * columns), bytesOf(ids)};
    EXPECT_EQ(run(spec, inputs), expected(spec, inputs));
    if (columns % 4 == 0) {
      EXPECT_GE(used("ds_embedding_grad_f32"), 0.9);
    }
  }
}

TEST_F(CudaPtxTest, Embedding) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 64; ++i)
    ids.push_back(static_cast<int64_t>(random() % 40));
  KernelSpec spec{"embedding",
                  {dense(DType::F32, {40, 96}), dense(DType::I64, {64})},
                  {dense(DType::F32, {64, 96})},
                  {}};
  std::vector<Bytes> inputs = {floats(40 * 96), bytesOf(ids)};
  EXPECT_EQ(run(spec, inputs), expected(spec, inputs));
}

TEST_F(CudaPtxTest, SumSquares) {
  for (int64_t count : {20003, 3 * 16384}) {
    KernelSpec spec{"sum_squares", {dense(DType::F32, {count})}, {dense(DType::F64, {})}, {}};
    std::vector<Bytes> inputs = {floats(count)};
    double found, correct;
    std::memcpy(&found, run(spec, inputs).data(), 8);
    std::memcpy(&correct, expected(spec, inputs).data(), 8);
    EXPECT_NEAR(found, correct, 1e-12 * correct);
    EXPECT_GE(used("ds_sum_squares_f32"), count % 16384 == 0 ? 0.99 : 0.85);
  }
}

/// Without the correction of the bias, whose powers are calls of functions.
TEST_F(CudaPtxTest, AdamW) {
  for (int64_t count : {4096, 1023}) {
    TensorDesc flat = dense(DType::F32, {count}), number = dense(DType::F64, {});
    KernelSpec spec{"adamw",
                    {flat, flat, flat, flat, number, dense(DType::I64, {}), number},
                    {flat, flat, flat, dense(DType::BF16, {count})},
                    {{"beta1", 0.9},
                     {"beta2", 0.95},
                     {"eps", 1e-8},
                     {"weight_decay", 0.1},
                     {"bias_correction", false},
                     {"adam_w_mode", true}}};
    Bytes second = floats(count);
    for (size_t i = 3; i < second.size(); i += 4) // not negative
      second[i] = static_cast<char>(second[i] & 0x7f);
    std::vector<Bytes> inputs = {floats(count),
                                 floats(count),
                                 floats(count),
                                 second,
                                 bytesOf(std::vector<double>{1e-2}),
                                 bytesOf(std::vector<int64_t>{3}),
                                 bytesOf(std::vector<double>{0.5})};
    Bytes results = run(spec, inputs);
    std::vector<float> found(static_cast<size_t>(count)), correct(found.size());
    std::memcpy(found.data(), results.data(), 4 * found.size());
    std::memcpy(correct.data(), expected(spec, inputs).data(), 4 * found.size());
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(found[i], correct[i], 1e-6 * (1 + std::abs(correct[i]))) << i;
    if (count % 128 == 0) {
      EXPECT_GE(used("ds_adamw_f32"), 0.95);
    }
  }
}

} // namespace
