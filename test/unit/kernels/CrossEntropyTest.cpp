//===- CrossEntropyTest.cpp - the native gradient of the loss against f64 ---------------------===//

#include "TestTensors.h"

#include <cmath>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

constexpr int64_t kIgnored = -100;
constexpr double kScale = 0.125;

struct CrossEntropyGrad {
  Tensor logits, target, lse, scale{TensorDesc::contiguous(DType::F32, {})};
  std::vector<double> expected;

  /// Every third row does not count; one target is no column.
  CrossEntropyGrad(Random &random, DType index, int64_t rows, int64_t columns)
      : logits(uniform(random, DType::F32, {rows, columns}, -20, 20)),
        target(TensorDesc::contiguous(index, {rows})),
        lse(TensorDesc::contiguous(DType::F32, {rows})) {
    scale.set(0, kScale);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t hit = row % 3 == 2   ? kIgnored
                          : row % 7 == 6 ? columns
                                         : draw(random, 0, columns - 1);
      target.set(row, static_cast<double>(hit));
      double sum = 0;
      for (int64_t column = 0; column < columns; ++column)
        sum += std::exp(logits.get(row * columns + column));
      lse.set(row, std::log(sum));
      for (int64_t column = 0; column < columns; ++column) {
        const double p = std::exp(logits.get(row * columns + column) - std::log(sum));
        expected.push_back(hit == kIgnored ? 0 : (p - (column == hit)) * kScale);
      }
    }
  }

  void run(const KernelProvider &provider, Tensor &out, int threads) {
    runOnce(provider, "cross_entropy_grad", {{"ignore_index", kIgnored}},
            {&logits, &target, &lse, &scale}, {&out}, threads);
  }
};

TEST(CrossEntropyGrad, AgreesWithDoubles) {
  Random random(1);
  for (const KernelProvider *provider : nativeLevels())
    for (DType index : {DType::I64, DType::I32})
      for (auto [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {5, 7}, {9, 16}, {33, 130}}) {
        CrossEntropyGrad call(random, index, rows, columns);
        Tensor one(call.logits.desc), three(call.logits.desc);
        call.run(*provider, one, 1);
        expectNear(one, call.expected, 2e-6, "cross_entropy_grad");
        call.run(*provider, three, 3);
        EXPECT_TRUE(one.bytes == three.bytes);
      }
}

/// Of rows of logits as they are kept, in f64.
struct Expected {
  double loss = 0, count = 0;
  std::vector<double> lse, gradient;

  Expected(const Tensor &logits, const Tensor &target) {
    const int64_t rows = logits.desc.shape[0], columns = logits.desc.shape[1];
    for (int64_t row = 0; row < rows; ++row) {
      auto x = [&](int64_t column) { return logits.get(row * columns + column); };
      double largest = x(0), sum = 0;
      for (int64_t column = 1; column < columns; ++column)
        largest = std::max(largest, x(column));
      // An infinity less itself is not a number.
      const double shift = std::isfinite(largest) ? largest : 0;
      for (int64_t column = 0; column < columns; ++column)
        sum += std::exp(x(column) - shift);
      lse.push_back(shift + std::log(sum));
      const auto hit = static_cast<int64_t>(target.get(row));
      for (int64_t column = 0; column < columns; ++column) {
        const double p = std::exp(x(column) - lse.back());
        gradient.push_back(hit == kIgnored ? 0 : (p - (column == hit)) * kScale);
      }
      if (hit == kIgnored)
        continue;
      ++count;
      loss += hit < 0 || hit >= columns ? std::nan("") : lse.back() - x(hit);
    }
  }
};

/// Loss and gradient of narrow logits: sums in f32, the gradient rounded once; a row that hits no
/// column makes the loss NaN.
class NarrowCrossEntropy : public testing::TestWithParam<DType> {};

INSTANTIATE_TEST_SUITE_P(Types, NarrowCrossEntropy, testing::ValuesIn(kNarrow),
                         [](const auto &info) { return std::string(nameOf(info.param)); });

TEST_P(NarrowCrossEntropy, LossAndGradient) {
  Random random(4);
  for (const KernelProvider *provider : nativeLevels())
    for (auto [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {5, 7}, {40, 130}, {3, 1000}}) {
      CrossEntropyGrad call(random, DType::I64, rows, columns);
      Tensor logits(TensorDesc::contiguous(GetParam(), {rows, columns}));
      for (int64_t i = 0; i < rows * columns; ++i)
        logits.set(i, call.logits.get(i));
      const Expected expected(logits, call.target);
      for (int threads : {1, 3}) {
        Tensor lossSum(TensorDesc::contiguous(DType::F32, {})), counted(lossSum.desc),
            out(call.lse.desc), slope(logits.desc);
        runOnce(*provider, "cross_entropy", {{"ignore_index", kIgnored}}, {&logits, &call.target},
                {&lossSum, &counted, &out}, threads);
        expectNear(out, expected.lse, 1e-6, "lse");
        expectNear(counted, {expected.count}, 0, "count");
        expectNear(lossSum, {expected.loss}, 1e-6, "loss");
        runOnce(*provider, "cross_entropy_grad", {{"ignore_index", kIgnored}},
                {&logits, &call.target, &out, &call.scale}, {&slope}, threads);
        expectNear(slope, expected.gradient, roundingOf(GetParam()), "gradient");
      }
    }
}

/// What is not a number does not pass for a loss.
TEST_P(NarrowCrossEntropy, BrokenLogits) {
  for (const KernelProvider *provider : nativeLevels())
    for (auto [broken, expected] :
         {std::pair(std::nan(""), std::nan("")), {HUGE_VAL, HUGE_VAL}, {-HUGE_VAL, -HUGE_VAL}}) {
      Tensor logits(TensorDesc::contiguous(GetParam(), {1, 21})),
          target(TensorDesc::contiguous(DType::I64, {1}));
      for (int64_t i = 0; i < 21; ++i)
        logits.set(i, broken == -HUGE_VAL || i == 18 ? broken : 1);
      Tensor loss(TensorDesc::contiguous(DType::F32, {})), count(loss.desc),
          lse(TensorDesc::contiguous(DType::F32, {1}));
      runOnce(*provider, "cross_entropy", {{"ignore_index", kIgnored}}, {&logits, &target},
              {&loss, &count, &lse}, 1);
      expectNear(lse, {expected}, 0, "lse");
    }
}

TEST(CrossEntropyGrad, WorksInPlace) {
  Random random(2);
  for (const KernelProvider *provider : nativeLevels()) {
    CrossEntropyGrad call(random, DType::I64, 20, 50);
    Tensor apart(call.logits.desc);
    call.run(*provider, apart, 2);
    call.run(*provider, call.logits, 2);
    EXPECT_TRUE(apart.bytes == call.logits.bytes);
  }
}

/// Loss and gradient from one pass.
class CrossEntropyWithGrad : public testing::TestWithParam<DType> {
protected:
  /// Loss and gradient of `logits` with the targets of `call`.
  static void run(const KernelProvider &provider, Tensor &logits, CrossEntropyGrad &call,
                  Tensor &slope, Tensor &loss, int threads) {
    runOnce(provider, "cross_entropy_with_grad", {{"ignore_index", kIgnored}},
            {&logits, &call.target, &call.scale}, {&slope, &loss}, threads);
  }

  const TensorDesc scalar = TensorDesc::contiguous(DType::F32, {});
};

INSTANTIATE_TEST_SUITE_P(Types, CrossEntropyWithGrad,
                         testing::Values(DType::F32, DType::BF16, DType::F16),
                         [](const auto &info) { return std::string(nameOf(info.param)); });

TEST_P(CrossEntropyWithGrad, AgreesWithDoubles) {
  Random random(5);
  const double tolerance = GetParam() == DType::F32 ? 1e-6 : roundingOf(GetParam());
  for (const KernelProvider *provider : nativeLevels())
    for (DType index : {DType::I64, DType::I32})
      for (auto [rows, columns] :
           {std::pair<int64_t, int64_t>{1, 1}, {5, 7}, {9, 16}, {40, 130}, {3, 1000}}) {
        CrossEntropyGrad call(random, index, rows, columns);
        // One target is no column, which makes the loss NaN; here it is the first.
        for (int64_t row = 6; row < rows; row += 7)
          call.target.set(row, 0);
        Tensor logits(TensorDesc::contiguous(GetParam(), {rows, columns}));
        for (int64_t i = 0; i < rows * columns; ++i)
          logits.set(i, call.logits.get(i));
        const Expected expected(logits, call.target);
        Tensor one(logits.desc), three(logits.desc), loss(scalar), again(scalar);
        run(*provider, logits, call, one, loss, 1);
        expectNear(loss, {expected.loss}, 1e-6, "loss");
        expectNear(one, expected.gradient, tolerance, "gradient");
        run(*provider, logits, call, three, again, 3);
        EXPECT_TRUE(one.bytes == three.bytes && loss.bytes == again.bytes);
        run(*provider, logits, call, logits, again, 2); // in place
        EXPECT_TRUE(one.bytes == logits.bytes && loss.bytes == again.bytes);
      }
}

/// What is no number or infinite, very small, or equal throughout; targets that are no column.
TEST_P(CrossEntropyWithGrad, OfBrokenLogits) {
  constexpr int64_t kColumns = 21;
  const double tolerance = GetParam() == DType::F32 ? 1e-6 : roundingOf(GetParam());
  Random random(6);
  for (const KernelProvider *provider : nativeLevels())
    for (double broken : {std::nan(""), HUGE_VAL, -HUGE_VAL, 3.0, -3e4})
      for (bool everywhere : {false, true})
        for (int64_t target :
             {int64_t{0}, int64_t{18}, kColumns - 1, kColumns, int64_t{-1}, kIgnored}) {
          CrossEntropyGrad call(random, DType::I64, 1, kColumns);
          call.target.set(0, static_cast<double>(target));
          Tensor logits(TensorDesc::contiguous(GetParam(), {1, kColumns})), slope(logits.desc),
              loss(scalar);
          for (int64_t i = 0; i < kColumns; ++i)
            logits.set(i, everywhere || i == 18 ? broken : call.logits.get(i));
          const Expected expected(logits, call.target);
          run(*provider, logits, call, slope, loss, 1);
          expectNear(loss, {expected.loss}, 1e-6, "loss");
          expectNear(slope, expected.gradient, tolerance, "gradient");
        }
}

/// Rows of a batch and a sequence are the rows one after the other; a dimension of size 1 has any
/// stride.
TEST(CrossEntropyGrad, RowsMayHaveDimensions) {
  Random random(3);
  CrossEntropyGrad call(random, DType::I64, 24, 10);
  Tensor flat(call.logits.desc);
  call.run(*findProvider("native"), flat, 2);
  for (const Sizes &rows : {Sizes{4, 6}, Sizes{1, 24}, Sizes{2, 3, 4}}) {
    Sizes shape = rows;
    shape.push_back(10);
    call.logits.desc = TensorDesc::contiguous(DType::F32, shape);
    call.target.desc = TensorDesc::contiguous(DType::I64, rows);
    call.lse.desc = TensorDesc::contiguous(DType::F32, rows);
    if (rows[0] == 1)
      call.target.desc.strides[0] = 7;
    Tensor out(call.logits.desc);
    call.run(*findProvider("native"), out, 2);
    EXPECT_TRUE(out.bytes == flat.bytes);
  }
}

TEST(CrossEntropyGrad, SaysWhatItCannotDo) {
  auto f32 = [](Sizes shape) { return TensorDesc::contiguous(DType::F32, std::move(shape)); };
  const TensorDesc target = TensorDesc::contiguous(DType::I64, {4});
  const KernelProvider &native = *findProvider("native");
  KernelSpec spec{"cross_entropy_grad",
                  {f32({4, 6}), target, f32({4}), f32({})},
                  {f32({4, 6})},
                  {{"ignore_index", kIgnored}},
                  1};
  EXPECT_EQ(native.whyNot(spec), std::nullopt);
  spec.inputs[1] = TensorDesc::contiguous(DType::I64, {3});
  EXPECT_EQ(native.whyNot(spec),
            "the targets are i64[3], expected a contiguous i64 or i32 per row");
  spec.inputs[1] = target;
  spec.inputs[0].strides = {1, 4};
  EXPECT_EQ(native.whyNot(spec),
            "the logits are f32[4x6], expected contiguous rows of f32, bf16 or f16");
  spec.inputs[0] = TensorDesc::contiguous(DType::F64, {4, 6});
  EXPECT_EQ(native.whyNot(spec),
            "the logits are f64[4x6], expected contiguous rows of f32, bf16 or f16");
}

} // namespace
