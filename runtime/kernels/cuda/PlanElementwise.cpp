//===- PlanElementwise.cpp - elementwise primitives become steps ------------------------------===//

#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Plans.h"

#include <algorithm>
#include <utility>

namespace deepshard::runtime::cuda {

namespace {

constexpr std::pair<const char *, Operation> kOperations[] = {{"neg", Operation::Neg},
                                                              {"abs", Operation::Abs},
                                                              {"sign", Operation::Sign},
                                                              {"exp", Operation::Exp},
                                                              {"log", Operation::Log},
                                                              {"sqrt", Operation::Sqrt},
                                                              {"rsqrt", Operation::Rsqrt},
                                                              {"reciprocal", Operation::Reciprocal},
                                                              {"sin", Operation::Sin},
                                                              {"cos", Operation::Cos},
                                                              {"tanh", Operation::Tanh},
                                                              {"erf", Operation::Erf},
                                                              {"ndtr", Operation::Ndtr},
                                                              {"sigmoid", Operation::Sigmoid},
                                                              {"floor", Operation::Floor},
                                                              {"not", Operation::Not},
                                                              {"add", Operation::Add},
                                                              {"sub", Operation::Sub},
                                                              {"mul", Operation::Mul},
                                                              {"div", Operation::Div},
                                                              {"remainder", Operation::Remainder},
                                                              {"pow", Operation::Pow},
                                                              {"maximum", Operation::Maximum},
                                                              {"minimum", Operation::Minimum},
                                                              {"and", Operation::And},
                                                              {"or", Operation::Or},
                                                              {"xor", Operation::Xor}};

constexpr std::pair<const char *, Operation> kComparisons[] = {
    {"eq", Operation::Eq}, {"ne", Operation::Ne}, {"lt", Operation::Lt},
    {"le", Operation::Le}, {"gt", Operation::Gt}, {"ge", Operation::Ge}};

template <size_t n>
Operation operationNamed(const std::pair<const char *, Operation> (&all)[n],
                         const std::string &name) {
  return std::find_if(all, all + n, [&](const auto &each) { return each.first == name; })->second;
}

/// Result and operands.
std::vector<TensorDesc> operandsOf(const KernelSpec &spec) {
  std::vector<TensorDesc> operands = {spec.outputs[0]};
  operands.insert(operands.end(), spec.inputs.begin(), spec.inputs.end());
  return operands;
}

Steps stepsOf(LaunchStep step) {
  Steps steps;
  steps.steps.emplace_back(std::move(step));
  return steps;
}

/// One launch over the elements of the result.
template <typename Parameters>
Steps overElements(std::string function, const Parameters &parameters, std::vector<Place> places) {
  if (parameters.nest.count == 0)
    return {};
  return stepsOf(LaunchStep::of(std::move(function), blocksFor(parameters.nest.count), kThreads,
                                parameters, std::move(places)));
}

Steps planOperation(const KernelSpec &spec) {
  ElementwiseParameters parameters = {};
  parameters.nest = nestOf(spec.outputs[0].shape, operandsOf(spec));
  parameters.operation = spec.name == "compare"
                             ? operationNamed(kComparisons, spec.attributes.text("direction"))
                             : operationNamed(kOperations, spec.name);
  parameters.type = elementOf(spec.inputs[0].dtype);
  parameters.resultType = elementOf(spec.outputs[0].dtype);
  return overElements(
      std::string("ds_elementwise_") + computedIn(spec.inputs[0].dtype), parameters,
      {Place::output(0), Place::input(0), spec.inputs.size() > 1 ? Place::input(1) : Place()});
}

Steps planSelect(const KernelSpec &spec) {
  SelectParameters parameters = {};
  parameters.nest = nestOf(spec.outputs[0].shape, operandsOf(spec));
  parameters.width = static_cast<int32_t>(sizeOf(spec.outputs[0].dtype));
  return overElements("ds_select", parameters,
                      {Place::output(0), Place::input(0), Place::input(1), Place::input(2)});
}

Steps planConvert(const KernelSpec &spec) {
  ConvertParameters parameters = {};
  parameters.nest = nestOf(spec.outputs[0].shape, operandsOf(spec));
  parameters.from = elementOf(spec.inputs[0].dtype);
  parameters.to = elementOf(spec.outputs[0].dtype);
  return overElements("ds_convert", parameters, {Place::output(0), Place::input(0)});
}

Steps planDropout(const KernelSpec &spec) {
  const TensorDesc &x = spec.inputs[0];
  TensorDesc whole = TensorDesc::contiguous(x.dtype, x.shape);
  if (spec.attributes.has("global_shape"))
    whole = TensorDesc::contiguous(x.dtype, spec.attributes.integers("global_shape"));
  DropoutParameters parameters = {};
  // Of bytes, so that what the nest counts are elements.
  TensorDesc places{DType::I8, x.shape, whole.strides};
  parameters.nest = nestOf(x.shape, {spec.outputs[0], x, places});
  parameters.p = spec.attributes.number("p");
  parameters.scale = parameters.p < 1 ? 1 / (1 - parameters.p) : 0;
  parameters.id = spec.attributes.integer("id");
  parameters.wholeElements = whole.elements();
  parameters.rank = x.rank();
  std::copy(whole.strides.begin(), whole.strides.end(), parameters.wholeStrides);
  return overElements(std::string("ds_dropout_") + computedIn(x.dtype), parameters,
                      {Place::output(0), Place::input(0), Place::input(1),
                       spec.inputs.size() > 2 ? Place::input(2) : Place()});
}

} // namespace

void addElementwise(PlanTable &table) {
  for (const auto &[name, operation] : kOperations)
    table[name] = planOperation;
  table["compare"] = planOperation;
  table["select"] = planSelect;
  table["convert"] = planConvert;
  table["dropout"] = planDropout;
}

} // namespace deepshard::runtime::cuda
