//===- Diagnostics.cpp - diagnostics as users read them ---------------------------------------===//

#include "tools/ds-opt/Diagnostics.h"

#include "passes/plan/Serialize.h"

#include "mlir/IR/Remarks.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace deepshard {

static StringRef severityName(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return "error";
  case DiagnosticSeverity::Warning:
    return "warning";
  case DiagnosticSeverity::Note:
    return "note";
  case DiagnosticSeverity::Remark:
    return "remark";
  }
  return "";
}

static void print(const Diagnostic &diagnostic) {
  llvm::errs() << "ds-opt: " << severityName(diagnostic.getSeverity()) << ": " << diagnostic.str();
  if (std::string place = locationText(diagnostic.getLocation()); !place.empty())
    llvm::errs() << "\n    at " << place;
  llvm::errs() << "\n";
  for (const Diagnostic &note : diagnostic.getNotes())
    print(note);
}

UserDiagnostics::UserDiagnostics(MLIRContext *context) : ScopedDiagnosticHandler(context) {
  setHandler([](Diagnostic &diagnostic) { print(diagnostic); });
}

namespace {

class RemarkPrinter : public remark::detail::MLIRRemarkStreamerBase {
public:
  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    std::string text;
    for (const remark::detail::Remark::Arg &argument : remark.getArgs())
      text += argument.val;
    llvm::errs() << remark.getCategoryName();
    // What is about a parameter begins with its name, which is its place too.
    if (std::string place = locationText(remark.getLocation());
        !place.empty() && !StringRef(text).starts_with(place + ":"))
      llvm::errs() << " " << place;
    llvm::errs() << ": " << text << "\n";
  }
};

} // namespace

void explainDecisions(MLIRContext &context) {
  remark::RemarkCategories categories;
  categories.passed = categories.missed = categories.analysis = categories.failed = ".*";
  LogicalResult enabled = remark::enableOptimizationRemarks(
      context, std::make_unique<RemarkPrinter>(),
      std::make_unique<remark::RemarkEmittingPolicyAll>(), categories);
  assert(succeeded(enabled) && "the engine takes any regular expression that is valid");
  (void)enabled;
}

} // namespace deepshard
