//===- Testing.h - what the tests of the sharding dialect share -------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_SHARDING_TESTING_H
#define DEEPSHARD_TEST_UNIT_SHARDING_TESTING_H

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Reshard.h"
#include "dialects/sharding/Simulate.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <random>

namespace deepshard::sharding {

/// A context that has the dialects.
class ShardingTest : public testing::Test {
protected:
  ShardingTest() {
    context.loadDialect<mlir::func::FuncDialect, graph::GraphDialect, ShardingDialect>();
  }

  MeshAttr mesh(llvm::StringRef axes) {
    return llvm::cast<MeshAttr>(
        mlir::parseAttribute("#sharding.grid<" + axes.str() + ">", &context));
  }
  /// `text` is a layout without its mesh: "[{\"data\"}, {}]".
  LayoutAttr layout(llvm::StringRef text) {
    return llvm::cast<LayoutAttr>(
        mlir::parseAttribute("#sharding.layout<@mesh, " + text.str() + ">", &context));
  }
  /// "{\"data\", \"tensor\"}"
  llvm::SmallVector<AxisRefAttr> axes(llvm::StringRef text) {
    auto list = llvm::cast<AxisListAttr>(
        mlir::parseAttribute("#sharding.axes<" + text.str() + ">", &context));
    return llvm::SmallVector<AxisRefAttr>(list.getAxes());
  }
  mlir::RankedTensorType tensor(llvm::ArrayRef<int64_t> shape) {
    return mlir::RankedTensorType::get(shape, mlir::Float32Type::get(&context));
  }
  /// A module with the mesh and `function` in it, verified.
  mlir::OwningOpRef<mlir::ModuleOp> parse(llvm::StringRef meshAxes, llvm::StringRef function) {
    std::string text = "sharding.mesh @mesh " + meshAxes.str() + "\n" + function.str();
    return mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  }

  using Random = std::mt19937_64;

  /// Every axis, or half of one of four ranks, on a random dimension that it divides, or on none.
  LayoutAttr randomLayout(mlir::RankedTensorType type, MeshAttr grid, Random &random) {
    auto symbol = mlir::FlatSymbolRefAttr::get(&context, "mesh");
    LayoutAttr layout = LayoutAttr::replicated(symbol, type.getRank());
    for (auto [name, size] : llvm::zip(grid.getNames(), grid.getSizes())) {
      if (type.getRank() == 0 || random() % 3 == 0)
        continue;
      unsigned dim = random() % type.getRank();
      llvm::SmallVector<AxisRefAttr> axes(layout.getAxes(dim));
      if (size == 4 && random() % 3 == 0)
        axes.push_back(AxisRefAttr::get(&context, name.getValue(), 1 + random() % 2, 2));
      else
        axes.push_back(AxisRefAttr::get(&context, name.getValue()));
      if (type.getDimSize(dim) % grid.sizeOf(axes) == 0)
        layout = layout.withAxes(dim, axes);
    }
    return layout;
  }

  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
};

} // namespace deepshard::sharding

#endif // DEEPSHARD_TEST_UNIT_SHARDING_TESTING_H
