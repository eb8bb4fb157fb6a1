//===- MatmulTest.cpp - contractions of every provider against a plain loop -------------------===//

#include "TestTensors.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

struct Problem {
  Sizes batch, m, n, k;
  std::vector<int64_t> lhsOrder,
      rhsOrder; // place of (batch, m, k) and (batch, n, k) dimensions in the operands
};

Sizes permuted(const Sizes &sizes, const std::vector<int64_t> &order) {
  Sizes result(sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i)
    result[order[i]] = sizes[i];
  return result;
}

Sizes joined(std::initializer_list<const Sizes *> parts) {
  Sizes result;
  for (const Sizes *part : parts)
    result.insert(result.end(), part->begin(), part->end());
  return result;
}

/// Row-major index in `sizes`-shaped tensor whose dimension i sits at place order[i].
int64_t indexAt(const Sizes &sizes, const std::vector<int64_t> &order, const Sizes &index) {
  const Sizes shape = permuted(sizes, order), at = permuted(index, order);
  int64_t result = 0;
  for (size_t dim = 0; dim < shape.size(); ++dim)
    result = result * shape[dim] + at[dim];
  return result;
}

std::vector<double> naive(const Problem &p, const Tensor &lhs, const Tensor &rhs) {
  std::vector<double> result;
  for (int64_t b = 0; b < product(p.batch); ++b)
    for (int64_t i = 0; i < product(p.m); ++i)
      for (int64_t j = 0; j < product(p.n); ++j) {
        double sum = 0;
        for (int64_t k = 0; k < product(p.k); ++k) {
          const Sizes bi = unravel(b, p.batch), ki = unravel(k, p.k), mi = unravel(i, p.m),
                      ni = unravel(j, p.n);
          sum +=
              lhs.get(
                  indexAt(joined({&p.batch, &p.m, &p.k}), p.lhsOrder, joined({&bi, &mi, &ki}))) *
              rhs.get(indexAt(joined({&p.batch, &p.n, &p.k}), p.rhsOrder, joined({&bi, &ni, &ki})));
        }
        result.push_back(sum);
      }
  return result;
}

Attributes attributesOf(const Problem &p) {
  std::vector<int64_t> lists[4];
  const size_t b = p.batch.size();
  for (size_t i = 0; i < b; ++i) {
    lists[0].push_back(p.lhsOrder[i]);
    lists[1].push_back(p.rhsOrder[i]);
  }
  for (size_t i = 0; i < p.k.size(); ++i) {
    lists[2].push_back(p.lhsOrder[b + p.m.size() + i]);
    lists[3].push_back(p.rhsOrder[b + p.n.size() + i]);
  }
  return {{"lhs_batch", lists[0]},
          {"rhs_batch", lists[1]},
          {"lhs_contract", lists[2]},
          {"rhs_contract", lists[3]}};
}

/// A random order in which batch, free and contracting dimensions may be interleaved; free
/// dimensions keep their order, because the result lists them as the operand does.
std::vector<int64_t> randomOrder(Random &random, size_t count, size_t freeBegin, size_t freeEnd) {
  std::vector<int64_t> order(count);
  for (size_t i = 0; i < count; ++i)
    order[i] = static_cast<int64_t>(i);
  std::shuffle(order.begin(), order.end(), random);
  std::sort(order.begin() + freeBegin, order.begin() + freeEnd);
  return order;
}

TEST(Matmul, ReferenceOfAnyDimensionLists) {
  Random random(1);
  for (int round = 0; round < 60; ++round) {
    Problem p{randomShape(random, draw(random, 0, 2), 3),
              randomShape(random, draw(random, 0, 2), 9),
              randomShape(random, draw(random, 0, 2), 9),
              randomShape(random, draw(random, 0, 2), 14),
              {},
              {}};
    const size_t b = p.batch.size();
    p.lhsOrder = randomOrder(random, b + p.m.size() + p.k.size(), b, b + p.m.size());
    p.rhsOrder = randomOrder(random, b + p.n.size() + p.k.size(), b, b + p.n.size());
    for (DType dtype : {DType::F32, DType::F64, DType::BF16, DType::F16}) {
      Tensor lhs =
          uniform(random, randomDesc(random, dtype,
                                     permuted(joined({&p.batch, &p.m, &p.k}), p.lhsOrder), true));
      Tensor rhs =
          uniform(random, randomDesc(random, dtype,
                                     permuted(joined({&p.batch, &p.n, &p.k}), p.rhsOrder), true));
      Tensor out(randomDesc(random, dtype, joined({&p.batch, &p.m, &p.n}), false));
      runThreads("reference", "matmul", attributesOf(p), {&lhs, &rhs}, {&out});
      const double tolerance = dtype == DType::F32   ? 1e-7
                               : dtype == DType::F64 ? 1e-14
                                                     : roundingOf(dtype);
      expectNear(out, naive(p, lhs, rhs), tolerance, "matmul");
      if (dtype == DType::F32 || dtype == DType::F64)
        continue;
      // The sum leaves the accumulators in f32.
      Tensor wide(randomDesc(random, DType::F32, out.desc.shape, false));
      runThreads("reference", "matmul", attributesOf(p), {&lhs, &rhs}, {&wide});
      expectNear(wide, naive(p, lhs, rhs), 1e-7, "matmul of 16 bits in f32");
    }
  }
}

TEST(Matmul, ReferenceOfManyTiles) {
  Random random(2);
  Problem p{{2}, {70}, {45}, {300}, {0, 1, 2}, {0, 2, 1}};
  Tensor lhs = uniform(random, DType::F64, {2, 70, 300}),
         rhs = uniform(random, DType::F64, {2, 300, 45});
  Tensor out(TensorDesc::contiguous(DType::F64, {2, 70, 45}));
  runThreads("reference", "matmul", attributesOf(p), {&lhs, &rhs}, {&out});
  expectNear(out, naive(p, lhs, rhs), 1e-13, "matmul");
}

/// With one thread count oneDNN gives the same bits in every run, and what is expected.
void checkOnednn(const Problem &p, Tensor &lhs, Tensor &rhs, Tensor &out, const std::string &what) {
  const KernelProvider &onednn = *findProvider("onednn");
  for (int threads : {1, 2}) {
    runOnce(onednn, "matmul", attributesOf(p), {&lhs, &rhs}, {&out}, threads);
    expectNear(out, naive(p, lhs, rhs), 1e-6, what);
    const std::vector<char> first = out.bytes;
    runOnce(onednn, "matmul", attributesOf(p), {&lhs, &rhs}, {&out}, threads);
    EXPECT_TRUE(first == out.bytes) << what;
  }
}

TEST(Matmul, OnednnOfTransposedOperands) {
  Random random(3);
  for (const Sizes &mnk :
       std::vector<Sizes>{{17, 33, 20}, {1, 40, 8}, {40, 1, 8}, {5, 6, 1}, {1, 1, 7}, {64, 48, 32}})
    for (bool isLhsTransposed : {false, true})
      for (bool isRhsTransposed : {false, true})
        for (bool isOutTransposed : {false, true}) {
          Problem p{{}, {mnk[0]}, {mnk[1]}, {mnk[2]}, {0, 1}, {0, 1}};
          if (isLhsTransposed)
            p.lhsOrder = {1, 0};
          if (isRhsTransposed)
            p.rhsOrder = {1, 0};
          Tensor lhs = uniform(random, DType::F32, permuted({mnk[0], mnk[2]}, p.lhsOrder));
          Tensor rhs = uniform(random, DType::F32, permuted({mnk[1], mnk[2]}, p.rhsOrder));
          TensorDesc desc = TensorDesc::contiguous(DType::F32, {mnk[0], mnk[1]});
          if (isOutTransposed)
            desc.strides = {1, mnk[0]};
          Tensor out(desc);
          checkOnednn(p, lhs, rhs, out, "onednn matmul");
        }
}

TEST(Matmul, OnednnOfHeads) {
  // q, k as [b, s, h, d]; batch (b, h): the views that attention makes of a projection.
  Random random(4);
  Problem p{{2, 3}, {10}, {12}, {8}, {0, 2, 1, 3}, {0, 2, 1, 3}};
  Tensor lhs = uniform(random, DType::F32, {2, 10, 3, 8}),
         rhs = uniform(random, DType::F32, {2, 12, 3, 8});
  Tensor out(TensorDesc::contiguous(DType::F32, {2, 3, 10, 12}));
  checkOnednn(p, lhs, rhs, out, "onednn heads");
  Tensor interleaved(TensorDesc{DType::F32, {2, 3, 10, 12}, {360, 12, 36, 1}});
  checkOnednn(p, lhs, rhs, interleaved, "onednn heads, interleaved result");
}

TEST(Matmul, OnednnOfMergedDimensions) {
  Random random(5);
  Problem p{{}, {4, 6}, {5}, {8}, {0, 1, 2}, {1, 0}}; // x [4, 6, 8] times w [8, 5]
  Tensor lhs = uniform(random, DType::F32, {4, 6, 8}), rhs = uniform(random, DType::F32, {8, 5});
  Tensor out(TensorDesc::contiguous(DType::F32, {4, 6, 5}));
  checkOnednn(p, lhs, rhs, out, "onednn linear");
  Problem gradient{{}, {8}, {5}, {4, 6}, {2, 0, 1}, {2, 0, 1}}; // x^T dy over all positions
  Tensor dy = uniform(random, DType::F32, {4, 6, 5});
  Tensor dw(TensorDesc::contiguous(DType::F32, {8, 5}));
  checkOnednn(gradient, lhs, dy, dw, "onednn weight gradient");
}

TEST(Matmul, OnednnLinear) {
  Random random(6);
  for (bool isTransposed : {false, true})
    for (bool hasBias : {false, true}) {
      Tensor x = uniform(random, DType::F32, {3, 7, 12});
      Tensor weight = uniform(random, DType::F32, isTransposed ? Sizes{10, 12} : Sizes{12, 10});
      Tensor bias = uniform(random, DType::F32, {10});
      Tensor out(TensorDesc::contiguous(DType::F32, {3, 7, 10}));
      std::vector<double> expected;
      for (int64_t row = 0; row < 21; ++row)
        for (int64_t j = 0; j < 10; ++j) {
          double sum = hasBias ? bias.get(j) : 0;
          for (int64_t k = 0; k < 12; ++k)
            sum += x.get(row * 12 + k) * weight.get(isTransposed ? j * 12 + k : k * 10 + j);
          expected.push_back(sum);
        }
      std::vector<Tensor *> inputs = {&x, &weight};
      if (hasBias)
        inputs.push_back(&bias);
      for (int threads : {1, 2}) {
        runOnce(*findProvider("onednn"), "linear", {{"transpose_weight", isTransposed}}, inputs,
                {&out}, threads);
        expectNear(out, expected, 1e-6, "linear");
      }
    }
}

/// Every way to multiply bf16 and f16: bits repeat, and an f32 result is as exact as the products
/// of f32.
void checkNarrow(const Problem &p, Tensor &lhs, Tensor &rhs, const std::string &what) {
  const Sizes shape = joined({&p.batch, &p.m, &p.n});
  for (const KernelProvider *onednn : onednnLevels())
    for (DType dtype : {lhs.desc.dtype, DType::F32})
      for (int threads : {1, 2}) {
        Tensor out(TensorDesc::contiguous(dtype, shape)), again(out.desc);
        runOnce(*onednn, "matmul", attributesOf(p), {&lhs, &rhs}, {&out}, threads);
        expectNear(out, naive(p, lhs, rhs), dtype == DType::F32 ? 2e-6 : roundingOf(dtype), what);
        runOnce(*onednn, "matmul", attributesOf(p), {&lhs, &rhs}, {&again}, threads);
        EXPECT_TRUE(out.bytes == again.bytes) << what;
      }
}

class NarrowMatmul : public testing::TestWithParam<DType> {};

INSTANTIATE_TEST_SUITE_P(Types, NarrowMatmul, testing::ValuesIn(kNarrow),
                         [](const auto &info) { return std::string(nameOf(info.param)); });

TEST_P(NarrowMatmul, Onednn) {
  Random random(7);
  for (const Sizes &mnk : std::vector<Sizes>{{17, 33, 20}, {1, 40, 8}, {5, 6, 1}, {64, 48, 32}})
    for (bool isLhsTransposed : {false, true})
      for (bool isRhsTransposed : {false, true}) {
        Problem p{{}, {mnk[0]}, {mnk[1]}, {mnk[2]}, {0, 1}, {0, 1}};
        if (isLhsTransposed)
          p.lhsOrder = {1, 0};
        if (isRhsTransposed)
          p.rhsOrder = {1, 0};
        Tensor lhs = uniform(random, GetParam(), permuted({mnk[0], mnk[2]}, p.lhsOrder));
        Tensor rhs = uniform(random, GetParam(), permuted({mnk[1], mnk[2]}, p.rhsOrder));
        checkNarrow(p, lhs, rhs, "products");
      }
  Problem gradient{{}, {8}, {5}, {4, 6}, {2, 0, 1}, {2, 0, 1}}; // x^T dy over all positions
  Tensor x = uniform(random, GetParam(), {4, 6, 8}), dy = uniform(random, GetParam(), {4, 6, 5});
  checkNarrow(gradient, x, dy, "weight gradient");
  Problem batched{{2, 3}, {10}, {12}, {8}, {0, 2, 1, 3}, {0, 2, 1, 3}};
  Tensor q = uniform(random, GetParam(), {2, 10, 3, 8}),
         k = uniform(random, GetParam(), {2, 12, 3, 8});
  checkNarrow(batched, q, k, "heads");
}

/// Matrices so long that their f32 copies are made in blocks, along each of the three dimensions.
TEST_P(NarrowMatmul, WidenedInBlocks) {
  constexpr int64_t kLong = 140000, kShort = 40;
  Random random(8);
  const KernelProvider &onednn = onednnProvider("x86-64-v3");
  for (int dim = 0; dim < 3; ++dim) {
    Sizes mnk = {2, 2, kShort};
    if (dim == 2)
      mnk = {kShort, 2, 2};
    mnk[dim] = kLong;
    Problem p{{}, {mnk[0]}, {mnk[1]}, {mnk[2]}, {0, 1}, {1, 0}};
    Tensor lhs = uniform(random, GetParam(), {mnk[0], mnk[2]}, -1, 1),
           rhs = uniform(random, GetParam(), {mnk[2], mnk[1]}, -1, 1);
    const std::vector<double> expected = naive(p, lhs, rhs);
    for (DType dtype : {GetParam(), DType::F32}) {
      Tensor out(TensorDesc::contiguous(dtype, {mnk[0], mnk[1]}));
      KernelSpec spec{"matmul", {lhs.desc, rhs.desc}, {out.desc}, attributesOf(p), 2};
      EXPECT_LT(onednn.workspaceBytes(spec), 40u << 20) << "the copies are not cut";
      runOnce(onednn, "matmul", attributesOf(p), {&lhs, &rhs}, {&out}, 2);
      expectNear(out, expected, dtype == DType::F32 ? 1e-5 : roundingOf(dtype), "blocks");
    }
  }
}

TEST_P(NarrowMatmul, OnednnLinear) {
  Random random(9);
  for (const KernelProvider *onednn : onednnLevels())
    for (bool isTransposed : {false, true}) {
      Tensor x = uniform(random, GetParam(), {3, 7, 12});
      Tensor weight = uniform(random, GetParam(), isTransposed ? Sizes{10, 12} : Sizes{12, 10});
      Tensor bias = uniform(random, GetParam(), {10});
      Tensor out(TensorDesc::contiguous(GetParam(), {3, 7, 10}));
      std::vector<double> expected;
      for (int64_t row = 0; row < 21; ++row)
        for (int64_t j = 0; j < 10; ++j) {
          double sum = bias.get(j);
          for (int64_t k = 0; k < 12; ++k)
            sum += x.get(row * 12 + k) * weight.get(isTransposed ? j * 12 + k : k * 10 + j);
          expected.push_back(sum);
        }
      runOnce(*onednn, "linear", {{"transpose_weight", isTransposed}}, {&x, &weight, &bias}, {&out},
              2);
      expectNear(out, expected, roundingOf(GetParam()), "linear");
    }
}

/// With `accumulate` the product is added to the last input, which stays as it is unless the result
/// lies there.
TEST(Matmul, OnednnAccumulates) {
  Random random(10);
  const Problem p{{}, {20}, {12}, {900}, {1, 0}, {1, 0}};
  Attributes accumulate = attributesOf(p);
  accumulate.set("accumulate", true);
  for (DType dtype : {DType::F32, DType::BF16})
    for (const KernelProvider *onednn : onednnLevels()) {
      Tensor lhs = uniform(random, dtype, {900, 20}), rhs = uniform(random, dtype, {900, 12});
      Tensor sum = uniform(random, DType::F32, {20, 12}), out(sum.desc);
      std::vector<double> expected = naive(p, lhs, rhs);
      for (size_t i = 0; i < expected.size(); ++i)
        expected[i] += sum.get(static_cast<int64_t>(i));
      const std::vector<char> before = sum.bytes;
      runOnce(*onednn, "matmul", accumulate, {&lhs, &rhs, &sum}, {&out}, 2);
      expectNear(out, expected, 2e-6, "accumulated apart");
      EXPECT_TRUE(sum.bytes == before);
      runOnce(*onednn, "matmul", accumulate, {&lhs, &rhs, &sum}, {&sum}, 2);
      EXPECT_TRUE(sum.bytes == out.bytes) << "accumulated in place";
    }

  // Blocks of a contracted dimension are all added to what is there; a bias is added once.
  constexpr int64_t kLong = 140000;
  Tensor x = uniform(random, DType::BF16, {4, kLong}, -1, 1),
         weight = uniform(random, DType::BF16, {kLong, 8}, -1, 1),
         bias = uniform(random, DType::BF16, {8}), sum = uniform(random, DType::F32, {4, 8});
  std::vector<double> expected;
  for (int64_t row = 0; row < 4; ++row)
    for (int64_t j = 0; j < 8; ++j) {
      double value = sum.get(row * 8 + j) + bias.get(j);
      for (int64_t k = 0; k < kLong; ++k)
        value += x.get(row * kLong + k) * weight.get(k * 8 + j);
      expected.push_back(value);
    }
  runOnce(onednnProvider("x86-64-v3"), "linear", {{"accumulate", true}}, {&x, &weight, &bias, &sum},
          {&sum}, 2);
  expectNear(sum, expected, 1e-5, "linear with bias, accumulated");
}

TEST(Matmul, FaultsOfAccumulationAreNamed) {
  const KernelProvider &onednn = *findProvider("onednn");
  auto f32 = [](Sizes shape) { return TensorDesc::contiguous(DType::F32, std::move(shape)); };
  KernelSpec spec{
      "linear", {f32({3, 4}), f32({4, 6}), f32({3, 6})}, {f32({3, 6})}, {{"accumulate", true}}, 1};
  EXPECT_EQ(onednn.whyNot(spec), std::nullopt);
  spec.inputs[2].strides = {1, 3};
  EXPECT_EQ(onednn.whyNot(spec), "the accumulator f32[3x6] and the result f32[3x6] are not "
                                 "contiguous and of one type");
  spec.name = "convolution";
  spec.inputs[2] = spec.outputs[0];
  EXPECT_EQ(onednn.whyNot(spec), "convolution does not accumulate");
  spec.inputs.clear();
  EXPECT_EQ(onednn.whyNot(spec),
            "0 inputs and 1 results, expected an input to add to and one result");
}

TEST(Matmul, FaultsAreNamed) {
  const KernelProvider &reference = *findProvider("reference");
  const KernelProvider &onednn = *findProvider("onednn");
  KernelSpec spec{
      "matmul",
      {TensorDesc::contiguous(DType::F32, {3, 4}), TensorDesc::contiguous(DType::F32, {5, 6})},
      {TensorDesc::contiguous(DType::F32, {3, 6})},
      {{"lhs_batch", Sizes{}},
       {"rhs_batch", Sizes{}},
       {"lhs_contract", Sizes{1}},
       {"rhs_contract", Sizes{0}}},
      1};
  EXPECT_EQ(reference.whyNot(spec),
            "dimension 1 of f32[3x4] is paired with dimension 0 of f32[5x6]");
  EXPECT_THROW(reference.prepare(spec), std::invalid_argument);
  spec.inputs[1].shape = {4, 6};
  EXPECT_EQ(reference.whyNot(spec), std::nullopt);
  spec.inputs[0].strides = {8, 2}; // every second column: no fast way
  EXPECT_TRUE(onednn.whyNot(spec));
  spec.attributes.set("lhs_contract", Sizes{7});
  EXPECT_TRUE(reference.whyNot(spec));
  spec.attributes = {};
  EXPECT_EQ(reference.whyNot(spec), "attribute lhs_batch is missing, expected a list of integers");
}

} // namespace
