//===- UpdateTest.cpp - random numbers, dropout, AdamW, sums of squares, CPU levels -----------===//

#include "TestTensors.h"

#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Philox.h"
#include "runtime/kernels/Providers.h"

#include <cmath>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

/// Known answers of Random123 (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  auto check = [](PhiloxWords counter, uint32_t key0, uint32_t key1, PhiloxWords expected) {
    const PhiloxWords found = philox4x32(counter, key0, key1);
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(found.word[i], expected.word[i]);
  };
  check({{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  check({{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}}, 0xffffffff, 0xffffffff,
        {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  check({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0,
        {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

/// Whether an element is kept, straight from the definition.
bool isKept(int64_t seed, int64_t step, int64_t id, double p, uint64_t element) {
  const uint64_t group = element / 4;
  const PhiloxWords words = philox4x32(
      {{static_cast<uint32_t>(group), static_cast<uint32_t>(group >> 32), static_cast<uint32_t>(id),
        static_cast<uint32_t>(step)}},
      static_cast<uint32_t>(seed), static_cast<uint32_t>(static_cast<uint64_t>(seed) >> 32));
  return words.word[element % 4] / 4294967296.0 >= p;
}

TEST(Dropout, FollowsTheDefinition) {
  Random random(1);
  for (DType dtype : {DType::F32, DType::F64})
    for (double p : {0.0, 0.1, 0.5, 1.0})
      for (const Sizes &shape : std::vector<Sizes>{{}, {7}, {3, 5, 11}, {70, 301}}) {
        Tensor x = uniform(random, randomDesc(random, dtype, shape, true), 1, 2);
        Tensor counter(TensorDesc::contiguous(DType::I64, {3})),
            y(randomDesc(random, dtype, shape, false));
        const int64_t seed = 0x123456789abcdef, step = 12, microBatch = 3;
        std::memcpy(counter.bytes.data(), &seed, 8);
        std::memcpy(counter.bytes.data() + 8, &step, 8);
        std::memcpy(counter.bytes.data() + 16, &microBatch, 8);
        runThreads("reference", "dropout", {{"p", p}, {"id", int64_t{9}}}, {&x, &counter}, {&y});
        std::vector<double> expected;
        const int64_t count = x.desc.elements();
        for (int64_t i = 0; i < count; ++i)
          expected.push_back(isKept(seed, step, 9, p, microBatch * count + i) ? x.get(i) / (1 - p)
                                                                              : 0);
        expectNear(y, expected, 1e-6, "dropout");
      }
}

TEST(Dropout, MicroBatchesContinueEachOther) {
  // One micro-batch of four rows gets the mask of two micro-batches of two rows each.
  Random random(2);
  auto run = [&](int64_t rows, int64_t microBatch) {
    Tensor x(TensorDesc::contiguous(DType::F32, {rows, 37})),
        counter(TensorDesc::contiguous(DType::I64, {3})), y(x.desc);
    for (int64_t i = 0; i < rows * 37; ++i)
      x.set(i, 1);
    counter.set(0, 5);
    counter.set(2, static_cast<double>(microBatch));
    runThreads("reference", "dropout", {{"p", 0.4}, {"id", int64_t{1}}}, {&x, &counter}, {&y});
    return y.values();
  };
  std::vector<double> joined = run(2, 0);
  const std::vector<double> second = run(2, 1);
  joined.insert(joined.end(), second.begin(), second.end());
  EXPECT_EQ(run(4, 0), joined);
}

struct AdamWCase {
  bool biasCorrection, decoupled, hasClip;
};

void checkAdamW(const KernelProvider &provider, DType dtype, const AdamWCase &each, int64_t count) {
  Random random(3);
  Tensor p = uniform(random, dtype, {count}), g = uniform(random, dtype, {count}, -1e-2, 1e-2);
  Tensor m = uniform(random, dtype, {count}, -1e-2, 1e-2),
         v = uniform(random, dtype, {count}, 0, 1e-4);
  Tensor rate = uniform(random, DType::F64, {}, 1e-3, 2e-3),
         step(TensorDesc::contiguous(DType::I64, {}));
  Tensor clip = uniform(random, DType::F64, {}, 0.1, 0.9);
  step.set(0, 5);
  const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, decay = 0.1;
  std::vector<double> newP, newM, newV;
  for (int64_t i = 0; i < count; ++i) {
    // As torch.optim.AdamW and Adam write it.
    double theta = p.get(i), grad = g.get(i) * (each.hasClip ? clip.get(0) : 1);
    if (each.decoupled)
      theta -= rate.get(0) * decay * theta;
    else
      grad += decay * theta;
    newM.push_back(beta1 * m.get(i) + (1 - beta1) * grad);
    newV.push_back(beta2 * v.get(i) + (1 - beta2) * grad * grad);
    const double correction1 = each.biasCorrection ? 1 - std::pow(beta1, 5) : 1;
    const double correction2 = each.biasCorrection ? 1 - std::pow(beta2, 5) : 1;
    newP.push_back(theta - rate.get(0) / correction1 * newM.back() /
                               (std::sqrt(newV.back() / correction2) + eps));
  }
  const Attributes attributes{{"beta1", beta1},
                              {"beta2", beta2},
                              {"eps", eps},
                              {"weight_decay", decay},
                              {"bias_correction", each.biasCorrection},
                              {"adam_w_mode", each.decoupled}};
  std::vector<Tensor *> inputs = {&p, &g, &m, &v, &rate, &step};
  if (each.hasClip)
    inputs.push_back(&clip);
  Tensor outP(p.desc), outM(p.desc), outV(p.desc);
  const double tolerance = dtype == DType::F32 ? 3e-7 : 1e-14;
  std::vector<std::vector<char>> first;
  for (int threads : {1, 2, 3}) {
    runOnce(provider, "adamw", attributes, inputs, {&outP, &outM, &outV}, threads);
    if (threads == 1)
      first = {outP.bytes, outM.bytes, outV.bytes};
    EXPECT_TRUE((first == std::vector<std::vector<char>>{outP.bytes, outM.bytes, outV.bytes}));
  }
  expectNear(outP, newP, tolerance, "parameter");
  expectNear(outM, newM, tolerance, "exp_avg");
  expectNear(outV, newV, tolerance, "exp_avg_sq");
  if (dtype == DType::F32) {
    Tensor copy(TensorDesc::contiguous(DType::BF16, {count})), rounded(copy.desc);
    runOnce(provider, "adamw", attributes, inputs, {&outP, &outM, &outV, &copy}, 2);
    EXPECT_TRUE(outP.bytes == first[0]) << "the copy changes the step";
    for (int64_t i = 0; i < count; ++i)
      rounded.set(i, outP.get(i));
    EXPECT_TRUE(copy.bytes == rounded.bytes) << "the copy is not the rounded parameter";
  }
  // In place.
  runOnce(provider, "adamw", attributes, inputs, {&p, &m, &v}, 2);
  EXPECT_TRUE(p.bytes == first[0] && m.bytes == first[1] && v.bytes == first[2])
      << "in place differs";
}

void checkSumSquares(const KernelProvider &provider, DType dtype, int64_t count) {
  Random random(4);
  Tensor x = uniform(random, dtype, {count}), sum(TensorDesc::contiguous(DType::F64, {}));
  double expected = 0;
  for (double value : x.values())
    expected += value * value;
  std::vector<char> first;
  for (int threads : {1, 2, 3}) {
    runOnce(provider, "sum_squares", {}, {&x}, {&sum}, threads);
    if (threads == 1)
      first = sum.bytes;
    EXPECT_TRUE(first == sum.bytes);
  }
  EXPECT_NEAR(sum.get(0), expected, 1e-12 * expected + 1e-300);
}

TEST(Update, AdamW) {
  for (bool biasCorrection : {false, true})
    for (bool decoupled : {false, true})
      for (bool hasClip : {false, true}) {
        const AdamWCase each{biasCorrection, decoupled, hasClip};
        for (DType dtype : {DType::F32, DType::F64})
          checkAdamW(referenceProvider(), dtype, each, 60001);
        for (const KernelProvider *native : nativeLevels())
          checkAdamW(*native, DType::F32, each, 60001);
      }
}

TEST(Update, SumSquares) {
  for (int64_t count : {0, 1, 17, 65536, 200003}) {
    for (DType dtype : {DType::F32, DType::F64})
      checkSumSquares(referenceProvider(), dtype, count);
    for (const KernelProvider *native : nativeLevels())
      checkSumSquares(*native, DType::F32, count);
  }
}

TEST(Update, NativeRefusesWhatIsNotFlat) {
  const TensorDesc gaps{DType::F32, {5}, {2}};
  EXPECT_EQ(findProvider("native")->whyNot(
                {"sum_squares", {gaps}, {TensorDesc::contiguous(DType::F64, {})}, {}, 1}),
            "operand 0 is f32[5], not contiguous, expected contiguous f32");
}

TEST(CpuLevel, Order) {
  EXPECT_TRUE(offers("x86-64-v4", "x86-64-v3"));
  EXPECT_TRUE(offers("x86-64-v4-bf16", "x86-64-v4-bf16"));
  EXPECT_FALSE(offers("x86-64-v4", "x86-64-v4-bf16"));
  EXPECT_FALSE(offers("too old", "x86-64-v3"));
  EXPECT_FALSE(offers("x86-64-v4", "x86-64-v9"));
  EXPECT_TRUE(offers(cpuLevel(), "x86-64-v3")) << "the tests themselves need AVX2";
}

} // namespace
