//===- PlannedTest.cpp - what plans for GPUs may ask for, without CUDA ------------------------===//

#include "runtime/kernels/Providers.h"

#include <gmock/gmock.h>

#include <functional>
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
  for (const KernelProvider *planned :
       {&plannedCudnnProvider(), &plannedCublasltProvider(), &plannedCudaProvider()}) {
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

/// Attention of bf16 with `heads` heads, of which `groups` have keys and values of their own.
KernelSpec attention(int64_t heads, int64_t groups, int64_t queries, int64_t keys, int64_t size) {
  TensorDesc q = dense(DType::BF16, {2, heads, queries, size}),
             k = dense(DType::BF16, {2, groups, keys, size});
  return {"attention",
          {q, k, k},
          {q, dense(DType::F32, {2, heads, queries})},
          {{"scale", 0.125}, {"causal", true}}};
}

KernelSpec gradientOf(const KernelSpec &attention) {
  const std::vector<TensorDesc> &in = attention.inputs, &out = attention.outputs;
  return {
      "attention_grad", {out[0], in[0], in[1], in[2], out[0], out[1]}, in, attention.attributes};
}

/// What cuDNN 9.19.1 says on sm_90, rounded up to 256 bytes.
TEST(PlannedTest, WorkspaceOfAttention) {
  const KernelProvider &planned = plannedCudnnProvider();
  KernelSpec spec = attention(4, 4, 40, 200, 96);
  EXPECT_EQ(planned.workspaceBytes(spec), 256u);
  EXPECT_EQ(planned.workspaceBytes(gradientOf(spec)), (263680u + 255) / 256 * 256);
  spec = attention(8, 1, 130, 130, 40);
  EXPECT_EQ(planned.workspaceBytes(gradientOf(spec)), (1914240u + 255) / 256 * 256);
}

/// Copies of the operands with 3 channels as 8 and 20 as 24, and 32 MiB; before them, those in f32.
TEST(PlannedTest, WorkspaceOfConvolutions) {
  const KernelProvider &planned = plannedCudnnProvider();
  using Sizes = std::vector<int64_t>;
  const Attributes attributes = {{"strides", Sizes{4, 4}},
                                 {"low", Sizes{0, 0}},
                                 {"high", Sizes{0, 0}},
                                 {"dilations", Sizes{1, 1}},
                                 {"groups", int64_t{1}}};
  auto x = [](DType type) { return dense(type, {2, 3, 64, 64}); };
  auto weight = [](DType type) { return dense(type, {20, 3, 4, 4}); };
  auto y = [](DType type) { return dense(type, {2, 20, 16, 16}); };
  auto inEights = [](size_t bytes) {
    return (32u << 20) + bytes * (2 * 8 * 64 * 64 + 20 * 8 * 4 * 4 + 2 * 24 * 16 * 16);
  };
  const KernelSpec forward = {
      "convolution", {x(DType::F32), weight(DType::F32)}, {y(DType::F32)}, attributes};
  EXPECT_EQ(planned.workspaceBytes(forward), inEights(4));
  KernelSpec gradient = {"convolution_weight_grad",
                         {y(DType::BF16), x(DType::BF16)},
                         {weight(DType::BF16)},
                         attributes};
  EXPECT_EQ(planned.workspaceBytes(gradient), inEights(2));
  gradient.outputs = {weight(DType::F32)};
  EXPECT_EQ(planned.workspaceBytes(gradient),
            inEights(4) + 4 * (2 * 20 * 16 * 16 + 2 * 3 * 64 * 64));
}

TEST(PlannedTest, AttentionThatCudnnDoesNotTake) {
  const KernelProvider &planned = plannedCudnnProvider();
  auto whyNot = [&](const std::function<void(KernelSpec &)> &change, int64_t size = 64) {
    KernelSpec spec = attention(4, 2, 16, 16, size);
    change(spec);
    return planned.whyNot(spec).value_or("");
  };
  EXPECT_EQ(whyNot([](KernelSpec &) {}), "");
  EXPECT_THAT(whyNot([](KernelSpec &) {}, 136), HasSubstr("heads of 136 and 136 elements"));
  EXPECT_THAT(whyNot([](KernelSpec &) {}, 12),
              HasSubstr("expected equal multiples of 8 up to 128"));
  EXPECT_THAT(whyNot([](KernelSpec &spec) {
                for (TensorDesc *desc :
                     {&spec.inputs[0], &spec.inputs[1], &spec.inputs[2], &spec.outputs[0]})
                  desc->dtype = DType::F32;
              }),
              HasSubstr("q is f32, expected bf16 or f16"));
  EXPECT_THAT(
      whyNot([](KernelSpec &spec) { spec.inputs.push_back(dense(DType::I1, {1, 1, 16, 16})); }),
      HasSubstr("there is a mask"));
  EXPECT_THAT(whyNot([](KernelSpec &spec) {
                spec.inputs.push_back(dense(DType::I64, {3}));
                spec.attributes.set("dropout", 0.1);
              }),
              HasSubstr("there is dropout"));
  EXPECT_THAT(whyNot([](KernelSpec &spec) { spec.inputs.push_back(dense(DType::I64, {})); }),
              HasSubstr("a part of a larger attention"));
  EXPECT_THAT(whyNot([](KernelSpec &spec) { spec.inputs[0].strides[1] += 4; }),
              HasSubstr("no multiple of 16 bytes"));
  EXPECT_THAT(whyNot([](KernelSpec &spec) { spec.inputs[1].strides = {4096, 2048, 1, 16}; }),
              HasSubstr("are not next to each other"));
  EXPECT_THAT(whyNot([](KernelSpec &spec) { spec.inputs[1].strides[0] = 0; }),
              HasSubstr("no multiple of 16 bytes"));
  EXPECT_THAT(*planned.whyNot(attention(4, 2, 17, 16, 64)), HasSubstr("some see no key"));
  EXPECT_THAT(*planned.whyNot(attention(4, 2, 1, 1, 64)), HasSubstr("one query and one key"));
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
