//===- VerifyImported.cpp - the border between frontends and compiler -------------------------===//

#include "passes/simplify/Passes.h"

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Sharding.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_VERIFYIMPORTEDPASS
#include "passes/simplify/Passes.h.inc"

namespace {

constexpr llvm::StringLiteral kRoles[] = {graph::kParameterAttr, graph::kBufferAttr,
                                          graph::kInputAttr, graph::kRunStateAttr};

/// Checks one function, reporting every fault.
class ProgramVerifier {
public:
  explicit ProgramVerifier(func::FuncOp function) : function(function) {}

  LogicalResult verify() {
    if (function.isExternal() || !llvm::hasSingleElement(function.getBody())) {
      fault(function.getLoc())
          << "@" << function.getName()
          << " has no body of one block; a program is a straight line of graph ops";
      return failure();
    }
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      verifyArgument(i);
    for (unsigned i = 0; i < function.getNumResults(); ++i)
      verifyResult(i);
    for (Operation &op : function.getBody().front())
      verifyOp(op);
    return failure(faulty);
  }

private:
  InFlightDiagnostic fault(Location location) {
    faulty = true;
    return emitError(location);
  }

  /// Whether `type` is a tensor that a program may hold; else says what is wrong with `what`.
  void verifyType(Location location, Type type, const Twine &what) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor)
      fault(location) << what << " is of type " << type << ", expected a ranked tensor";
    else if (!tensor.hasStaticShape())
      fault(location)
          << what << " is of type " << type
          << ", expected a static shape; give the sizes of the model's inputs with --input";
  }

  /// Names are unique among the tensors of the model, among inputs, among run state and among
  /// outputs.
  void verifyUnique(Location location, StringRef space, StringRef name, const Twine &what) {
    auto [entry, isNew] = names.try_emplace((space + "\n" + name).str(), what.str());
    if (!isNew)
      fault(location) << what << " and " << entry->second << " are both called \"" << name << "\"";
  }

  void verifyArgument(unsigned i) {
    Location location = function.getArgument(i).getLoc();
    std::string what = ("argument " + Twine(i) + " of @" + function.getName()).str();
    Type type = function.getArgumentTypes()[i];
    verifyType(location, type, what);

    SmallVector<StringRef> roles;
    for (StringRef role : kRoles)
      if (function.getArgAttr(i, role))
        roles.push_back(role);
    if (roles.size() != 1) {
      InFlightDiagnostic diagnostic = fault(location);
      diagnostic << what << " has ";
      if (roles.empty())
        diagnostic << "no role";
      else
        llvm::interleave(roles, diagnostic, " and ");
      diagnostic << ", expected one of graph.parameter, graph.buffer, graph.input, graph.run_state";
      return;
    }
    // The dialect has checked that a role is a name that is not empty.
    StringRef role = roles.front();
    bool isTensorOfModel = role == graph::kParameterAttr || role == graph::kBufferAttr;
    verifyUnique(location, isTensorOfModel ? "model" : role,
                 cast<StringAttr>(function.getArgAttr(i, role)), what);
    for (StringRef name :
         {StringRef(graph::kBatchDimensionAttr), StringRef(graph::kSequenceDimensionAttr)})
      if (role != graph::kInputAttr && function.getArgAttr(i, name))
        fault(location) << name << " stands on " << what << ", which is no input";
  }

  void verifyResult(unsigned i) {
    Location location = function.getLoc();
    std::string what = ("result " + Twine(i) + " of @" + function.getName()).str();
    verifyType(location, function.getResultTypes()[i], what);
    Attribute output = function.getResultAttr(i, graph::kOutputAttr);
    if (!output && function.getResultAttr(i, graph::kStateAttr))
      return;
    if (output)
      verifyUnique(location, graph::kOutputAttr, cast<StringAttr>(output), what);
    else
      fault(location) << what << " has no name, expected graph.output = \"...\"";
  }

  void verifyOp(Operation &op) {
    if (isa<func::ReturnOp>(op))
      return;
    if (!isa_and_nonnull<graph::GraphDialect>(op.getDialect()))
      fault(op.getLoc()) << "'" << op.getName()
                         << "' is no op of the graph dialect, which is all a program may hold";
    for (OpResult result : op.getResults())
      verifyType(op.getLoc(), result.getType(),
                 "result " + Twine(result.getResultNumber()) + " of '" +
                     op.getName().getStringRef() + "'");
  }

  func::FuncOp function;
  llvm::StringMap<std::string> names;
  bool faulty = false;
};

struct VerifyImported : impl::VerifyImportedPassBase<VerifyImported> {
  void runOnOperation() override {
    bool faulty = false;
    auto functions = getOperation().getOps<func::FuncOp>();
    if (functions.empty()) {
      emitError(getOperation().getLoc())
          << "the module holds no function, expected one program, @forward";
      faulty = true;
    }
    for (Operation &op : getOperation().getOps()) {
      if (auto function = dyn_cast<func::FuncOp>(op)) {
        faulty |= failed(ProgramVerifier(function).verify());
      } else if (!isa<sharding::MeshOp>(op)) {
        emitError(op.getLoc())
            << "'" << op.getName()
            << "' stands beside the program, expected functions (and a mesh) only";
        faulty = true;
      }
    }
    if (faulty)
      return signalPassFailure();
    markAllAnalysesPreserved();
  }
};

} // namespace
} // namespace deepshard
