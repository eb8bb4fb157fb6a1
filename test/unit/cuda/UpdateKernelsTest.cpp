//===- UpdateKernelsTest.cpp - adamw, sum_squares and update_loss_scale of provider "cuda" ----===//

#include "test/unit/cuda/PrimitiveTesting.h"

#include <cmath>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::HasSubstr;

namespace {

struct UpdateKernelsTest : PrimitiveTest {
  KernelSpec adamw(DType type, int64_t count) {
    TensorDesc flat = dense(type, {count}), number = dense(DType::F64, {});
    return {"adamw",
            {flat, flat, flat, flat, number, dense(DType::I64, {})},
            {flat, flat, flat},
            {{"beta1", 0.9},
             {"beta2", 0.95},
             {"eps", oneOf<double>({1e-8, 1e-3})},
             {"weight_decay", oneOf<double>({0.0, 0.1})},
             {"bias_correction", maybe()},
             {"adam_w_mode", maybe()}}};
  }

  std::vector<Bytes> operands(const KernelSpec &spec) {
    std::vector<Bytes> all;
    for (size_t i = 0; i < 4; ++i)
      all.push_back(elements(spec.inputs[i], false));
    // The second moment is not negative.
    for (size_t i = sizeOf(spec.inputs[3].dtype) - 1; i < all[3].size();
         i += sizeOf(spec.inputs[3].dtype))
      all[3][i] = static_cast<char>(all[3][i] & 0x7f);
    all.push_back(scalar(1e-2));
    all.push_back(scalar(number(1, 50)));
    if (spec.inputs.size() > 6)
      all.push_back(scalar(0.3));
    if (spec.inputs.size() > 7)
      all.push_back(scalar(static_cast<uint8_t>(maybe())));
    return all;
  }
};

/// The reference computes in f64 and rounds once, the kernel in the type of the operands. What
/// remains where p and its update cancel is compared to the larger of them.
template <typename T>
void expectNear(const std::vector<Bytes> &inputs, const std::vector<Bytes> &found,
                const std::vector<Bytes> &expected) {
  auto at = [](const Bytes &bytes, size_t i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    return static_cast<double>(value);
  };
  constexpr size_t kBefore[] = {0, 2, 3}; // p, m, v
  for (size_t k = 0; k < 3; ++k)
    for (size_t i = 0; i < found[k].size() / sizeof(T); ++i) {
      double correct = at(expected[k], i);
      double scale = std::abs(correct) + std::abs(at(inputs[kBefore[k]], i)) +
                     (k == 1 ? std::abs(at(inputs[1], i)) + std::abs(at(inputs[0], i)) : 0);
      ASSERT_NEAR(at(found[k], i), correct, 4 * std::numeric_limits<T>::epsilon() * scale)
          << "result " << k << ", element " << i;
    }
}

TEST_F(UpdateKernelsTest, AdamW) {
  for (DType type : {DType::F32, DType::F64})
    for (int64_t count : {0, 1, 3, 4, 255, 1024, 1027, 5000})
      for (int scalars = 6; scalars <= 8; ++scalars)
        for (DType copy : {DType::F32, DType::BF16, DType::F16}) {
          KernelSpec spec = adamw(type, count);
          if (scalars > 6)
            spec.inputs.push_back(dense(DType::F64, {}));
          if (scalars > 7)
            spec.inputs.push_back(dense(DType::I1, {}));
          if (type == DType::F32 && copy != DType::F32)
            spec.outputs.push_back(dense(copy, {count}));
          std::vector<Bytes> inputs = operands(spec);
          std::vector<Bytes> expected = run(referenceProvider(), spec, inputs);
          std::vector<Bytes> found = run(cuda(), spec, inputs);
          if (type == DType::F32)
            expectNear<float>(inputs, found, expected);
          else
            expectNear<double>(inputs, found, expected);
          // The copy is the new parameter, rounded.
          if (spec.outputs.size() > 3)
            expectEqual({"convert", {spec.outputs[0]}, {spec.outputs[3]}, {}}, {found[3]},
                        run(referenceProvider(),
                            {"convert", {spec.outputs[0]}, {spec.outputs[3]}, {}}, {found[0]}),
                        0);
          // Neither where operands lie nor the order of threads changes anything.
          expectEqual(spec, run(cuda(), spec, inputs), found, 0);
          expectEqual(spec, run(cuda(), spec, inputs, {{0, 0}, {2, 1}, {3, 2}}), found, 0);
        }
}

TEST_F(UpdateKernelsTest, ASkippedStepChangesNothing) {
  KernelSpec spec = adamw(DType::F32, 300);
  spec.inputs.push_back(dense(DType::F64, {}));
  spec.inputs.push_back(dense(DType::I1, {}));
  std::vector<Bytes> inputs = operands(spec);
  inputs[1] = elements(spec.inputs[1]); // with NaN
  inputs[7] = scalar(uint8_t{0});
  std::vector<Bytes> found = run(cuda(), spec, inputs);
  EXPECT_EQ(found, (std::vector<Bytes>{inputs[0], inputs[2], inputs[3]}));
}

TEST_F(UpdateKernelsTest, SaysWhyNot) {
  KernelSpec spec = adamw(DType::F32, 8);
  spec.inputs[1].strides = {2};
  EXPECT_THAT(*cuda().whyNot(spec), HasSubstr("operand 1 is f32[8], not contiguous"));
}

TEST_F(UpdateKernelsTest, SumSquares) {
  for (DType type : {DType::F32, DType::F64})
    for (int64_t count : {0, 1, 5, 1023, 16384, 16385, 100000})
      for (int64_t stride : {1, 2}) {
        KernelSpec spec{"sum_squares", {{type, {count}, {stride}}}, {dense(DType::F64, {})}, {}};
        std::vector<Bytes> inputs = {elements(spec.inputs[0], false)};
        std::vector<Bytes> found = run(cuda(), spec, inputs);
        expectEqual(spec, found, run(referenceProvider(), spec, inputs), 300);
        // Wherever the operand lies, and in whatever order threads run.
        for (int again = 0; again < 3; ++again)
          EXPECT_EQ(run(cuda(), spec, inputs), found);
      }
}

TEST_F(UpdateKernelsTest, UpdateLossScale) {
  for (int i = 0; i < 100; ++i) {
    KernelSpec spec{"update_loss_scale",
                    {dense(DType::F64, {4}), dense(DType::I1, {})},
                    {dense(DType::F64, {4})},
                    {{"window", number(0, 3)},
                     {"hysteresis", number(1, 3)},
                     {"consecutive_hysteresis", maybe()},
                     {"minimum", 1.0}}};
    double state[4] = {oneOf<double>({1, 2, 1024}), static_cast<double>(number(0, 6)),
                       static_cast<double>(number(1, 3)), static_cast<double>(number(0, 3))};
    Bytes bytes(sizeof(state));
    std::memcpy(bytes.data(), state, sizeof(state));
    check(spec, {bytes, scalar(static_cast<uint8_t>(maybe()))});
  }
}

} // namespace
