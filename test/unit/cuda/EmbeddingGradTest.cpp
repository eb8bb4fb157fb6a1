//===- EmbeddingGradTest.cpp - embedding_grad of provider "cuda" ------------------------------===//
//
// Held to the bits of the reference, which adds positions in ascending order.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/cuda/PrimitiveTesting.h"

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::HasSubstr;

namespace {

struct Gradient {
  KernelSpec spec;
  std::vector<Bytes> inputs;
};

struct EmbeddingGradTest : PrimitiveTest {
  /// With ids of [-1, most], and a part of the table that begins at `first` if that is not
  /// negative.
  Gradient gradient(const TensorDesc &dy, const TensorDesc &ids, const TensorDesc &out,
                    int64_t most, int64_t first = -1, bool adds = false) {
    Gradient all;
    all.spec = {"embedding_grad", {dy, ids}, {out}, {{"rows", out.shape[0]}}};
    all.inputs = {elements(dy, number(0, 3) == 0), indices(ids, -1, most)};
    if (first >= 0) {
      all.spec.inputs.push_back(dense(DType::I64, {}));
      all.inputs.push_back(scalar(first));
    }
    if (adds) {
      all.spec.attributes.set("accumulate", true);
      all.spec.inputs.push_back(out);
      all.inputs.push_back(elements(out, false));
    }
    return all;
  }

  /// `spec` and `inputs` by both providers, apart and, if it accumulates, in place, in several
  /// orders of threads.
  void checkAll(const Gradient &all, int seeds = 1) {
    std::vector<Bytes> expected = run(referenceProvider(), all.spec, all.inputs);
    bool adds = all.spec.attributes.flag("accumulate");
    for (int seed = 0; seed < seeds; ++seed) {
      expectEqual(all.spec, run(cuda(), all.spec, all.inputs), expected, 0);
      if (adds)
        expectEqual(all.spec, run(cuda(), all.spec, all.inputs, {{all.inputs.size() - 1, 0}}),
                    expected, 0);
    }
  }
};

TEST_F(EmbeddingGradTest, SmallTensors) {
  for (DType type : {DType::F32, DType::F64})
    for (int i = 0; i < 80; ++i) {
      Integers row =
          maybe() ? Integers{oneOf<int64_t>({1, 4, 7, 64, 132})} : shape(number(0, 2), 5);
      Integers ids = shape(number(0, 3), 6), dy = ids, out = row;
      int64_t rows = number(0, 12);
      dy.insert(dy.end(), row.begin(), row.end());
      out.insert(out.begin(), rows);
      bool adds = maybe();
      bool isDense = adds || maybe();
      auto window = [&](const Integers &sizes, bool isInput) {
        return isDense ? dense(type, sizes) : strided(type, sizes, isInput);
      };
      TensorDesc index = strided(maybe() ? DType::I64 : DType::I32, ids, true);
      int64_t first = maybe() ? number(0, 5) : -1;
      checkAll(gradient(window(dy, true), index, window(out, false),
                        std::max<int64_t>(first, 0) + rows, first, adds));
    }
}

/// Several tiles of positions and passes of the sort, few and many positions a row.
TEST_F(EmbeddingGradTest, ManyPositions) {
  struct Case {
    int64_t positions, rows, columns, most;
  };
  for (const Case &each :
       {Case{1024, 100, 8, 100}, Case{1025, 600, 4, 600}, Case{3000, 70000, 1, 70000},
        Case{2500, 300000, 1, 299999}, Case{4097, 1000, 5, 3}, Case{2048, 511, 12, 0}})
    for (bool adds : {false, true}) {
      TensorDesc dy = dense(DType::F32, {each.positions, each.columns}),
                 ids = dense(DType::I64, {each.positions}),
                 out = dense(DType::F32, {each.rows, each.columns});
      checkAll(gradient(dy, ids, out, each.most, -1, adds));
    }
}

TEST_F(EmbeddingGradTest, NoOrderOfThreadsChangesIt) {
  TensorDesc dy = dense(DType::F32, {2, 700, 32}), ids = dense(DType::I32, {2, 700}),
             out = dense(DType::F32, {90, 32});
  checkAll(gradient(dy, ids, out, 90, 3, true), 8);
}

/// Sums of whole numbers are exact in any order: the bits are those of the reference.
TEST_F(EmbeddingGradTest, ByAtomics) {
  auto whole = [&](const TensorDesc &desc) {
    Bytes bytes(extent(desc));
    for (size_t i = 0; i < bytes.size(); i += sizeOf(desc.dtype)) {
      auto value = static_cast<double>(number(-9, 9));
      if (desc.dtype == DType::F64)
        std::memcpy(&bytes[i], &value, sizeof(value));
      else if (auto narrow = static_cast<float>(value))
        std::memcpy(&bytes[i], &narrow, sizeof(narrow));
    }
    return bytes;
  };
  for (DType type : {DType::F32, DType::F64})
    for (int i = 0; i < 40; ++i) {
      Integers ids = shape(number(0, 3), 6), row = shape(number(0, 2), 40), dy = ids, out = row;
      int64_t rows = number(0, 12), first = maybe() ? number(0, 5) : -1;
      dy.insert(dy.end(), row.begin(), row.end());
      out.insert(out.begin(), rows);
      bool adds = maybe(), isDense = adds || maybe();
      auto window = [&](const Integers &sizes, bool isInput) {
        return isDense ? dense(type, sizes) : strided(type, sizes, isInput);
      };
      Gradient all = gradient(window(dy, true), strided(DType::I64, ids, true), window(out, false),
                              std::max<int64_t>(first, 0) + rows, first, adds);
      all.spec.attributes.set("atomic", true);
      all.inputs.front() = whole(all.spec.inputs.front());
      if (adds)
        all.inputs.back() = whole(all.spec.inputs.back());
      checkAll(all, 2);
    }
}

TEST_F(EmbeddingGradTest, NothingToAdd) {
  TensorDesc out = dense(DType::F32, {5, 4});
  TensorDesc dy = dense(DType::F32, {0, 4}), ids = dense(DType::I64, {0});
  for (bool adds : {false, true})
    checkAll(gradient(dy, ids, out, 5, -1, adds));
}

TEST_F(EmbeddingGradTest, WorkspaceFollowsFromTheSpec) {
  KernelSpec spec{"embedding_grad",
                  {dense(DType::F32, {8, 1024, 768}), dense(DType::I64, {8, 1024})},
                  {dense(DType::F32, {50257, 768})},
                  {{"rows", int64_t{50257}}}};
  // Two passes over 8,192 rows and positions of 4 bytes, 256 digits of 8 tiles, a start a row.
  EXPECT_EQ(plannedCudaProvider().workspaceBytes(spec),
            4u * 4 * 8192 + 4 * 256 * 8 + (4 * 50258 + 63) / 64 * 64);
  spec.attributes.set("atomic", true);
  EXPECT_EQ(plannedCudaProvider().workspaceBytes(spec), 0u);
  spec.attributes.set("atomic", false);
  spec.inputs = {{DType::F32, {int64_t{1} << 31, 768}, {0, 0}},
                 {DType::I64, {int64_t{1} << 31}, {0}}};
  EXPECT_THAT(*plannedCudaProvider().whyNot(spec), HasSubstr("2147483648 positions"));
}

} // namespace
