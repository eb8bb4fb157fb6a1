//===- LayoutRemarks.h - why a value has its layout, and what is moved for it -----------------===//
//
// Remarks of category "layout" say which argument or op each axis of a value's layout comes from,
// those of category "reshard" what an op has to have moved first and what that costs. Nothing is
// done if nobody listens.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_SHARDING_LAYOUTREMARKS_H
#define DEEPSHARD_PASSES_SHARDING_LAYOUTREMARKS_H

#include "passes/sharding/Moves.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/DenseSet.h"

namespace deepshard {

/// `[{"data"}, {}], partial = sum {"tensor"}`
std::string textOf(sharding::LayoutAttr layout);

class LayoutRemarks {
public:
  /// `searched`: the axes that were placed by a search where an op has its layouts from one.
  LayoutRemarks(mlir::MLIRContext *context, sharding::MeshAttr grid,
                llvm::ArrayRef<sharding::AxisRefAttr> searched)
      : isOn(context->getRemarkEngine() != nullptr), grid(grid), searched(searched) {}

  /// The axes of `value` come from what is called `source`.
  void begin(mlir::Value value, sharding::LayoutAttr layout, llvm::StringRef source);

  /// `op` has these layouts of results now; operand `givers[f]` gave the axes of factor f.
  void chosen(mlir::Operation *op, llvm::ArrayRef<Axes> factors, llvm::ArrayRef<unsigned> givers,
              llvm::ArrayRef<sharding::LayoutAttr> results);

  /// `move` is made for `reader`; said once per value and layout.
  void moved(const Move &move, mlir::Location reader, llvm::StringRef readerName);

  const bool isOn;

  /// `value` comes in this layout too: a reader that wants it so has nothing moved.
  void comesIn(mlir::Value value, sharding::LayoutAttr layout) {
    if (isOn)
      said.insert({value, layout});
  }

  /// `op`, whose factors are split so, hands blocks round rings (`graph::Ring`).
  void goesRound(mlir::Operation *op, const graph::ShardingRule &rule,
                 llvm::ArrayRef<Axes> factors);

private:
  using Source = std::pair<sharding::AxisRefAttr, std::string>;

  std::string sourceOf(mlir::Operation *op, sharding::AxisRefAttr axis,
                       llvm::ArrayRef<Axes> factors, llvm::ArrayRef<unsigned> givers) const;

  sharding::MeshAttr grid;
  Axes searched;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<Source, 2>> sources;
  llvm::DenseSet<std::pair<mlir::Value, mlir::Attribute>> said;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_SHARDING_LAYOUTREMARKS_H
