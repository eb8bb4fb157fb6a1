//===- VerifyDifferentiated.cpp - the border behind the phase "training" ----------------------===//
//
// The numbers in the comments are those of the pass's description.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/training/Passes.h"
#include "passes/training/Step.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_VERIFYDIFFERENTIATED
#include "passes/training/Passes.h.inc"

namespace {

StringRef phaseOf(Operation *op) {
  auto phase = op ? op->getAttrOfType<StringAttr>(graph::kPhaseAttr) : StringAttr();
  return phase ? phase.getValue() : StringRef();
}

/// Checks one function; collects whether a fault was found.
class FunctionVerifier {
public:
  explicit FunctionVerifier(func::FuncOp function) : function(function) {}

  bool verify() {
    verifyPhases();
    if (hasGradients(function)) {
      verifyGradients();
      verifyLoss();
      verifyPlaces();
    }
    verifyState();
    verifyMembers();
    return valid;
  }

private:
  InFlightDiagnostic fault(Operation *op) {
    valid = false;
    return emitError(op->getLoc());
  }

  /// 1, 2
  void verifyPhases() {
    bool hasUpdate = false, hasOther = false;
    function.walk([&](Operation *op) {
      if (!isa<graph::GraphDialect>(op->getDialect()))
        return;
      StringRef phase = phaseOf(op);
      if (phase != kForward && phase != kBackward && phase != kUpdate) {
        if (!isa<graph::ConstantOp>(op) || !phase.empty())
          fault(op) << "'" << op->getName() << "' is in phase '" << phase
                    << "'; expected forward, backward or update";
        return;
      }
      (phase == kUpdate ? hasUpdate : hasOther) = true;
      if (phase != kForward)
        return;
      for (Value operand : op->getOperands())
        if (phaseOf(operand.getDefiningOp()) == kBackward)
          fault(op) << "a forward op reads the result of a backward op, '"
                    << operand.getDefiningOp()->getName() << "'";
    });
    if (hasUpdate && hasOther)
      fault(function) << "@" << function.getSymName()
                      << " mixes ops of phase update with ops of other phases";
  }

  /// 3
  void verifyGradients() {
    llvm::StringMap<Type> parameters;
    llvm::StringMap<unsigned> found;
    for (BlockArgument argument : function.getArguments())
      if (StringRef name = argumentString(function, argument.getArgNumber(), graph::kParameterAttr);
          !name.empty())
        parameters[name] = gradientType(function, argument);
    for (unsigned index = 0; index < function.getNumResults(); ++index) {
      StringRef name = resultString(function, index, graph::kGradientAttr);
      if (name.empty())
        continue;
      Type type = function.getResultTypes()[index], expected = parameters.lookup(name);
      if (!expected)
        fault(function) << "a gradient names parameter '" << name << "', which is no argument";
      else if (type != expected)
        fault(function) << "the gradient of '" << name << "' is of " << type << "; expected "
                        << expected << ", the type of the parameter or of its master";
      ++found[name];
    }
    for (BlockArgument argument : function.getArguments()) {
      StringRef name = argumentString(function, argument.getArgNumber(), graph::kParameterAttr);
      if (!name.empty() && found.lookup(name) != 1)
        fault(function) << "parameter '" << name << "' has " << found.lookup(name)
                        << " gradients; expected one";
    }
  }

  /// 4
  void verifyLoss() {
    unsigned losses = 0;
    for (unsigned index = 0; index < function.getNumResults(); ++index) {
      if (resultString(function, index, graph::kMetricAttr) != "loss")
        continue;
      ++losses;
      auto type = dyn_cast<RankedTensorType>(function.getResultTypes()[index]);
      if (!type || type.getRank() != 0 || !isa<FloatType>(type.getElementType()))
        fault(function) << "the loss is of " << function.getResultTypes()[index]
                        << "; expected a float scalar";
    }
    if (losses != 1)
      fault(function) << "@" << function.getSymName() << " has " << losses << " results marked '"
                      << graph::kMetricAttr << "' = \"loss\"; expected one";
  }

  /// 5
  void verifyState() {
    struct State {
      SmallVector<Type> arguments, results;
    };
    llvm::MapVector<StringRef, State> states;
    for (BlockArgument argument : function.getArguments())
      if (StringRef name = argumentString(function, argument.getArgNumber(), graph::kStateAttr);
          !name.empty())
        states[name].arguments.push_back(argument.getType());
    for (unsigned index = 0; index < function.getNumResults(); ++index)
      if (StringRef name = resultString(function, index, graph::kStateAttr); !name.empty())
        states[name].results.push_back(function.getResultTypes()[index]);
    for (auto &[name, state] : states) {
      if (state.arguments.size() != 1 || state.results.size() != 1)
        fault(function) << "state '" << name << "' marks " << state.arguments.size()
                        << " arguments and " << state.results.size()
                        << " results; expected one of each";
      else if (state.arguments[0] != state.results[0])
        fault(function) << "state '" << name << "' is an argument of " << state.arguments[0]
                        << " and a result of " << state.results[0];
    }
  }

  /// 6
  void verifyMembers() {
    struct Place {
      int64_t begin, end;
    };
    llvm::MapVector<std::pair<StringRef, int64_t>, SmallVector<Place>> buckets;
    auto note = [&](Attribute attribute, Type type) {
      auto member = dyn_cast_or_null<graph::MemberAttr>(attribute);
      auto tensor = dyn_cast<RankedTensorType>(type);
      if (!member || !tensor)
        return;
      buckets[{member.getKind().getValue(), member.getIndex()}].push_back(
          {member.getOffset(), member.getOffset() + tensor.getNumElements()});
    };
    for (BlockArgument argument : function.getArguments())
      // An accumulator is the same place as its result.
      if (!function.getArgAttr(argument.getArgNumber(), graph::kStateAttr))
        note(function.getArgAttr(argument.getArgNumber(), graph::kMemberAttr), argument.getType());
    for (unsigned index = 0; index < function.getNumResults(); ++index)
      note(function.getResultAttr(index, graph::kMemberAttr), function.getResultTypes()[index]);
    for (auto &[bucket, places] : buckets) {
      llvm::sort(places, [](const Place &a, const Place &b) { return a.begin < b.begin; });
      for (unsigned i = 1; i < places.size(); ++i)
        if (places[i].begin < places[i - 1].end)
          fault(function) << "members of bucket " << bucket.first << " " << bucket.second
                          << " overlap: elements " << places[i - 1].begin << " to "
                          << places[i - 1].end << " and " << places[i].begin << " to "
                          << places[i].end;
    }
  }

  /// 7
  void verifyPlaces() {
    llvm::StringMap<graph::MemberAttr> places;
    for (unsigned index = 0; index < function.getNumArguments(); ++index)
      if (auto member = function.getArgAttrOfType<graph::MemberAttr>(index, graph::kMemberAttr))
        places[argumentString(function, index, graph::kParameterAttr)] = member;
    for (unsigned index = 0; index < function.getNumResults(); ++index) {
      StringRef name = resultString(function, index, graph::kGradientAttr);
      graph::MemberAttr parameter = places.lookup(name);
      auto gradient = function.getResultAttrOfType<graph::MemberAttr>(index, graph::kMemberAttr);
      if (name.empty() || (!parameter && !gradient))
        continue;
      if (!parameter || !gradient || parameter.getIndex() != gradient.getIndex() ||
          parameter.getOffset() != gradient.getOffset())
        fault(function) << "parameter '" << name
                        << "' and its gradient lie at different places of their buckets";
    }
  }

  func::FuncOp function;
  bool valid = true;
};

struct VerifyDifferentiatedPass : impl::VerifyDifferentiatedBase<VerifyDifferentiatedPass> {
  using VerifyDifferentiatedBase::VerifyDifferentiatedBase;

  void runOnOperation() override {
    bool valid = true;
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      valid &= function.isExternal() || FunctionVerifier(function).verify();
    if (!valid)
      signalPassFailure();
    markAllAnalysesPreserved();
  }
};

} // namespace
} // namespace deepshard
