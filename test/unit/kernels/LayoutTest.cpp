//===- LayoutTest.cpp - reductions, layout and indexing against plain loops -------------------===//

#include "TestTensors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void expectExactly(const Tensor &found, const std::vector<double> &expected,
                   const std::string &what) {
  ASSERT_EQ(found.desc.elements(), static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ(found.get(static_cast<int64_t>(i)), expected[i]) << what << " element " << i;
}

void checkReduce(Random &random, DType dtype, const TensorDesc &desc, const Sizes &dims,
                 bool keepDims) {
  Tensor x = uniform(random, desc, -5, 5);
  Sizes kept, shape;
  for (int64_t dim = 0; dim < desc.rank(); ++dim) {
    const bool isReduced = std::find(dims.begin(), dims.end(), dim) != dims.end();
    kept.push_back(isReduced ? 1 : desc.shape[dim]);
    if (!isReduced || keepDims)
      shape.push_back(kept.back());
  }
  int64_t results = 1;
  for (int64_t size : kept)
    results *= size;
  std::vector<double> sum(results, 0), largest(results, -1e300), smallest(results, 1e300);
  for (int64_t i = 0; i < desc.elements(); ++i) {
    Sizes index = unravel(i, desc.shape);
    for (int64_t dim : dims)
      index[dim] = 0;
    const int64_t at = ravel(index, kept);
    sum[at] += x.get(i);
    largest[at] = std::max(largest[at], x.get(i));
    smallest[at] = std::min(smallest[at], x.get(i));
  }
  const Attributes attributes{{"dims", dims}, {"keep_dims", keepDims}};
  Tensor y(randomDesc(random, dtype, shape, false));
  runThreads("reference", "reduce_sum", attributes, {&x}, {&y});
  if (dtype == DType::I8)
    for (double &value : sum)
      value = static_cast<double>(static_cast<int8_t>(static_cast<int64_t>(value)));
  expectNear(y, sum, dtype == DType::F32 ? 2e-7 : 1e-13, "reduce_sum");
  runThreads("reference", "reduce_max", attributes, {&x}, {&y});
  expectExactly(y, largest, "reduce_max");
  runThreads("reference", "reduce_min", attributes, {&x}, {&y});
  expectExactly(y, smallest, "reduce_min");
  if (dtype != DType::F32 && dtype != DType::F64)
    return;
  std::vector<double> logSumExp(results, 0);
  for (int64_t i = 0; i < desc.elements(); ++i) {
    Sizes index = unravel(i, desc.shape);
    for (int64_t dim : dims)
      index[dim] = 0;
    const int64_t at = ravel(index, kept);
    logSumExp[at] += std::exp(x.get(i) - largest[at]);
  }
  for (int64_t i = 0; i < results; ++i)
    logSumExp[i] = largest[i] + std::log(logSumExp[i]);
  runThreads("reference", "reduce_log_sum_exp", attributes, {&x}, {&y});
  expectNear(y, logSumExp, dtype == DType::F32 ? 1e-6 : 1e-13, "reduce_log_sum_exp");
}

TEST(Reduce, OfAnyDimensionsAndStrides) {
  Random random(1);
  for (int round = 0; round < 60; ++round)
    for (DType dtype : {DType::F32, DType::F64, DType::I64, DType::I32, DType::I8}) {
      const Sizes shape = randomShape(random, draw(random, 0, 4), 8);
      Sizes dims;
      for (int64_t dim = 0; dim < static_cast<int64_t>(shape.size()); ++dim)
        if (draw(random, 0, 1))
          dims.push_back(dim);
      checkReduce(random, dtype, randomDesc(random, dtype, shape, true), dims, draw(random, 0, 1));
    }
}

TEST(Reduce, OfManyElements) {
  Random random(2);
  for (DType dtype : {DType::F32, DType::F64}) {
    checkReduce(random, dtype, TensorDesc::contiguous(dtype, {300, 700}), {0}, false);
    checkReduce(random, dtype, TensorDesc::contiguous(dtype, {300, 700}), {1}, true);
    checkReduce(random, dtype, TensorDesc::contiguous(dtype, {300, 700}), {0, 1}, false);
    checkReduce(random, dtype, TensorDesc::contiguous(dtype, {20, 30, 400}), {0, 2}, false);
  }
}

TEST(Reduce, NaNAndNothing) {
  Tensor x(TensorDesc::contiguous(DType::F32, {40})), y(TensorDesc::contiguous(DType::F32, {}));
  x.set(17, kNaN);
  for (const char *name : {"reduce_sum", "reduce_max", "reduce_min", "reduce_log_sum_exp"}) {
    runThreads("reference", name, {{"dims", Sizes{0}}}, {&x}, {&y});
    EXPECT_TRUE(std::isnan(y.get(0))) << name;
  }
  Tensor empty(TensorDesc::contiguous(DType::F32, {2, 0})),
      rows(TensorDesc::contiguous(DType::F32, {2}));
  runThreads("reference", "reduce_sum", {{"dims", Sizes{1}}}, {&empty}, {&rows});
  expectExactly(rows, {0, 0}, "sum of nothing");
  runThreads("reference", "reduce_max", {{"dims", Sizes{1}}}, {&empty}, {&rows});
  EXPECT_EQ(rows.get(0), -std::numeric_limits<double>::infinity());
  runThreads("reference", "reduce_log_sum_exp", {{"dims", Sizes{1}}}, {&empty}, {&rows});
  EXPECT_EQ(rows.get(0), -std::numeric_limits<double>::infinity());
}

TEST(Reduce, LogSumExpOfInfinities) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Tensor x(TensorDesc::contiguous(DType::F32, {3, 20})), y(TensorDesc::contiguous(DType::F32, {3}));
  for (int64_t i = 0; i < 20; ++i)
    x.set(i, -kInfinity);
  x.set(25, kInfinity);
  x.set(45, -kInfinity);
  runThreads("reference", "reduce_log_sum_exp", {{"dims", Sizes{1}}}, {&x}, {&y});
  EXPECT_EQ(y.get(0), -kInfinity);
  EXPECT_EQ(y.get(1), kInfinity);
  EXPECT_NEAR(y.get(2), std::log(19.0), 1e-6);
}

const DType kMoved[] = {DType::F32, DType::F64, DType::I64, DType::I8, DType::I1};

TEST(Layout, CopyReshapeTransposeBroadcastSlice) {
  Random random(3);
  for (int round = 0; round < 80; ++round)
    for (DType dtype : kMoved) {
      const Sizes shape = randomShape(random, draw(random, 0, 4), 7);
      const auto rank = static_cast<int64_t>(shape.size());
      Tensor x = uniform(random, randomDesc(random, dtype, shape, true), -9, 9);
      const std::vector<double> values = x.values();
      Tensor same(randomDesc(random, dtype, shape, false));
      runThreads("reference", "copy", {}, {&x}, {&same});
      expectExactly(same, values, "copy");

      // Split or merge: factors of the sizes, regrouped at random.
      Sizes factors, regrouped = {1};
      for (int64_t size : shape)
        for (int64_t f = 2; size > 1;)
          size % f == 0 ? (factors.push_back(f), size /= f) : ++f;
      std::shuffle(factors.begin(), factors.end(), random);
      for (int64_t f : factors)
        draw(random, 0, 1) ? regrouped.push_back(f) : (void)(regrouped.back() *= f);
      Tensor reshaped(randomDesc(random, dtype, regrouped, false));
      runThreads("reference", "reshape", {}, {&x}, {&reshaped});
      expectExactly(reshaped, values, "reshape");

      Sizes permutation(rank), permuted(rank);
      for (int64_t i = 0; i < rank; ++i)
        permutation[i] = i;
      std::shuffle(permutation.begin(), permutation.end(), random);
      for (int64_t i = 0; i < rank; ++i)
        permuted[i] = shape[permutation[i]];
      Tensor transposed(randomDesc(random, dtype, permuted, false));
      runThreads("reference", "transpose", {{"permutation", permutation}}, {&x}, {&transposed});
      for (int64_t i = 0; i < x.desc.elements(); ++i) {
        const Sizes at = unravel(i, shape);
        Sizes to(rank);
        for (int64_t d = 0; d < rank; ++d)
          to[d] = at[permutation[d]];
        ASSERT_EQ(transposed.get(ravel(to, permuted)), values[i]);
      }

      Sizes starts, limits, strides, sliced;
      for (int64_t size : shape) {
        starts.push_back(draw(random, 0, size - 1));
        limits.push_back(draw(random, starts.back() + 1, size));
        strides.push_back(draw(random, 1, 3));
        sliced.push_back((limits.back() - starts.back() + strides.back() - 1) / strides.back());
      }
      Tensor slice(randomDesc(random, dtype, sliced, false));
      runThreads("reference", "slice",
                 {{"starts", starts}, {"limits", limits}, {"strides", strides}}, {&x}, {&slice});
      for (int64_t i = 0; i < slice.desc.elements(); ++i) {
        Sizes at = unravel(i, sliced);
        for (int64_t d = 0; d < rank; ++d)
          at[d] = starts[d] + at[d] * strides[d];
        ASSERT_EQ(slice.get(i), values[ravel(at, shape)]);
      }

      Sizes dims, wide;
      for (int64_t d = 0; d < rank; ++d) {
        if (draw(random, 0, 1))
          wide.push_back(draw(random, 1, 3));
        dims.push_back(static_cast<int64_t>(wide.size()));
        wide.push_back(shape[d] == 1 ? draw(random, 1, 4) : shape[d]);
      }
      Tensor broadcast(randomDesc(random, dtype, wide, false));
      runThreads("reference", "broadcast", {{"dims", dims}}, {&x}, {&broadcast});
      for (int64_t i = 0; i < broadcast.desc.elements(); ++i) {
        const Sizes at = unravel(i, wide);
        Sizes from(rank);
        for (int64_t d = 0; d < rank; ++d)
          from[d] = shape[d] == 1 ? 0 : at[dims[d]];
        ASSERT_EQ(broadcast.get(i), values[ravel(from, shape)]);
      }
    }
}

TEST(Layout, PadAndConcat) {
  Random random(4);
  for (int round = 0; round < 40; ++round)
    for (DType dtype : kMoved) {
      const Sizes shape = randomShape(random, draw(random, 1, 3), 6);
      const auto rank = static_cast<int64_t>(shape.size());
      Tensor x = uniform(random, randomDesc(random, dtype, shape, true), -9, 9);
      Tensor value = uniform(random, dtype, {}, -9, 9);
      Sizes low, high, interior, padded;
      for (int64_t size : shape) {
        low.push_back(draw(random, 0, 2));
        high.push_back(draw(random, 0, 2));
        interior.push_back(draw(random, 0, 2));
        padded.push_back(low.back() + size + (size - 1) * interior.back() + high.back());
      }
      Tensor y(randomDesc(random, dtype, padded, false));
      runThreads("reference", "pad", {{"low", low}, {"high", high}, {"interior", interior}},
                 {&x, &value}, {&y});
      std::vector<double> expected(y.desc.elements(), value.get(0));
      for (int64_t i = 0; i < x.desc.elements(); ++i) {
        Sizes at = unravel(i, shape);
        for (int64_t d = 0; d < rank; ++d)
          at[d] = low[d] + at[d] * (interior[d] + 1);
        expected[ravel(at, padded)] = x.get(i);
      }
      expectExactly(y, expected, "pad");

      const int64_t dim = draw(random, 0, rank - 1);
      std::vector<Tensor> parts;
      Sizes whole = shape;
      whole[dim] = 0;
      for (int i = 0; i < 3; ++i) {
        Sizes part = shape;
        part[dim] = draw(random, 0, 3);
        whole[dim] += part[dim];
        parts.push_back(uniform(random, randomDesc(random, dtype, part, false), -9, 9));
      }
      Tensor joined(randomDesc(random, dtype, whole, false));
      runThreads("reference", "concat", {{"dim", dim}}, {&parts[0], &parts[1], &parts[2]},
                 {&joined});
      for (int64_t i = 0; i < joined.desc.elements(); ++i) {
        Sizes at = unravel(i, whole);
        int part = 0;
        while (at[dim] >= parts[part].desc.shape[dim])
          at[dim] -= parts[part++].desc.shape[dim];
        ASSERT_EQ(joined.get(i), parts[part].get(ravel(at, parts[part].desc.shape)));
      }
    }
}

TEST(Layout, IotaAndFill) {
  Random random(5);
  for (DType dtype : {DType::F32, DType::F64, DType::I64, DType::I32, DType::I8}) {
    const Sizes shape = {3, 5, 2};
    for (int64_t dim = 0; dim < 3; ++dim) {
      Tensor y(randomDesc(random, dtype, shape, false));
      runThreads("reference", "iota", {{"dim", dim}}, {}, {&y});
      for (int64_t i = 0; i < 30; ++i)
        ASSERT_EQ(y.get(i), static_cast<double>(unravel(i, shape)[dim]));
    }
    Tensor y(randomDesc(random, dtype, shape, false));
    runThreads("reference", "fill", {{"value", 7.0}}, {}, {&y});
    expectExactly(y, std::vector<double>(30, 7), "fill");
  }
}

TEST(Indexing, GatherAndItsAdjoint) {
  Random random(6);
  for (int round = 0; round < 60; ++round)
    for (DType index : {DType::I64, DType::I32}) {
      const Sizes shape = randomShape(random, draw(random, 1, 3), 7);
      const int64_t dim = draw(random, 0, static_cast<int64_t>(shape.size()) - 1);
      Sizes small = shape;
      for (int64_t &size : small)
        size = draw(random, 1, size);
      small[dim] = draw(random, 1, 9);
      Tensor x = uniform(random, randomDesc(random, DType::F32, shape, true));
      Tensor ids(randomDesc(random, index, small, false)),
          y(randomDesc(random, DType::F32, small, false));
      for (int64_t i = 0; i < ids.desc.elements(); ++i)
        ids.set(i, static_cast<double>(draw(random, -1, shape[dim]))); // both ends lie outside
      runThreads("reference", "gather", {{"dim", dim}}, {&x, &ids}, {&y});
      std::vector<double> expected, sums(x.desc.elements(), 0);
      Tensor updates = uniform(random, randomDesc(random, DType::F32, small, true));
      for (int64_t i = 0; i < ids.desc.elements(); ++i) {
        Sizes at = unravel(i, small);
        at[dim] = static_cast<int64_t>(ids.get(i));
        const bool exists = at[dim] >= 0 && at[dim] < shape[dim];
        expected.push_back(exists ? x.get(ravel(at, shape)) : kNaN);
        if (exists)
          sums[ravel(at, shape)] += updates.get(i);
      }
      expectNear(y, expected, 0, "gather");
      Tensor scattered(randomDesc(random, DType::F32, shape, false));
      runThreads("reference", "scatter_add", {{"dim", dim}}, {&updates, &ids}, {&scattered});
      expectNear(scattered, sums, 1e-6, "scatter_add");
    }
}

TEST(Indexing, EmbeddingAndItsGradient) {
  Random random(7);
  for (int round = 0; round < 40; ++round)
    for (DType dtype : {DType::F32, DType::F64})
      for (DType index : {DType::I64, DType::I32}) {
        const int64_t rows = draw(random, 1, 9);
        const Sizes places = randomShape(random, draw(random, 0, 2), 6),
                    row = randomShape(random, draw(random, 0, 2), 90);
        Sizes tableShape = {rows}, shape = places;
        tableShape.insert(tableShape.end(), row.begin(), row.end());
        shape.insert(shape.end(), row.begin(), row.end());
        Tensor table = uniform(random, randomDesc(random, dtype, tableShape, false));
        Tensor ids(randomDesc(random, index, places, false)),
            y(randomDesc(random, dtype, shape, false));
        for (int64_t i = 0; i < ids.desc.elements(); ++i)
          ids.set(i, static_cast<double>(draw(random, -1, rows)));
        runThreads("reference", "embedding", {}, {&table, &ids}, {&y});
        Tensor dy = uniform(random, randomDesc(random, dtype, shape, true));
        std::vector<double> expected, sums(table.desc.elements(), 0);
        const int64_t width = table.desc.elements() / rows;
        for (int64_t i = 0; i < y.desc.elements(); ++i) {
          const auto id = static_cast<int64_t>(ids.get(i / width));
          const bool exists = id >= 0 && id < rows;
          expected.push_back(exists ? table.get(id * width + i % width) : kNaN);
          if (exists)
            sums[id * width + i % width] += dy.get(i);
        }
        expectNear(y, expected, 0, "embedding");
        Tensor gradient(randomDesc(random, dtype, tableShape, false));
        runThreads("reference", "embedding_grad", {{"rows", rows}}, {&dy, &ids}, {&gradient});
        expectNear(gradient, sums, 2e-6, "embedding_grad");

        Tensor before = uniform(random, dtype, tableShape),
               added(TensorDesc::contiguous(dtype, tableShape));
        for (size_t i = 0; i < sums.size(); ++i)
          sums[i] += before.get(static_cast<int64_t>(i));
        runThreads("reference", "embedding_grad", {{"rows", rows}, {"accumulate", true}},
                   {&dy, &ids, &before}, {&added});
        expectNear(added, sums, 2e-6, "embedding_grad, accumulated");
      }
}

TEST(Layout, FaultsAreNamed) {
  const KernelProvider &reference = *findProvider("reference");
  auto f32 = [](Sizes shape) { return TensorDesc::contiguous(DType::F32, std::move(shape)); };
  EXPECT_EQ(reference.whyNot({"reshape", {f32({3})}, {f32({4})}, {}, 1}),
            "reshape of f32[3] cannot give f32[4]: the numbers of elements differ");
  EXPECT_EQ(reference.whyNot(
                {"transpose", {f32({3, 4})}, {f32({4, 3})}, {{"permutation", Sizes{1, 1}}}, 1}),
            "[1, 1] is not a permutation of 2 dimensions");
  EXPECT_EQ(reference.whyNot({"slice",
                              {f32({3})},
                              {f32({3})},
                              {{"starts", Sizes{1}}, {"limits", Sizes{4}}, {"strides", Sizes{1}}},
                              1}),
            "[1:4:1] is no slice of dimension 0 of f32[3]");
  EXPECT_EQ(reference.whyNot({"reduce_sum", {f32({3})}, {f32({})}, {{"dims", Sizes{1}}}, 1}),
            "dims names dimension 1, which f32[3] does not have or which it named before");
  EXPECT_TRUE(
      reference.whyNot({"concat", {f32({3}), f32({2})}, {f32({4})}, {{"dim", int64_t{0}}}, 1}));
  EXPECT_TRUE(reference.whyNot({"broadcast", {f32({3})}, {f32({4})}, {{"dims", Sizes{0}}}, 1}));
  EXPECT_TRUE(reference.whyNot({"embedding", {f32({3, 2}), f32({4})}, {f32({4, 2})}, {}, 1}));
}

} // namespace
