//===- Require.h - how a kernel says that it does not take a spec -----------------------------===//
//
// The kernels of a provider check a spec while they prepare it and throw `std::invalid_argument`
// with the reason; `whyNot` of a provider turns the exception into a value. Included by every
// kernel file.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REQUIRE_H
#define DEEPSHARD_RUNTIME_KERNELS_REQUIRE_H

#include "runtime/kernels/Kernel.h"

#include <string>

namespace deepshard::runtime {

/// Throws `std::invalid_argument(reason)` unless `holds`.
void require(bool holds, const std::string &reason);

/// Requires the number of operands, equal lengths of shapes and strides, at most `kMaxRank`
/// dimensions, sizes and strides that are not negative, outputs without a repeated element (stride
/// 0 on a size above 1) and at least one thread. `inputs` < 0: any number but at least one.
void requireOperands(const KernelSpec &spec, int inputs, int outputs);

/// Attribute `workspace_bytes`: what a plan gives a library's kernel. Throws
/// `std::invalid_argument` if it is missing or negative.
uint64_t workspaceAttribute(const KernelSpec &spec);

/// bf16 and f16: kernels compute with them in f32.
constexpr bool isNarrowFloat(DType dtype) { return dtype == DType::BF16 || dtype == DType::F16; }

/// Whether a sum of products of `operand` elements may be a `result`: of the same type, or the f32
/// that products of bf16 and f16 are summed in.
bool givesDType(DType operand, DType result);

/// "f32[2x3]", for messages.
std::string textOf(const TensorDesc &desc);

constexpr int kMaxRank = 16;

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_REQUIRE_H
