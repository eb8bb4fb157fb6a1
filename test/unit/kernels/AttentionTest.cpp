//===- AttentionTest.cpp - blocked attention against softmax written out in f64 ---------------===//

#include "TestTensors.h"

#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Philox.h"
#include "runtime/kernels/Providers.h"

#include <cmath>
#include <limits>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

enum class Mask { None, Added, Seen };

struct Problem {
  int64_t b, h, g, s, t, d, e;
  bool causal = false;
  Mask mask = Mask::None;
  double dropout = 0;
  int64_t diagonal = 0;
  DType dtype = DType::F32;
};

struct Operands {
  Tensor q, k, v, mask, counter, dO;
};

struct Expected {
  std::vector<double> o, lse, dQ, dK, dV;
};

/// Softmax row by row with all scores at hand; gradients by the textbook.
Expected naive(const Problem &p, const Operands &x, double scale) {
  Expected r;
  r.o.assign(p.b * p.h * p.s * p.e, 0);
  r.lse.assign(p.b * p.h * p.s, -kInfinity);
  r.dQ.assign(p.b * p.h * p.s * p.d, 0);
  r.dK.assign(p.b * p.g * p.t * p.d, 0);
  r.dV.assign(p.b * p.g * p.t * p.e, 0);
  int64_t counter[3] = {};
  for (int i = 0; i < 3; ++i)
    counter[i] = static_cast<int64_t>(x.counter.get(i));
  const DropoutMask dropout(counter, p.dropout, 5, p.b * p.h * p.s * p.t);
  for (int64_t row = 0; row < p.b * p.h * p.s; ++row) {
    const int64_t i = row % p.s, head = row / p.s % p.h, batch = row / p.s / p.h;
    const int64_t keyBase = (batch * p.g + head / (p.h / p.g)) * p.t;
    std::vector<double> probability(p.t, 0), factor(p.t, 1), slope(p.t, 0);
    double largest = -kInfinity, sum = 0;
    for (int64_t j = 0; j < p.t; ++j) {
      double score = 0;
      for (int64_t c = 0; c < p.d; ++c)
        score += x.q.get(row * p.d + c) * x.k.get((keyBase + j) * p.d + c);
      score *= scale;
      if (p.mask == Mask::Added)
        score += x.mask.get(row * p.t + j);
      if ((p.mask == Mask::Seen && x.mask.get(row * p.t + j) == 0) ||
          (p.causal && j > i + p.t - p.s + p.diagonal))
        score = -kInfinity;
      probability[j] = score;
      largest = std::max(largest, score);
      if (p.dropout > 0)
        factor[j] = dropout.keeps(row * p.t + j) ? 1 / (1 - p.dropout) : 0;
    }
    if (largest == -kInfinity)
      continue;
    for (double &each : probability)
      sum += each = std::exp(each - largest);
    r.lse[row] = largest + std::log(sum);
    double delta = 0;
    for (int64_t j = 0; j < p.t; ++j) {
      probability[j] /= sum;
      for (int64_t c = 0; c < p.e; ++c) {
        const double v = x.v.get((keyBase + j) * p.e + c), dO = x.dO.get(row * p.e + c);
        r.o[row * p.e + c] += probability[j] * factor[j] * v;
        r.dV[(keyBase + j) * p.e + c] += probability[j] * factor[j] * dO;
        slope[j] += factor[j] * v * dO;
      }
      delta += probability[j] * slope[j];
    }
    for (int64_t j = 0; j < p.t; ++j)
      for (int64_t c = 0; c < p.d; ++c) {
        const double ds = probability[j] * (slope[j] - delta) * scale;
        r.dQ[row * p.d + c] += ds * x.k.get((keyBase + j) * p.d + c);
        r.dK[(keyBase + j) * p.d + c] += ds * x.q.get(row * p.d + c);
      }
  }
  return r;
}

/// How [b, h, s, d] lies in memory: with sequence before heads, as a projection leaves it, or with
/// the head size before the sequence.
enum class Layout { RowMajor, Interleaved, Transposed };
constexpr Layout kLayouts[] = {Layout::RowMajor, Layout::Interleaved, Layout::Transposed};

TensorDesc heads(Layout layout, int64_t b, int64_t h, int64_t s, int64_t d,
                 DType dtype = DType::F32) {
  TensorDesc desc = TensorDesc::contiguous(dtype, {b, h, s, d});
  if (layout == Layout::Interleaved)
    desc.strides = {s * h * d, d, h * d, 1};
  if (layout == Layout::Transposed)
    desc.strides = {h * d * s, d * s, 1, s};
  return desc;
}

Operands makeOperands(const Problem &p, Random &random, Layout layout) {
  const Layout other = layout == Layout::RowMajor ? Layout::Interleaved : Layout::RowMajor;
  Operands x{uniform(random, heads(layout, p.b, p.h, p.s, p.d, p.dtype)),
             uniform(random, heads(layout, p.b, p.g, p.t, p.d, p.dtype)),
             uniform(random, heads(layout, p.b, p.g, p.t, p.e, p.dtype)),
             Tensor(),
             Tensor(TensorDesc::contiguous(DType::I64, {3})),
             uniform(random, heads(other, p.b, p.h, p.s, p.e, p.dtype))};
  if (p.mask != Mask::None) {
    TensorDesc desc =
        TensorDesc::contiguous(p.mask == Mask::Added ? DType::F32 : DType::I1, {1, 1, p.s, p.t});
    desc.shape = {p.b, p.h, p.s, p.t};
    desc.strides = {0, 0, p.t, 1};
    x.mask = Tensor(desc);
    for (int64_t i = 0; i < p.s * p.t; ++i)
      x.mask.set(i, p.mask == Mask::Seen
                        ? static_cast<double>(draw(random, 0, 2) > 0 && i / p.t != 1)
                        : static_cast<double>(draw(random, -40, 40)) / 20);
  }
  x.counter.set(0, 1234567);
  x.counter.set(1, 7);
  x.counter.set(2, 3);
  return x;
}

void check(const Problem &p, const KernelProvider &provider, Layout layout) {
  Random random(p.s * 131 + p.t);
  Operands x = makeOperands(p, random, layout);
  const double scale = 1 / std::sqrt(static_cast<double>(p.d));
  Attributes attributes{
      {"scale", scale}, {"causal", p.causal}, {"dropout", p.dropout}, {"id", int64_t{5}}};
  Tensor o(heads(layout, p.b, p.h, p.s, p.e, p.dtype)),
      lse(TensorDesc::contiguous(DType::F32, {p.b, p.h, p.s}));
  Tensor diagonal(TensorDesc::contiguous(DType::I64, {}));
  diagonal.set(0, static_cast<double>(p.diagonal));
  std::vector<Tensor *> inputs = {&x.q, &x.k, &x.v};
  std::vector<Tensor *> gradInputs = {&x.dO, &x.q, &x.k, &x.v, &o, &lse};
  for (std::vector<Tensor *> *list : {&inputs, &gradInputs}) {
    if (p.mask != Mask::None)
      list->push_back(&x.mask);
    if (p.dropout > 0)
      list->push_back(&x.counter);
    if (p.diagonal != 0)
      list->push_back(&diagonal);
  }
  Tensor dQ(x.q.desc), dK(x.k.desc), dV(x.v.desc);
  std::vector<std::vector<char>> first;
  for (int threads : {1, 2, 3}) {
    runOnce(provider, "attention", attributes, inputs, {&o, &lse}, threads);
    runOnce(provider, "attention_grad", attributes, gradInputs, {&dQ, &dK, &dV}, threads);
    const std::vector<std::vector<char>> bytes = {o.bytes, lse.bytes, dQ.bytes, dK.bytes, dV.bytes};
    if (threads == 1)
      first = bytes;
    EXPECT_TRUE(first == bytes) << "attention differs with " << threads << " threads";
  }
  const Expected expected = naive(p, x, scale);
  // Narrow operands are exact in f32: lse is as exact, results are rounded once, and the gradients
  // see the rounding of o.
  const bool isNarrow = p.dtype != DType::F32;
  const double rounding = roundingOf(p.dtype);
  expectNear(o, expected.o, isNarrow ? rounding : 2e-6, "o");
  expectNear(lse, expected.lse, 2e-6, "lse");
  expectNear(dQ, expected.dQ, isNarrow ? 4 * rounding : 4e-6, "dq");
  expectNear(dK, expected.dK, isNarrow ? 4 * rounding : 4e-6, "dk");
  expectNear(dV, expected.dV, isNarrow ? rounding : 4e-6, "dv");
}

/// Both variants where this machine has them.
void checkLevels(const Problem &p) {
  for (std::string_view level : {"x86-64-v3", "x86-64-v4"})
    if (offers(cpuLevel(), level))
      for (Layout layout : kLayouts)
        check(p, nativeProvider(level), layout);
}

TEST(Attention, Plain) {
  checkLevels({2, 3, 3, 20, 20, 8, 8});
  checkLevels({1, 1, 1, 1, 1, 1, 1});
  checkLevels({1, 2, 2, 5, 7, 3, 33});
}

TEST(Attention, Causal) {
  checkLevels({2, 2, 2, 50, 50, 16, 16, true});
  checkLevels({1, 2, 2, 130, 130, 48, 48, true});
}

TEST(Attention, Narrow) {
  for (DType dtype : kNarrow)
    for (Problem p : {Problem{2, 3, 3, 20, 20, 8, 8}, Problem{1, 4, 2, 130, 130, 48, 40, true},
                      Problem{2, 2, 2, 19, 31, 8, 8, false, Mask::Added, 0.3},
                      Problem{1, 2, 1, 60, 9, 8, 8, true}}) {
      p.dtype = dtype;
      checkLevels(p);
    }
}

TEST(Attention, SeveralBlocksOfKeys) {
  checkLevels({1, 1, 1, 30, 600, 20, 24});
  checkLevels({1, 1, 1, 300, 300, 64, 64, true});
}

/// Every block of queries against every block of keys, the last of both cut off; widths that end in
/// an odd vector.
TEST(Attention, SeveralBlocksOfBoth) {
  checkLevels({1, 2, 1, 70, 270, 40, 24, true, Mask::Seen, 0.2});
  checkLevels({1, 1, 1, 150, 270, 24, 72, true, Mask::None, 0, -80});
}

TEST(Attention, FewerQueriesThanKeys) { checkLevels({1, 2, 2, 3, 40, 8, 8, true}); }

TEST(Attention, QueriesThatSeeNoKey) { checkLevels({1, 2, 2, 60, 9, 8, 8, true}); }

/// Blocks of longer queries and keys: ahead, behind by less than a block, and out of sight.
TEST(Attention, Diagonal) {
  for (int64_t diagonal : {70, 7, -7, -70}) {
    checkLevels({1, 2, 1, 70, 70, 8, 8, true, Mask::None, 0, diagonal});
    checkLevels({2, 2, 2, 19, 31, 8, 8, true, Mask::Added, 0.3, diagonal});
  }
}

/// What is hidden entirely is not read.
TEST(Attention, HiddenBlocksAreNotRead) {
  const Problem p{1, 2, 1, 20, 20, 8, 8, true};
  Random random(5);
  Operands x = makeOperands(p, random, Layout::RowMajor);
  for (Tensor *tensor : {&x.k, &x.v})
    for (int64_t i = 0; i < tensor->desc.elements(); ++i)
      tensor->set(i, std::numeric_limits<double>::quiet_NaN());
  Tensor o(heads(Layout::RowMajor, 1, 2, 20, 8)),
      lse(TensorDesc::contiguous(DType::F32, {1, 2, 20})), dQ(x.q.desc), dK(x.k.desc), dV(x.v.desc),
      diagonal(TensorDesc::contiguous(DType::I64, {}));
  diagonal.set(0, -20);
  Attributes attributes{{"scale", 1.0}, {"causal", true}};
  const KernelProvider &native = *findProvider("native");
  runOnce(native, "attention", attributes, {&x.q, &x.k, &x.v, &diagonal}, {&o, &lse}, 1);
  runOnce(native, "attention_grad", attributes, {&x.dO, &x.q, &x.k, &x.v, &o, &lse, &diagonal},
          {&dQ, &dK, &dV}, 1);
  for (const Tensor *zero : {&o, &dQ, &dK, &dV})
    for (int64_t i = 0; i < zero->desc.elements(); ++i)
      EXPECT_EQ(zero->get(i), 0.0);
  EXPECT_EQ(lse.get(0), -kInfinity);
}

TEST(Attention, GroupedHeads) {
  checkLevels({2, 6, 2, 17, 23, 8, 12});
  checkLevels({1, 4, 1, 33, 33, 16, 16, true});
}

TEST(Attention, AddedMask) { checkLevels({2, 2, 2, 19, 31, 8, 8, false, Mask::Added}); }

TEST(Attention, MaskOfSeenKeys) {
  checkLevels({2, 2, 2, 19, 31, 8, 8, false, Mask::Seen});
  checkLevels({1, 2, 2, 21, 21, 8, 8, true, Mask::Seen});
}

TEST(Attention, Dropout) {
  checkLevels({2, 2, 2, 19, 31, 8, 8, false, Mask::None, 0.3});
  checkLevels({1, 4, 2, 64, 64, 16, 16, true, Mask::Added, 0.1});
}

/// Batch row `batch` and heads from `first` on of a row-major tensor, as large as `part`.
void copyHeads(const Tensor &whole, Tensor &part, int64_t batch, int64_t first) {
  const Sizes &from = whole.desc.shape, &to = part.desc.shape;
  const int64_t inner = part.desc.elements() / (to[0] * to[1]);
  for (int64_t i = 0; i < part.desc.elements(); ++i) {
    const int64_t head = i / inner % to[1] + first, row = i / inner / to[1] + batch;
    part.set(i, whole.get((row * from[1] + head) * inner + i % inner));
  }
}

/// A part of a batch and its heads drops what the whole drops, and gives the same bits.
TEST(Attention, DropoutOfAPart) {
  const Problem p{2, 4, 2, 19, 31, 8, 8, false, Mask::None, 0.3};
  constexpr int64_t kBatch = 1, kHead = 2, kGroup = 1; // heads 2 and 3 of batch row 1
  Random random(3);
  Operands x = makeOperands(p, random, Layout::RowMajor);
  auto tensor = [](Sizes shape) { return Tensor(TensorDesc::contiguous(DType::F32, shape)); };
  Tensor o = tensor({2, 4, 19, 8}), lse = tensor({2, 4, 19}), dQ(x.q.desc), dK(x.k.desc),
         dV(x.v.desc);
  Attributes attributes{{"scale", 0.5}, {"dropout", p.dropout}, {"id", int64_t{5}}};
  const KernelProvider &native = *findProvider("native");
  runOnce(native, "attention", attributes, {&x.q, &x.k, &x.v, &x.counter}, {&o, &lse}, 2);
  runOnce(native, "attention_grad", attributes, {&x.dO, &x.q, &x.k, &x.v, &o, &lse, &x.counter},
          {&dQ, &dK, &dV}, 2);

  Tensor q = tensor({1, 2, 19, 8}), k = tensor({1, 1, 31, 8}), v = k, dO = q, partO = q,
         partLse = tensor({1, 2, 19}), partDq = q, partDk = k, partDv = k,
         offsets(TensorDesc::contiguous(DType::I64, {4}));
  copyHeads(x.q, q, kBatch, kHead);
  copyHeads(x.k, k, kBatch, kGroup);
  copyHeads(x.v, v, kBatch, kGroup);
  copyHeads(x.dO, dO, kBatch, kHead);
  offsets.set(0, kBatch);
  offsets.set(1, kHead);
  attributes.set("global_shape", Sizes{2, 4, 19, 31});
  runOnce(native, "attention", attributes, {&q, &k, &v, &x.counter, &offsets}, {&partO, &partLse},
          2);
  runOnce(native, "attention_grad", attributes,
          {&dO, &q, &k, &v, &partO, &partLse, &x.counter, &offsets}, {&partDq, &partDk, &partDv},
          2);
  auto expectPart = [](const Tensor &whole, const Tensor &part, int64_t first) {
    Tensor expected(part.desc);
    copyHeads(whole, expected, kBatch, first);
    EXPECT_EQ(expected.bytes, part.bytes);
  };
  expectPart(o, partO, kHead);
  expectPart(lse, partLse, kHead);
  expectPart(dQ, partDq, kHead);
  expectPart(dK, partDk, kGroup);
  expectPart(dV, partDv, kGroup);
}

TEST(Attention, ANotANumberIsNotHidden) {
  Random random(9);
  Problem p{1, 1, 1, 4, 4, 4, 4, true};
  Operands x = makeOperands(p, random, Layout::RowMajor);
  x.q.set(0, std::numeric_limits<double>::quiet_NaN());
  Tensor o(heads(Layout::RowMajor, 1, 1, 4, 4)), lse(TensorDesc::contiguous(DType::F32, {1, 1, 4}));
  runOnce(*findProvider("native"), "attention", {{"scale", 1.0}, {"causal", true}},
          {&x.q, &x.k, &x.v}, {&o, &lse}, 1);
  EXPECT_TRUE(std::isnan(o.get(0)));
  EXPECT_FALSE(std::isnan(o.get(4)));
}

TEST(Attention, FaultsAreNamed) {
  const KernelProvider &native = *findProvider("native");
  auto f32 = [](Sizes shape) { return TensorDesc::contiguous(DType::F32, std::move(shape)); };
  KernelSpec spec{"attention",
                  {f32({1, 4, 8, 8}), f32({1, 3, 8, 8}), f32({1, 3, 8, 8})},
                  {f32({1, 4, 8, 8}), f32({1, 4, 8})},
                  {{"scale", 1.0}},
                  1};
  EXPECT_EQ(native.whyNot(spec), "4 heads are not a multiple of 3 key/value heads");
  spec.inputs[1] = spec.inputs[2] = f32({1, 2, 8, 8});
  EXPECT_EQ(native.whyNot(spec), std::nullopt);
  spec.attributes.set("dropout", 0.5);
  EXPECT_EQ(native.whyNot(spec), "dropout needs a counter");
  spec.attributes.set("global_shape", Sizes{2, 4, 8, 8});
  spec.inputs.push_back(TensorDesc::contiguous(DType::I64, {3}));
  EXPECT_EQ(native.whyNot(spec),
            "global_shape is set, but there is no contiguous i64[4] of offsets");
  spec.inputs.push_back(TensorDesc::contiguous(DType::I64, {4}));
  EXPECT_EQ(native.whyNot(spec), std::nullopt);
  spec.attributes.set("has_diagonal", true);
  EXPECT_EQ(native.whyNot(spec), "has_diagonal is set, but there is no diagonal");
  spec.inputs.push_back(TensorDesc::contiguous(DType::I64, {}));
  EXPECT_EQ(native.whyNot(spec), "there is a diagonal, but causal is not set");
  spec.attributes.set("causal", true);
  EXPECT_EQ(native.whyNot(spec), std::nullopt);
  spec.inputs[0] = TensorDesc::contiguous(DType::F64, {1, 4, 8, 8});
  EXPECT_EQ(native.whyNot(spec), "q is f64[1x4x8x8], expected f32, bf16 or f16");
}

} // namespace
