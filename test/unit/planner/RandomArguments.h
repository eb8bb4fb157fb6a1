//===- RandomArguments.h - what a model of Models.h may be given ------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_PLANNER_RANDOMARGUMENTS_H
#define DEEPSHARD_TEST_UNIT_PLANNER_RANDOMARGUMENTS_H

#include "dialects/graph/Graph.h"
#include "dialects/graph/HostTensor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <random>
#include <vector>

namespace deepshard {

/// Values of a size at which nothing saturates; a quarter of the labels is to be ignored.
inline graph::HostTensor randomArgument(mlir::func::FuncOp function, unsigned index,
                                        std::mt19937_64 &random) {
  graph::HostTensor tensor(
      llvm::cast<mlir::RankedTensorType>(function.getArgument(index).getType()));
  mlir::Type element = tensor.getType().getElementType();
  auto bound = function.getArgAttrOfType<mlir::IntegerAttr>(index, graph::kIndexBoundAttr);
  auto ignored = function.getArgAttrOfType<mlir::IntegerAttr>(index, graph::kIgnoredIndexAttr);
  auto name = function.getArgAttrOfType<mlir::StringAttr>(index, graph::kParameterAttr);
  const bool scales = name && name.getValue().ends_with(".weight") &&
                      tensor.getType().getRank() == 1; // the weight of a norm
  std::uniform_real_distribution<double> real(scales ? 0.5 : -0.5, scales ? 1.5 : 0.5);
  for (int64_t i = 0; i < tensor.getType().getNumElements(); ++i) {
    if (element.isF64())
      tensor.as<double>()[i] = real(random);
    else if (element.isF32())
      tensor.as<float>()[i] = static_cast<float>(real(random));
    else if (ignored && random() % 4 == 0)
      tensor.as<int64_t>()[i] = ignored.getInt();
    else
      tensor.as<int64_t>()[i] = static_cast<int64_t>(random() % bound.getInt());
  }
  return tensor;
}

inline std::vector<graph::HostTensor> randomArguments(mlir::func::FuncOp function) {
  std::mt19937_64 random(2);
  std::vector<graph::HostTensor> arguments;
  for (unsigned index = 0; index < function.getNumArguments(); ++index)
    arguments.push_back(randomArgument(function, index, random));
  return arguments;
}

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_PLANNER_RANDOMARGUMENTS_H
