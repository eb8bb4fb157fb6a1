//===- Archive.h - a TorchScript file, weights left where they are ----------------------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_ARCHIVE_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_ARCHIVE_H

#include "frontends/torchscript/Plugin.h"

#include <torch/script.h>

#include <memory>

namespace deepshard::torchscript {

/// Thrown inside the plugin only; the entry point turns it into a fault of the result.
struct ImportError {
  Fault fault;
};

class LazyReader;

/// An opened archive. The storages of the module's tensors have addresses but no contents: `read`
/// fetches one.
class Archive {
public:
  /// Throws ImportError if the file is missing, no archive, truncated or holds no TorchScript
  /// program.
  explicit Archive(const std::string &path);
  ~Archive();

  torch::jit::Module &module() { return loaded; }

  /// Byte offset in the file of the first element of `tensor`; nothing if it has no data (meta
  /// device).
  std::optional<int64_t> offsetOf(const at::Tensor &tensor) const;

  /// A copy of `tensor` with its contents from the file.
  at::Tensor read(const at::Tensor &tensor) const;

  /// Types and shapes of the example inputs of `forward`; empty if the archive does not have them.
  std::vector<TensorType> tracedInputs() const;

private:
  std::string path;
  std::shared_ptr<LazyReader> reader;
  torch::jit::Module loaded;
};

} // namespace deepshard::torchscript

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_PLUGIN_ARCHIVE_H
