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

/// With the operand `applies` the step is the same; where it is false nothing changes, whatever the
/// gradient holds, and a copy is that of the parameter.
void checkSkipping(const KernelProvider &provider, const Attributes &attributes,
                   std::vector<Tensor *> inputs, const std::vector<std::vector<char>> &stepped) {
  Tensor applies(TensorDesc::contiguous(DType::I1, {})), broken = *inputs[1];
  inputs.push_back(&applies);
  const TensorDesc desc = inputs[0]->desc;
  Tensor outP(desc), outM(desc), outV(desc), copy(TensorDesc::contiguous(DType::F16, desc.shape)),
      rounded(copy.desc);
  applies.set(0, 1);
  runOnce(provider, "adamw", attributes, inputs, {&outP, &outM, &outV}, 2);
  EXPECT_TRUE((stepped == std::vector<std::vector<char>>{outP.bytes, outM.bytes, outV.bytes}));
  applies.set(0, 0);
  broken.set(7, HUGE_VAL);
  broken.set(8, std::nan(""));
  inputs[1] = &broken;
  std::vector<Tensor *> outputs = {&outP, &outM, &outV};
  for (int64_t i = 0; i < desc.elements(); ++i)
    rounded.set(i, inputs[0]->get(i));
  if (desc.dtype == DType::F32)
    outputs.push_back(&copy);
  runOnce(provider, "adamw", attributes, inputs, outputs, 2);
  EXPECT_TRUE(outP.bytes == inputs[0]->bytes && outM.bytes == inputs[2]->bytes &&
              outV.bytes == inputs[3]->bytes)
      << "a skipped step changes something";
  if (desc.dtype == DType::F32) {
    EXPECT_TRUE(copy.bytes == rounded.bytes);
  }
  Tensor p = *inputs[0], m = *inputs[2], v = *inputs[3];
  inputs[0] = &p, inputs[2] = &m, inputs[3] = &v;
  runOnce(provider, "adamw", attributes, inputs, {&p, &m, &v}, 2);
  EXPECT_TRUE(p.bytes == outP.bytes && m.bytes == outM.bytes && v.bytes == outV.bytes);
}

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
  for (DType narrow : kNarrow) {
    if (dtype != DType::F32)
      break;
    Tensor copy(TensorDesc::contiguous(narrow, {count})), rounded(copy.desc);
    runOnce(provider, "adamw", attributes, inputs, {&outP, &outM, &outV, &copy}, 2);
    EXPECT_TRUE(outP.bytes == first[0]) << "the copy changes the step";
    for (int64_t i = 0; i < count; ++i)
      rounded.set(i, outP.get(i));
    EXPECT_TRUE(copy.bytes == rounded.bytes) << "the copy is not the rounded parameter";
  }
  if (each.hasClip)
    checkSkipping(provider, attributes, inputs, {outP.bytes, outM.bytes, outV.bytes});
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

/// DeepSpeed's DynamicLossScaler (deepspeed/runtime/fp16/loss_scaler.py), line by line.
struct DynamicLossScaler {
  double scale;
  int64_t window, hysteresis;
  bool consecutive;
  double minimum;
  int64_t iteration = 0, lastOverflow = -1, left = hysteresis;
  bool raised = false;

  void update(bool overflow) {
    if (overflow) {
      if (hysteresis == 1 || left == 1) {
        raised |= scale == minimum;
        scale = std::max(scale / 2, minimum);
      } else {
        --left;
      }
      lastOverflow = iteration;
    } else {
      if (consecutive)
        left = hysteresis;
      const int64_t stable = iteration - lastOverflow - 1;
      if (stable > 0 && stable % window == 0) {
        if (!consecutive)
          left = hysteresis;
        scale *= 2;
      }
    }
    ++iteration;
  }
};

void stepLossScale(Tensor &state, bool finite, const Attributes &attributes) {
  Tensor flag(TensorDesc::contiguous(DType::I1, {}));
  flag.set(0, finite);
  runOnce(referenceProvider(), "update_loss_scale", attributes, {&state, &flag}, {&state}, 1);
}

Tensor lossScaleState(double scale, int64_t hysteresis) {
  Tensor state(TensorDesc::contiguous(DType::F64, {4}));
  state.set(0, scale);
  state.set(2, static_cast<double>(hysteresis));
  return state;
}

TEST(Update, LossScaleFollowsDeepSpeed) {
  Random random(5);
  for (int64_t window : {1, 2, 5})
    for (int64_t hysteresis : {1, 2, 3})
      for (bool consecutive : {false, true})
        for (double minimum : {1.0, 3.0, 64.0})
          for (double rate : {0.1, 0.5}) {
            DynamicLossScaler expected{256, window, hysteresis, consecutive, minimum};
            Tensor state = lossScaleState(256, hysteresis);
            const Attributes attributes{{"window", window},
                                        {"hysteresis", hysteresis},
                                        {"consecutive_hysteresis", consecutive},
                                        {"minimum", minimum}};
            double skipped = 0;
            for (int step = 0; step < 200; ++step) {
              const bool overflows = std::bernoulli_distribution(rate)(random);
              expected.update(overflows);
              skipped += overflows;
              stepLossScale(state, !overflows, attributes);
              ASSERT_EQ(state.get(0), expected.raised ? 0 : expected.scale)
                  << "step " << step << " window " << window << " hysteresis " << hysteresis;
              ASSERT_EQ(state.get(3), skipped);
              if (expected.raised)
                break;
            }
          }
}

/// The figures of DeepSpeed's own tests (tests/unit/runtime/half_precision), by hand.
TEST(Update, LossScaleByHand) {
  const Attributes attributes{{"window", int64_t{2}},
                              {"hysteresis", int64_t{1}},
                              {"consecutive_hysteresis", false},
                              {"minimum", 1.0}};
  auto scales = [&](double first, const std::string &steps) {
    Tensor state = lossScaleState(first, 1);
    std::vector<double> result;
    for (char step : steps) {
      stepLossScale(state, step == '.', attributes);
      result.push_back(state.get(0));
    }
    return result;
  };
  EXPECT_EQ(scales(256, ".........."),
            (std::vector<double>{256, 256, 512, 512, 1024, 1024, 2048, 2048, 4096, 4096}));
  EXPECT_EQ(scales(16, "xxxxx"), (std::vector<double>{8, 4, 2, 1, 0}));
  EXPECT_EQ(scales(256, "xx...x"), (std::vector<double>{128, 64, 64, 64, 128, 64}));
}

TEST(Update, ConstantLossScaleCountsSteps) {
  const Attributes attributes{{"window", int64_t{0}},
                              {"hysteresis", int64_t{2}},
                              {"consecutive_hysteresis", false},
                              {"minimum", 1.0}};
  Tensor state = lossScaleState(128, 2);
  for (char step : std::string("x..xx......xx"))
    stepLossScale(state, step == '.', attributes);
  EXPECT_EQ(state.values(), (std::vector<double>{128, 0, 2, 5}));
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
