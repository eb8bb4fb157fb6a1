//===- VerifyPartitioned.cpp - the border behind the phase "sharding" -------------------------===//
//
// The numbers in the comments are those of the pass's description.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Sharding.h"
#include "passes/sharding/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_VERIFYPARTITIONED
#include "passes/sharding/Passes.h.inc"

namespace {

using sharding::LayoutAttr;

/// A type and the layout of which it is the local part; null if there is none.
struct Local {
  Type type;
  Attribute layout;
  bool operator==(const Local &) const = default;
};

struct VerifyPartitionedPass : impl::VerifyPartitionedBase<VerifyPartitionedPass> {
  void runOnOperation() override {
    markAllAnalysesPreserved();
    if (!sharding::onlyMesh(getOperation()))
      return;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      verifyOps(function);
      verifyMetrics(function);
      verifyStates(function);
      verifyBuckets(function);
    }
    if (!valid)
      signalPassFailure();
  }

  InFlightDiagnostic fault(Operation *op) {
    valid = false;
    return emitError(op->getLoc());
  }

  /// 1
  void verifyOps(func::FuncOp function) {
    function.walk([&](Operation *op) {
      for (StringRef name : {StringRef(sharding::kFactorsAttr), StringRef(sharding::kLayoutsAttr),
                             StringRef(graph::kRecomputeAttr)})
        if (op->hasAttr(name))
          fault(op) << "'" << op->getName() << "' still has '" << name << "'";
      if (isa<sharding::ConstraintOp, sharding::ReshardOp>(op))
        fault(op) << "'" << op->getName() << "' is left; partition replaces it by collectives";
    });
  }

  /// 2
  void verifyMetrics(func::FuncOp function) {
    for (unsigned index = 0; index < function.getNumResults(); ++index) {
      auto name = function.getResultAttrOfType<StringAttr>(index, graph::kMetricAttr);
      auto layout = function.getResultAttrOfType<LayoutAttr>(index, sharding::kLayoutAttr);
      if (name && layout && !layout.isReplicated())
        fault(function) << "metric '" << name.getValue() << "' lies as " << layout
                        << "; expected it whole on every rank";
    }
  }

  static Local argument(func::FuncOp function, unsigned index) {
    return {function.getArgumentTypes()[index], function.getArgAttr(index, sharding::kLayoutAttr)};
  }
  static Local result(func::FuncOp function, unsigned index) {
    return {function.getResultTypes()[index], function.getResultAttr(index, sharding::kLayoutAttr)};
  }

  /// 3
  void verifyStates(func::FuncOp function) {
    llvm::MapVector<Attribute, Local> states;
    for (unsigned index = 0; index < function.getNumArguments(); ++index)
      if (Attribute name = function.getArgAttr(index, graph::kStateAttr))
        states.insert({name, argument(function, index)});
    for (unsigned index = 0; index < function.getNumResults(); ++index)
      if (Attribute name = function.getResultAttr(index, graph::kStateAttr))
        if (auto *it = states.find(name); it != states.end())
          requireSame(function, "state " + cast<StringAttr>(name).str(), it->second,
                      result(function, index));
  }

  /// 4
  void verifyBuckets(func::FuncOp function) {
    auto check = [&](Attribute attribute, const Local &local) {
      auto bucket = dyn_cast_or_null<graph::BucketAttr>(attribute);
      if (!bucket)
        return;
      auto [it, isNew] = buckets.insert({bucket, local});
      if (!isNew)
        requireSame(function,
                    "bucket " + bucket.getKind().str() + "." + std::to_string(bucket.getIndex()),
                    it->second, local);
    };
    for (unsigned index = 0; index < function.getNumArguments(); ++index)
      check(function.getArgAttr(index, graph::kBucketAttr), argument(function, index));
    for (unsigned index = 0; index < function.getNumResults(); ++index)
      check(function.getResultAttr(index, graph::kBucketAttr), result(function, index));
  }

  /// One of them may have no layout.
  void requireSame(func::FuncOp function, const Twine &what, const Local &a, const Local &b) {
    if (a.type == b.type && (a.layout == b.layout || !a.layout || !b.layout))
      return;
    auto text = [](const Local &local) {
      std::string result;
      llvm::raw_string_ostream stream(result);
      stream << local.type;
      if (local.layout)
        stream << " of " << local.layout;
      return result;
    };
    fault(function) << what << " is " << text(a) << " in one place and " << text(b)
                    << " in another";
  }

  llvm::MapVector<Attribute, Local> buckets;
  bool valid = true;
};

} // namespace
} // namespace deepshard
