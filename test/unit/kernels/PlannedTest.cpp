//===- PlannedTest.cpp - what plans for GPUs may ask for, without CUDA ------------------------===//

#include "runtime/kernels/Providers.h"

#include <gmock/gmock.h>

#include <stdexcept>

using namespace deepshard::runtime;
using testing::HasSubstr;

namespace {

TensorDesc dense(DType type, std::vector<int64_t> shape) {
  return TensorDesc::contiguous(type, std::move(shape));
}

KernelSpec product(TensorDesc lhs, TensorDesc rhs, TensorDesc out) {
  using Dims = std::vector<int64_t>;
  int64_t batch = lhs.rank() - 2;
  Dims dims;
  for (int64_t dim = 0; dim < batch; ++dim)
    dims.push_back(dim);
  return {"matmul",
          {std::move(lhs), std::move(rhs)},
          {std::move(out)},
          {{"lhs_batch", dims},
           {"rhs_batch", dims},
           {"lhs_contract", Dims{batch + 1}},
           {"rhs_contract", Dims{batch}}}};
}

TEST(PlannedTest, ProvidersOfCpuPlansDoNotHaveThem) {
  for (const KernelProvider *planned : {&plannedCublasltProvider(), &plannedCudaProvider()}) {
    EXPECT_EQ(findProvider(planned->name()), nullptr);
    EXPECT_THROW((void)planned->prepare({"fill", {}, {}, {}}), std::invalid_argument);
  }
}

TEST(PlannedTest, WorkspaceOfAProduct) {
  const KernelProvider &planned = plannedCublasltProvider();
  KernelSpec spec =
      product(dense(DType::BF16, {4, 6}), dense(DType::BF16, {6, 8}), dense(DType::F32, {4, 8}));
  EXPECT_EQ(planned.whyNot(spec), std::nullopt);
  EXPECT_EQ(planned.workspaceBytes(spec), size_t{32} << 20);
  spec.attributes.set("workspace_bytes", int64_t{4096});
  EXPECT_EQ(planned.workspaceBytes(spec), 4096u);
  spec.attributes.set("workspace_bytes", int64_t{-1});
  EXPECT_THAT(*planned.whyNot(spec), HasSubstr("workspace_bytes is negative"));
}

TEST(PlannedTest, ProductsThatCublasltDoesNotTake) {
  const KernelProvider &planned = plannedCublasltProvider();
  KernelSpec spec =
      product(dense(DType::F32, {4, 6}), dense(DType::F32, {6, 8}), dense(DType::F32, {4, 8}));
  spec.inputs[0].strides = {12, 2};
  EXPECT_THAT(*planned.whyNot(spec), HasSubstr("neither dimension of an operand is contiguous"));
  spec = product(dense(DType::I32, {4, 6}), dense(DType::I32, {6, 8}), dense(DType::I32, {4, 8}));
  EXPECT_THAT(*planned.whyNot(spec), HasSubstr("elements of type i32"));
  spec = product(dense(DType::F32, {0, 6}), dense(DType::F32, {6, 8}), dense(DType::F32, {0, 8}));
  EXPECT_THAT(*planned.whyNot(spec), HasSubstr("the result has no elements"));
  // The outer of two batch dimensions is a call each, from an address that must be aligned.
  spec = product({DType::F32, {2, 3, 4, 4}, {49, 16, 4, 1}}, dense(DType::F32, {2, 3, 4, 4}),
                 dense(DType::F32, {2, 3, 4, 4}));
  EXPECT_THAT(*planned.whyNot(spec), HasSubstr("no multiples of 16 bytes"));
  spec.inputs[0].strides[0] = 52;
  EXPECT_EQ(planned.whyNot(spec), std::nullopt);
  spec = {"linear",
          {dense(DType::BF16, {4, 6}), dense(DType::BF16, {6, 8}), dense(DType::F32, {8})},
          {dense(DType::BF16, {4, 8})},
          {}};
  EXPECT_THAT(*planned.whyNot(spec), HasSubstr("the bias f32[8] is not of the result's type bf16"));
  spec.name = "softmax";
  EXPECT_THAT(*planned.whyNot(spec), HasSubstr("no cuBLASLt kernel called softmax"));
}

TEST(PlannedTest, PrimitivesAreThoseOfTheReference) {
  const KernelProvider &planned = plannedCudaProvider();
  TensorDesc x = dense(DType::F32, {2, 2});
  EXPECT_EQ(planned.whyNot({"add", {x, x}, {x}, {}}), std::nullopt);
  EXPECT_EQ(*planned.whyNot({"add", {x}, {x}, {}}),
            *referenceProvider().whyNot({"add", {x}, {x}, {}}));
  EXPECT_THAT(*planned.whyNot({"matmul", {x, x}, {x}, {}}),
              HasSubstr("no kernel of CUDA called matmul"));
  KernelSpec spec{"sum_squares", {dense(DType::F32, {1 << 20})}, {dense(DType::F64, {})}, {}};
  EXPECT_EQ(planned.workspaceBytes(spec), 64u * 8); // a sum for each tile of 16,384
}

} // namespace
