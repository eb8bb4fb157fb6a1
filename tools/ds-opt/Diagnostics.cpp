//===- Diagnostics.cpp - diagnostics as users read them ---------------------------------------===//

#include "tools/ds-opt/Diagnostics.h"

#include "passes/plan/Serialize.h"

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

} // namespace deepshard
