//===- PrimitivesTest.cpp - elementwise, layout and reductions of provider "cuda" -------------===//

#include "test/unit/cuda/PrimitiveTesting.h"

#include <algorithm>

using namespace deepshard::runtime;
using namespace deepshard::runtime::test;
using testing::HasSubstr;

namespace {

constexpr int kCases = 12;
const std::vector<DType> kFloats = {DType::F32, DType::F64, DType::BF16, DType::F16};
const std::vector<DType> kNumbers = {DType::F32, DType::F64, DType::BF16, DType::F16,
                                     DType::I64, DType::I32, DType::I8};
const std::vector<DType> kAll = {DType::F32, DType::F64, DType::BF16, DType::F16,
                                 DType::I64, DType::I32, DType::I8,   DType::I1};

struct PrimitivesTest : PrimitiveTest {
  /// Random operands of these types, of one shape.
  void checkElementwise(KernelSpec spec, const std::vector<DType> &inputs, DType output) {
    Integers sizes = shape(number(0, 4));
    std::vector<Bytes> operands;
    for (DType type : inputs) {
      spec.inputs.push_back(strided(type, sizes, true));
      operands.push_back(elements(spec.inputs.back()));
    }
    spec.outputs = {strided(output, sizes, false)};
    check(spec, operands);
  }
};

TEST_F(PrimitivesTest, Unary) {
  for (const char *name : {"exp", "log", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tanh", "erf",
                           "ndtr", "sigmoid", "floor"})
    for (DType type : kFloats)
      for (int i = 0; i < kCases; ++i)
        checkElementwise({name, {}, {}, {}}, {type}, type);
  for (const char *name : {"neg", "abs", "sign"})
    for (DType type : kNumbers)
      for (int i = 0; i < kCases; ++i)
        checkElementwise({name, {}, {}, {}}, {type}, type);
  for (int i = 0; i < kCases; ++i)
    checkElementwise({"not", {}, {}, {}}, {DType::I1}, DType::I1);
}

TEST_F(PrimitivesTest, Binary) {
  for (const char *name : {"add", "sub", "mul", "div", "remainder", "pow", "maximum", "minimum"})
    for (DType type : kNumbers) {
      bool isNarrow = type == DType::BF16 || type == DType::F16;
      for (int i = 0; i < kCases && !(isNarrow && std::string(name) == "pow"); ++i)
        checkElementwise({name, {}, {}, {}}, {type, type}, type);
    }
  for (const char *name : {"and", "or", "xor"})
    for (int i = 0; i < kCases; ++i)
      checkElementwise({name, {}, {}, {}}, {DType::I1, DType::I1}, DType::I1);
}

TEST_F(PrimitivesTest, CompareAndSelect) {
  for (DType type : kAll) {
    for (const char *direction : {"eq", "ne", "lt", "le", "gt", "ge"})
      for (int i = 0; i < kCases; ++i)
        checkElementwise({"compare", {}, {}, {{"direction", std::string(direction)}}}, {type, type},
                         DType::I1);
    for (int i = 0; i < kCases; ++i)
      checkElementwise({"select", {}, {}, {}}, {DType::I1, type, type}, type);
  }
}

TEST_F(PrimitivesTest, Convert) {
  for (DType from : kAll)
    for (DType to : kAll)
      for (int i = 0; i < kCases; ++i)
        checkElementwise({"convert", {}, {}, {}}, {from}, to);
}

TEST_F(PrimitivesTest, Dropout) {
  for (DType type : {DType::F32, DType::F64})
    for (int i = 0; i < 3 * kCases; ++i) {
      KernelSpec spec{"dropout", {}, {}, {{"p", oneOf<double>({0.0, 0.1, 0.5, 1.0})}}};
      spec.attributes.set("id", number(0, 1000));
      Integers sizes = shape(number(0, 3), 40), whole = sizes, offsets;
      spec.inputs = {strided(type, sizes, true), dense(DType::I64, {3})};
      spec.outputs = {strided(type, sizes, false)};
      Bytes counter(24);
      int64_t counters[3] = {number(0, 1 << 30) << 20, number(0, 100), number(0, 3)};
      std::memcpy(counter.data(), counters, 24);
      std::vector<Bytes> inputs = {elements(spec.inputs[0]), counter};
      if (maybe()) {
        for (size_t dim = 0; dim < sizes.size(); ++dim) {
          offsets.push_back(number(0, 5));
          whole[dim] += offsets.back() + number(0, 5);
        }
        spec.attributes.set("global_shape", whole);
        spec.inputs.push_back(dense(DType::I64, {static_cast<int64_t>(sizes.size())}));
        inputs.emplace_back(offsets.size() * 8);
        if (!offsets.empty())
          std::memcpy(inputs.back().data(), offsets.data(), offsets.size() * 8);
      }
      check(spec, inputs);
    }
}

TEST_F(PrimitivesTest, CopyTransposeBroadcast) {
  for (DType type : kAll)
    for (int i = 0; i < kCases; ++i) {
      checkElementwise({"copy", {}, {}, {}}, {type}, type);
      int64_t rank = number(0, 5);
      TensorDesc in = strided(type, shape(rank, 5), true);
      Integers permutation(static_cast<size_t>(rank)), sizes;
      for (int64_t dim = 0; dim < rank; ++dim)
        permutation[static_cast<size_t>(dim)] = dim;
      std::shuffle(permutation.begin(), permutation.end(), random);
      for (int64_t dim : permutation)
        sizes.push_back(in.shape[static_cast<size_t>(dim)]);
      check({"transpose", {in}, {strided(type, sizes, false)}, {{"permutation", permutation}}},
            {elements(in)});
      Integers wide = in.shape;
      for (int64_t &size : wide)
        size = size == 1 ? number(0, 4) : size;
      wide.insert(wide.begin(), number(1, 3));
      check({"broadcast", {in}, {strided(type, wide, false)}, {}}, {elements(in)});
    }
}

TEST_F(PrimitivesTest, Reshape) {
  for (DType type : kAll)
    for (int i = 0; i < 4 * kCases; ++i) {
      Integers factors = {2, 3, 2, 5, 1, 2}, from, to;
      for (Integers *sizes : {&from, &to}) {
        std::shuffle(factors.begin(), factors.end(), random);
        for (int64_t factor : factors)
          if (sizes->empty() || maybe())
            sizes->push_back(factor);
          else
            sizes->back() *= factor;
      }
      TensorDesc in = strided(type, from, true);
      check({"reshape", {in}, {strided(type, to, false)}, {}}, {elements(in)});
    }
  TensorDesc one = dense(DType::F32, {});
  check({"reshape", {one}, {dense(DType::F32, {1, 1})}, {}}, {elements(one)});
}

TEST_F(PrimitivesTest, SlicePadConcat) {
  for (DType type : kAll)
    for (int i = 0; i < 2 * kCases; ++i) {
      int64_t rank = number(1, 4);
      TensorDesc in = strided(type, shape(rank), true);
      Integers starts, limits, strides, sizes, low, high, interior, padded;
      for (int64_t size : in.shape) {
        starts.push_back(number(0, size));
        limits.push_back(number(starts.back(), size));
        strides.push_back(number(1, 3));
        sizes.push_back((limits.back() - starts.back() + strides.back() - 1) / strides.back());
        low.push_back(number(0, 2));
        high.push_back(number(0, 2));
        interior.push_back(number(0, 2));
        padded.push_back(low.back() + size + std::max<int64_t>(size - 1, 0) * interior.back() +
                         high.back());
      }
      check({"slice",
             {in},
             {strided(type, sizes, false)},
             {{"starts", starts}, {"limits", limits}, {"strides", strides}}},
            {elements(in)});
      TensorDesc value = dense(type, {});
      check({"pad",
             {in, value},
             {strided(type, padded, false)},
             {{"low", low}, {"high", high}, {"interior", interior}}},
            {elements(in), elements(value)});
      int64_t dim = number(0, rank - 1);
      KernelSpec concat{"concat", {in}, {}, {{"dim", dim}}};
      std::vector<Bytes> parts = {elements(in)};
      Integers joined = in.shape;
      for (int64_t more = number(0, 2); more > 0; --more) {
        Integers part = in.shape;
        part[static_cast<size_t>(dim)] = number(0, 4);
        joined[static_cast<size_t>(dim)] += part[static_cast<size_t>(dim)];
        concat.inputs.push_back(strided(type, part, true));
        parts.push_back(elements(concat.inputs.back()));
      }
      concat.outputs = {strided(type, joined, false)};
      check(concat, parts);
    }
}

TEST_F(PrimitivesTest, Constants) {
  for (DType type : kAll)
    for (int i = 0; i < kCases; ++i) {
      TensorDesc out = strided(type, shape(number(1, 4)), false);
      check({"fill", {}, {out}, {{"value", oneOf<double>({0, 1, -2.5, 3.7})}}}, {});
      check({"fill", {}, {out}, {{"value", number(-100, 100)}}}, {});
      if (type != DType::BF16 && type != DType::F16 && type != DType::I1)
        check({"iota", {}, {out}, {{"dim", number(0, out.rank() - 1)}}}, {});
    }
}

/// The order of sums is the reference's, whatever the strides: rows, blocks and chunks.
TEST_F(PrimitivesTest, Reductions) {
  struct Reduction {
    const char *name;
    std::vector<DType> types;
  };
  const std::vector<DType> numbers = {DType::F32, DType::F64, DType::I64, DType::I32, DType::I8};
  std::vector<DType> ordered = numbers;
  ordered.push_back(DType::I1);
  for (const Reduction &reduction : {Reduction{"reduce_sum", numbers},
                                     {"reduce_max", ordered},
                                     {"reduce_min", ordered},
                                     {"reduce_log_sum_exp", {DType::F32, DType::F64}}})
    for (DType type : reduction.types)
      for (int i = 0; i < 3 * kCases; ++i) {
        int64_t rank = number(0, 4);
        TensorDesc in = strided(type, shape(rank, oneOf<int64_t>({4, 9, 40})), true);
        bool keepsDims = maybe();
        Integers dims, sizes;
        for (int64_t dim = 0; dim < rank; ++dim)
          if (maybe())
            dims.push_back(dim);
          else
            sizes.push_back(in.shape[static_cast<size_t>(dim)]);
        if (keepsDims) {
          sizes = in.shape;
          for (int64_t dim : dims)
            sizes[static_cast<size_t>(dim)] = 1;
        }
        check({reduction.name,
               {in},
               {strided(type, sizes, false)},
               {{"dims", dims}, {"keep_dims", keepsDims}}},
              {elements(in, number(0, 3) == 0)});
      }
}

TEST_F(PrimitivesTest, ReductionsOfVeryManyElements) {
  for (const char *name : {"reduce_sum", "reduce_max", "reduce_log_sum_exp"})
    for (int64_t results : {1, 3}) {
      TensorDesc in{DType::F32, {results, 1000, 150}, {1, 151 * results, results}};
      check({name, {in}, {dense(DType::F32, {results})}, {{"dims", Integers{1, 2}}}},
            {elements(in, false)});
    }
}

TEST_F(PrimitivesTest, SaysWhyNot) {
  for (const KernelProvider *provider : {&cuda(), &plannedCudaProvider()}) {
    EXPECT_EQ(provider->name(), "cuda");
    TensorDesc x = dense(DType::F32, {2, 2});
    EXPECT_THAT(*provider->whyNot({"matmul", {x, x}, {x}, {}}),
                HasSubstr("no kernel of CUDA called matmul"));
    EXPECT_THAT(*provider->whyNot({"add", {x}, {x}, {}}), HasSubstr("add takes 2 operands, not 1"));
    TensorDesc in = dense(DType::F32, Integers(9, 2)), out = in;
    for (size_t dim = 0; dim < 9; ++dim) // every other element
      out.strides[dim] = int64_t{1} << (2 * (8 - dim));
    EXPECT_THAT(*provider->whyNot({"copy", {in}, {out}, {}}),
                HasSubstr("9 dimensions of f32[2x2x2x2x2x2x2x2x2] do not continue each other"));
  }
  EXPECT_EQ(findProvider("cuda"), nullptr);
  EXPECT_EQ(findProvider("cublaslt"), nullptr);
  EXPECT_THROW((void)plannedCudaProvider().prepare({"fill", {}, {}, {}}), std::invalid_argument);
}

} // namespace
