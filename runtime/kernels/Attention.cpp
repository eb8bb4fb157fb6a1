//===- Attention.cpp - attention and its gradient, read from a spec ---------------------------===//

#include "runtime/kernels/Attention.h"

#include "runtime/kernels/Require.h"

#include <algorithm>
#include <fmt/format.h>

using namespace deepshard::runtime;

namespace {

Strides4 stridesOf(const TensorDesc &desc) {
  return {desc.strides[0], desc.strides[1], desc.strides[2], desc.strides[3]};
}

void requireTensor(const TensorDesc &desc, DType dtype, const std::vector<int64_t> &shape,
                   const char *what) {
  require(desc.dtype == dtype && desc.shape == shape,
          fmt::format("{} is {}, expected {}", what, textOf(desc),
                      textOf(TensorDesc::contiguous(dtype, shape))));
}

/// Reads where the scores lie in larger ones, if they do.
int offsetsOperand(const KernelSpec &spec, size_t next, AttentionCall &call) {
  const int64_t scores[4] = {call.b, call.h, call.s, call.t};
  std::copy_n(scores, 4, call.whole);
  if (!spec.attributes.has("global_shape"))
    return -1;
  const std::vector<int64_t> &whole = spec.attributes.integers("global_shape");
  require(whole.size() == 4, fmt::format("global_shape has {} entries, expected 4", whole.size()));
  require(next < spec.inputs.size() && spec.inputs[next] == TensorDesc::contiguous(DType::I64, {4}),
          "global_shape is set, but there is no contiguous i64[4] of offsets");
  std::copy_n(whole.begin(), 4, call.whole);
  return static_cast<int>(next);
}

/// Reads mask, counter and offsets, which follow the first `fixed` operands.
AttentionOptional optionalOperands(const KernelSpec &spec, size_t fixed, AttentionCall &call) {
  AttentionOptional found;
  call.maskKind = MaskKind::None;
  call.mask = {};
  size_t next = fixed;
  if (next < spec.inputs.size() && spec.inputs[next].rank() == 4) {
    const TensorDesc &mask = spec.inputs[next];
    require(mask.dtype == DType::F32 || mask.dtype == DType::I1,
            "the mask is " + textOf(mask) + ", expected f32 or i1");
    const int64_t full[4] = {call.b, call.h, call.s, call.t};
    call.mask = stridesOf(mask);
    int64_t *steps[4] = {&call.mask.b, &call.mask.h, &call.mask.s, &call.mask.d};
    for (int dim = 0; dim < 4; ++dim) {
      require(mask.shape[dim] == full[dim] || mask.shape[dim] == 1,
              fmt::format("dimension {} of the mask {} does not broadcast to {}", dim, textOf(mask),
                          full[dim]));
      if (mask.shape[dim] == 1)
        *steps[dim] = 0;
    }
    call.maskKind = mask.dtype == DType::F32 ? MaskKind::Added : MaskKind::Seen;
    found.mask = static_cast<int>(next++);
  }
  if (next < spec.inputs.size() && spec.inputs[next].rank() != 0) {
    require(spec.inputs[next] == TensorDesc::contiguous(DType::I64, {3}),
            "the counter is " + textOf(spec.inputs[next]) + ", expected a contiguous i64[3]");
    found.counter = static_cast<int>(next++);
  }
  found.offsets = offsetsOperand(spec, next, call);
  if (found.offsets >= 0)
    ++next;
  if (next < spec.inputs.size() && spec.inputs[next] == TensorDesc::contiguous(DType::I64, {})) {
    require(call.causal, "there is a diagonal, but causal is not set");
    found.diagonal = static_cast<int>(next++);
  }
  require(next == spec.inputs.size(),
          fmt::format("{} operands, expected at most {}", spec.inputs.size(), next));
  require(!spec.attributes.flag("has_mask") || found.mask >= 0,
          "has_mask is set, but there is no mask");
  require(!spec.attributes.flag("has_counter") || found.counter >= 0,
          "has_counter is set, but there is no counter");
  require(!spec.attributes.flag("has_diagonal") || found.diagonal >= 0,
          "has_diagonal is set, but there is no diagonal");
  require(call.dropout == 0 || found.counter >= 0, "dropout needs a counter");
  return found;
}

/// Reads what both directions share: q, k, v from operand `first` on, o and lse.
AttentionCall callOf(const KernelSpec &spec, size_t first, const TensorDesc &o,
                     const TensorDesc &lse) {
  const TensorDesc &q = spec.inputs[first], &k = spec.inputs[first + 1],
                   &v = spec.inputs[first + 2];
  for (const TensorDesc *desc : {&q, &k, &v})
    require(desc->rank() == 4, "an operand is " + textOf(*desc) + ", expected rank 4");
  AttentionCall call{};
  call.b = q.shape[0];
  call.h = q.shape[1];
  call.s = q.shape[2];
  call.d = q.shape[3];
  call.g = k.shape[1];
  call.t = k.shape[2];
  call.e = v.shape[3];
  require(call.g > 0 && call.h % call.g == 0,
          fmt::format("{} heads are not a multiple of {} key/value heads", call.h, call.g));
  require(q.dtype == DType::F32 || isNarrowFloat(q.dtype),
          fmt::format("q is {}, expected f32, bf16 or f16", textOf(q)));
  requireTensor(q, q.dtype, {call.b, call.h, call.s, call.d}, "q");
  requireTensor(k, q.dtype, {call.b, call.g, call.t, call.d}, "k");
  requireTensor(v, q.dtype, {call.b, call.g, call.t, call.e}, "v");
  requireTensor(o, q.dtype, {call.b, call.h, call.s, call.e}, "o");
  requireTensor(lse, DType::F32, {call.b, call.h, call.s}, "lse");
  call.q = stridesOf(q);
  call.k = stridesOf(k);
  call.v = stridesOf(v);
  call.o = stridesOf(o);
  for (int dim = 0; dim < 3; ++dim)
    call.lse[dim] = lse.strides[dim];
  call.scale = static_cast<float>(spec.attributes.number("scale"));
  call.causal = spec.attributes.flag("causal");
  call.dropout = spec.attributes.has("dropout") ? spec.attributes.number("dropout") : 0;
  call.id = spec.attributes.has("id") ? spec.attributes.integer("id") : 0;
  require(call.dropout >= 0 && call.dropout < 1,
          fmt::format("dropout is {}, expected at least 0 and below 1", call.dropout));
  return call;
}

Attention forwardOf(const KernelSpec &spec) {
  requireOperands(spec, -1, 2);
  require(spec.inputs.size() >= 3,
          fmt::format("attention takes q, k and v, found {} operands", spec.inputs.size()));
  Attention attention;
  attention.dtype = spec.inputs[0].dtype;
  attention.call = callOf(spec, 0, spec.outputs[0], spec.outputs[1]);
  attention.optional = optionalOperands(spec, 3, attention.call);
  return attention;
}

Attention gradientOf(const KernelSpec &spec) {
  requireOperands(spec, -1, 3);
  require(spec.inputs.size() >= 6,
          fmt::format("attention_grad takes dO, q, k, v, o and lse, found {} operands",
                      spec.inputs.size()));
  Attention attention;
  attention.isGrad = true;
  attention.dtype = spec.inputs[1].dtype;
  AttentionCall &call = attention.call;
  call = callOf(spec, 1, spec.inputs[4], spec.inputs[5]);
  requireTensor(spec.inputs[0], attention.dtype, spec.inputs[4].shape, "dO");
  requireTensor(spec.outputs[0], attention.dtype, spec.inputs[1].shape, "dq");
  requireTensor(spec.outputs[1], attention.dtype, spec.inputs[2].shape, "dk");
  requireTensor(spec.outputs[2], attention.dtype, spec.inputs[3].shape, "dv");
  call.dO = stridesOf(spec.inputs[0]);
  call.dQ = stridesOf(spec.outputs[0]);
  call.dK = stridesOf(spec.outputs[1]);
  call.dV = stridesOf(spec.outputs[2]);
  attention.optional = optionalOperands(spec, 6, call);
  return attention;
}

} // namespace

Attention deepshard::runtime::attentionOf(const KernelSpec &spec) {
  require(spec.name == "attention" || spec.name == "attention_grad",
          spec.name + " is no attention");
  return spec.name == "attention" ? forwardOf(spec) : gradientOf(spec);
}
