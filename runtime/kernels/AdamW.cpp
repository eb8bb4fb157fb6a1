//===- AdamW.cpp - what the kernels called adamw share ----------------------------------------===//

#include "runtime/kernels/AdamW.h"

#include "runtime/kernels/Require.h"

#include <fmt/format.h>

#include <algorithm>

using namespace deepshard::runtime;

AdamWOptions AdamWOptions::of(const Attributes &attributes) {
  return {attributes.number("beta1"),         attributes.number("beta2"),
          attributes.number("eps"),           attributes.number("weight_decay"),
          attributes.flag("bias_correction"), attributes.flag("adam_w_mode")};
}

void deepshard::runtime::requireAdamW(const KernelSpec &spec) {
  const bool hasCopy = spec.outputs.size() == 4;
  requireOperands(spec, std::clamp<size_t>(spec.inputs.size(), 6, 8), hasCopy ? 4 : 3);
  const TensorDesc &parameter = spec.inputs[0];
  for (int i = 1; i < 4; ++i)
    require(spec.inputs[i].dtype == parameter.dtype && spec.inputs[i].shape == parameter.shape,
            fmt::format("operand {} is {}, the parameter {}", i, textOf(spec.inputs[i]),
                        textOf(parameter)));
  for (int i = 0; i < 3; ++i)
    require(spec.outputs[i].dtype == parameter.dtype && spec.outputs[i].shape == parameter.shape,
            fmt::format("result {} is {}, the parameter {}", i, textOf(spec.outputs[i]),
                        textOf(parameter)));
  require(!hasCopy || (isNarrowFloat(spec.outputs[3].dtype) && parameter.dtype == DType::F32 &&
                       spec.outputs[3].shape == parameter.shape),
          fmt::format("the copy of the f32 parameter {} is {}, expected bf16 or f16",
                      textOf(parameter), textOf(spec.outputs.back())));
  for (size_t i = 4; i < spec.inputs.size(); ++i) {
    const DType expected = i == 5 ? DType::I64 : i == 7 ? DType::I1 : DType::F64;
    require(spec.inputs[i].dtype == expected && spec.inputs[i].elements() == 1,
            fmt::format("operand {} is {}, expected a scalar {}", i, textOf(spec.inputs[i]),
                        nameOf(expected)));
  }
}
