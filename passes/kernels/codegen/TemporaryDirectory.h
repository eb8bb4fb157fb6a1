//===- TemporaryDirectory.h - a place for programs that work on files -------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_TEMPORARYDIRECTORY_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_TEMPORARYDIRECTORY_H

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Error.h"

#include <string>

namespace deepshard {

/// A directory for temporary files that goes with what is in it.
class TemporaryDirectory {
public:
  TemporaryDirectory() = default;
  TemporaryDirectory(const TemporaryDirectory &) = delete;
  TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;
  ~TemporaryDirectory();

  /// `verb` says, in messages, what kernels cannot be if there is no place for files: "linked".
  llvm::Error create(llvm::StringRef verb);

  std::string file(const llvm::Twine &name) const;
  llvm::Error write(const std::string &path, llvm::StringRef bytes) const;
  llvm::Expected<std::string> read(const std::string &path) const;

private:
  llvm::Error failed(const llvm::Twine &what, std::error_code code) const;

  llvm::SmallString<128> path;
  std::string verb;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_TEMPORARYDIRECTORY_H
