//===- KernelNames.cpp - what a generated kernel is called after ------------------------------===//

#include "passes/kernels/KernelNames.h"

#include "dialects/graph/Graph.h"
#include "passes/kernels/rowloops/IterationDomain.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace deepshard {

/// The name of the composite that the location is within; null if there is none.
static StringAttr compositeOf(Location location) {
  auto fused = dyn_cast<FusedLoc>(location);
  return fused ? dyn_cast_or_null<StringAttr>(fused.getMetadata()) : StringAttr();
}

Location locationWithin(Operation *composite) {
  // Of composites within composites the outermost one is what the program says.
  if (compositeOf(composite->getLoc()))
    return composite->getLoc();
  MLIRContext *context = composite->getContext();
  return FusedLoc::get({composite->getLoc()},
                       StringAttr::get(context, composite->getName().stripDialect()), context);
}

Location withoutComposite(Location location) {
  return compositeOf(location) ? cast<FusedLoc>(location).getLocations().front() : location;
}

std::string nameOf(ArrayRef<Operation *> ops) {
  constexpr size_t kMost = 4;
  llvm::SetVector<StringRef> names, conversions;
  for (Operation *op : ops) {
    StringAttr composite = compositeOf(op->getLoc());
    if (isRenaming(op) || isLeaf(op))
      continue;
    bool isConversion = !composite && isa<graph::ConvertOp>(op);
    (isConversion ? conversions : names)
        .insert(composite ? composite.getValue() : op->getName().stripDialect());
  }
  ArrayRef<StringRef> all = names.empty() ? conversions.getArrayRef() : names.getArrayRef();
  return llvm::join(all.take_front(kMost), "_");
}

} // namespace deepshard
