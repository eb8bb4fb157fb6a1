//===- OpLayouts.h - from axes per factor to layouts of operands and results ------------------===//
//
// An op's sharding rule (dialects/graph/ShardingRule.h) and the axes that split each of its factors
// say how its operands have to lie and how its results come out. The passes that choose the axes
// and those that obey them ask the same functions.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_SHARDING_OPLAYOUTS_H
#define DEEPSHARD_PASSES_SHARDING_OPLAYOUTS_H

#include "dialects/graph/ShardingRule.h"
#include "dialects/sharding/Sharding.h"

namespace deepshard {

/// The axes that split a factor or a dimension, major to minor.
using Axes = llvm::SmallVector<sharding::AxisRefAttr, 2>;

/// One op on a mesh: its rule, and how its operands lie before anything is moved.
class OpLayouts {
public:
  OpLayouts(mlir::Operation *op, const graph::ShardingRule &rule,
            llvm::ArrayRef<sharding::LayoutAttr> operands, mlir::FlatSymbolRefAttr mesh,
            sharding::MeshAttr grid)
      : op(op), rule(rule), operands(operands), mesh(mesh), grid(grid) {}

  /// Splits the axes of a dimension among its factors, major to minor: a factor takes axes while
  /// they divide it, the next one only if it is split completely. Axes that find no place are left
  /// out; the dimension is gathered over them.
  llvm::SmallVector<std::pair<unsigned, Axes>>
  project(const graph::DimensionFactors &factors, llvm::ArrayRef<sharding::AxisRefAttr> axes) const;

  /// The set of operands through which parts pass, given the axes of the factors; null if partial
  /// operands are to be reduced first. That is so where the rule does not allow it, where an
  /// operand is used elsewhere too (it is reduced once for all uses), and where more would be left
  /// to reduce; what is returned as summands is not.
  const graph::PartialOperands *passing(llvm::ArrayRef<Axes> factors) const;

  /// How operand `index` has to lie.
  sharding::LayoutAttr operandLayout(unsigned index, llvm::ArrayRef<Axes> factors) const;
  /// How result `index` comes out.
  sharding::LayoutAttr resultLayout(unsigned index, llvm::ArrayRef<Axes> factors) const;

private:
  sharding::LayoutAttr layoutOf(const graph::TensorFactors &tensor, llvm::ArrayRef<Axes> factors,
                                sharding::PartialAttr partial) const;
  /// The partial operands, ascending, if all are partial alike.
  std::optional<llvm::SmallVector<unsigned>> partialOperands() const;

  bool paysOff(const graph::PartialOperands &set) const;

  mlir::Operation *op;
  const graph::ShardingRule &rule;
  llvm::ArrayRef<sharding::LayoutAttr> operands;
  mlir::FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;
};

/// Whether two lists share an axis or overlapping sub-axes.
bool overlap(llvm::ArrayRef<sharding::AxisRefAttr> a, llvm::ArrayRef<sharding::AxisRefAttr> b);

/// `sharding.factors` of an op as lists; every factor unsplit if it has none.
llvm::SmallVector<Axes> factorAxes(mlir::Operation *op, const graph::ShardingRule &rule);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SHARDING_OPLAYOUTS_H
