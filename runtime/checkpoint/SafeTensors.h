//===- SafeTensors.h - weights in the format of Hugging Face ----------------------------------===//
//
// A safetensors file: 8 bytes of length (little endian), that many bytes of JSON {"name": {"dtype",
// "shape", "data_offsets": [begin, end]}, ..., "__metadata__": {text: text}}, then the data,
// row-major, offsets from their start. https://github.com/huggingface/safetensors#format
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_CHECKPOINT_SAFETENSORS_H
#define DEEPSHARD_RUNTIME_CHECKPOINT_SAFETENSORS_H

#include "runtime/kernels/Kernel.h"
#include "runtime/plan/File.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace deepshard::runtime {

/// The directory of a safetensors file.
class SafeTensorsFile {
public:
  struct Entry {
    DType dtype = DType::F32;
    std::vector<int64_t> shape;
    uint64_t offset = 0; ///< bytes from the start of the file
  };

  /// Throws Error if the file is not safetensors, is truncated, or an entry is not valid. Tensors
  /// of a type that DeepShard does not have are left out.
  explicit SafeTensorsFile(const std::string &path);

  const InputFile &file() const { return source; }
  /// The tensor called `name`; aliases of the metadata count as names. Null if there is none.
  const Entry *find(const std::string &name) const;
  const std::map<std::string, Entry> &entries() const { return table; }

private:
  InputFile source;
  std::map<std::string, Entry> table;
  std::map<std::string, std::string> metadata;
};

/// A tensor in memory to be saved, row-major without gaps.
struct SavedTensor {
  std::string name;
  std::vector<std::string>
      aliases; ///< further names; go into the metadata as {alias: name}, as safetensors.torch does
  TensorDesc desc;
  const void *data = nullptr;
};

/// How a file begins, and at which byte of it each tensor's data do: for those who write a file
/// piece by piece. `data` of the tensors is not looked at.
struct SafeTensorsStart {
  std::string bytes;
  std::vector<uint64_t> offsets;
};
SafeTensorsStart startSafeTensors(const std::vector<SavedTensor> &tensors);

/// Writes tensors. The file appears whole or not at all; an older
/// one stays if something fails. Throws Error.
void saveSafeTensors(const std::string &path, const std::vector<SavedTensor> &tensors);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_CHECKPOINT_SAFETENSORS_H
