//===- IndexingTest.cpp - gather, scatter_add and embedding of provider "cuda" ----------------===//

#include "test/unit/cuda/PrimitiveTesting.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;

namespace {

constexpr int kCases = 40;
const std::vector<DType> kAll = {DType::F32, DType::F64, DType::BF16, DType::F16,
                                 DType::I64, DType::I32, DType::I8,   DType::I1};

struct IndexingTest : PrimitiveTest {
  /// A shape that fits into `whole` but along `dim`.
  Integers part(const Integers &whole, int64_t dim) {
    Integers sizes = whole;
    for (int64_t i = 0; i < static_cast<int64_t>(whole.size()); ++i)
      sizes[static_cast<size_t>(i)] =
          i == dim ? number(0, 6) : number(0, whole[static_cast<size_t>(i)]);
    return sizes;
  }
  DType indexType() { return maybe() ? DType::I64 : DType::I32; }
};

TEST_F(IndexingTest, Gather) {
  for (DType type : kAll)
    for (int i = 0; i < kCases; ++i) {
      TensorDesc x = strided(type, shape(number(1, 4)), true);
      int64_t dim = number(0, x.rank() - 1), size = x.shape[static_cast<size_t>(dim)];
      TensorDesc index = strided(indexType(), part(x.shape, dim), true);
      check({"gather", {x, index}, {strided(type, index.shape, false)}, {{"dim", dim}}},
            {elements(x), indices(index, -1, size)});
    }
}

TEST_F(IndexingTest, ScatterAdd) {
  for (DType type : {DType::F32, DType::F64})
    for (int i = 0; i < 2 * kCases; ++i) {
      TensorDesc out = strided(type, shape(number(1, 4)), false);
      int64_t dim = number(0, out.rank() - 1), size = out.shape[static_cast<size_t>(dim)];
      TensorDesc index = strided(indexType(), part(out.shape, dim), true);
      TensorDesc updates = strided(type, index.shape, true);
      check({"scatter_add", {updates, index}, {out}, {{"dim", dim}}},
            {elements(updates, number(0, 3) == 0), indices(index, -1, size)});
    }
}

TEST_F(IndexingTest, Embedding) {
  for (DType type : kAll)
    for (int i = 0; i < kCases; ++i) {
      // Rows of whole packs, of smaller units, of strided elements.
      Integers row = maybe() ? Integers{oneOf<int64_t>({1, 3, 6, 16, 64})} : shape(number(0, 2), 5);
      Integers table = row, ids = shape(number(0, 3), 6), out = ids;
      int64_t rows = number(0, 9);
      table.insert(table.begin(), rows);
      out.insert(out.end(), row.begin(), row.end());
      bool isDense = maybe();
      auto window = [&](const Integers &sizes, bool isInput) {
        return isDense ? dense(type, sizes) : strided(type, sizes, isInput);
      };
      KernelSpec spec{"embedding",
                      {window(table, true), strided(indexType(), ids, true)},
                      {window(out, false)},
                      {}};
      std::vector<Bytes> inputs = {elements(spec.inputs[0]), {}};
      if (maybe()) {
        int64_t first = number(0, 5), whole = first + rows + number(0, 5);
        spec.attributes.set("global_rows", whole);
        spec.inputs.push_back(dense(DType::I64, {}));
        inputs[1] = indices(spec.inputs[1], -1, whole);
        inputs.push_back(scalar(first));
      } else {
        inputs[1] = indices(spec.inputs[1], -1, rows);
      }
      check(spec, inputs);
    }
}

} // namespace
