//===- TraitNames.cpp - one identity for MLIR's op traits on both sides of the shared library -===//
//
// MLIR identifies an op trait by the compiler's spelling of `Trait<Empty>`, where Empty is local to
// a function template. Debian's libMLIR is built with clang, which spells
// "mlir::OpTrait::ConstantLike<Empty>"; g++ spells
// "mlir::OpTrait::ConstantLike<mlir::TypeID::get<mlir::OpTrait::ConstantLike>()::Empty>". Left
// alone, the library does not see that graph.constant is ConstantLike (its canonicalizer then folds
// constants for ever), and this project does not see that func.return is a terminator. This
// definition stands before the library's: it hands on clang's spelling.
//
//===------------------------------------------------------------------------------------------===//

#include "mlir/Support/TypeID.h"
#include "llvm/Support/ErrorHandling.h"

#include <dlfcn.h>
#include <mutex>
#include <set>
#include <string>

namespace mlir::detail {

TypeID FallbackTypeIDResolver::registerImplicitTypeID(llvm::StringRef name) {
  using Function = TypeID (*)(llvm::StringRef);
  static const auto next = reinterpret_cast<Function>(
      dlsym(RTLD_NEXT,
            "_ZN4mlir6detail22FallbackTypeIDResolver22registerImplicitTypeIDEN4llvm9StringRefE"));
  if (!next)
    llvm::report_fatal_error(
        "libMLIR has no FallbackTypeIDResolver::registerImplicitTypeID; MLIR 22 is needed");
  size_t local = name.find("<mlir::TypeID::get<");
  if (local == llvm::StringRef::npos || !name.ends_with("()::Empty>"))
    return next(name);
  // The registry keeps a reference to the name: spellings live as long as the process.
  static std::mutex mutex;
  static std::set<std::string> spellings;
  std::lock_guard lock(mutex);
  return next(*spellings.insert(name.take_front(local).str() + "<Empty>").first);
}

} // namespace mlir::detail
