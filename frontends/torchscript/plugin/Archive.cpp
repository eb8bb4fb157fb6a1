//===- Archive.cpp - a TorchScript file, weights left where they are --------------------------===//
//
// torch::jit::load reads through a ReadAdapterInterface. The adapter here passes every read on
// except those of tensor data: there it only notes which file offset was meant for which
// destination. Storages are allocated but never touched, so they cost address space, not memory,
// whatever the size of the archive.
//
//===------------------------------------------------------------------------------------------===//

#include "frontends/torchscript/plugin/Archive.h"

#include "frontends/torchscript/plugin/Recorder.h"

#include <caffe2/serialize/file_adapter.h>
#include <caffe2/serialize/inline_container.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/serialization/import_read.h>

#include <fstream>
#include <map>

using namespace deepshard::torchscript;

class deepshard::torchscript::LazyReader : public caffe2::serialize::ReadAdapterInterface {
public:
  explicit LazyReader(const std::string &path) : file(path) {
    caffe2::serialize::PyTorchStreamReader directory(path);
    hasProgram = directory.hasRecord("constants.pkl");
    for (const std::string &name : directory.getAllRecords())
      if (name.starts_with("data/"))
        dataRecords[directory.getRecordOffset(name)] = directory.getRecordSize(name);
  }

  size_t size() const override { return file.size(); }

  size_t read(uint64_t position, void *destination, size_t count, const char *what) const override {
    auto next = dataRecords.upper_bound(position);
    if (next != dataRecords.begin()) {
      auto [begin, size] = *std::prev(next);
      if (position + count <= begin + size) {
        offsets[destination] = position;
        return count;
      }
    }
    return file.read(position, destination, count, what);
  }

  /// Reads for good.
  void readData(uint64_t position, void *destination, size_t count) const {
    file.read(position, destination, count, "tensor data");
  }

  std::optional<uint64_t> offsetOf(const void *destination) const {
    auto found = offsets.find(destination);
    return found == offsets.end() ? std::nullopt : std::optional(found->second);
  }

  bool hasProgram = false;

private:
  caffe2::serialize::FileAdapter file;
  std::map<uint64_t, uint64_t> dataRecords; // file offset -> bytes
  mutable std::map<const void *, uint64_t> offsets;
};

namespace {

ImportError error(const std::string &path, const std::string &message) {
  return ImportError{{"'" + path + "' " + message, std::nullopt}};
}

/// What is wrong with a file that the archive reader refuses.
ImportError explainUnreadable(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return error(path, "cannot be opened for reading");
  char magic[4] = {};
  file.read(magic, sizeof(magic));
  if (file.gcount() == sizeof(magic) && std::string_view(magic, 4) == std::string_view("PK\3\4", 4))
    return error(path, "is a truncated or damaged archive: it begins like a ZIP file, but the "
                       "directory at its end "
                       "is missing or broken; copy or export it again");
  return error(path, "is no TorchScript archive (those are ZIP files); export the model with "
                     "torch.jit.trace(model, inputs).save(path)");
}

std::string firstLine(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

} // namespace

Archive::Archive(const std::string &path) : path(path) {
  try {
    reader = std::make_shared<LazyReader>(path);
  } catch (const std::exception &) {
    throw explainUnreadable(path);
  }
  if (!reader->hasProgram)
    throw error(
        path, "holds no TorchScript program (was it written by torch.save?); export the model with "
              "torch.jit.trace(model, inputs).save(path)");
  try {
    loaded = torch::jit::load(reader);
  } catch (const c10::Error &e) {
    throw error(path, "cannot be loaded: " + firstLine(e.what_without_backtrace()));
  } catch (const std::exception &e) {
    throw error(path, "cannot be loaded: " + firstLine(e.what()));
  }
}

Archive::~Archive() = default;

std::optional<int64_t> Archive::offsetOf(const at::Tensor &tensor) const {
  if (!tensor.has_storage() || tensor.is_meta())
    return std::nullopt;
  std::optional<uint64_t> begin = reader->offsetOf(tensor.storage().data());
  if (!begin)
    return std::nullopt;
  return *begin + tensor.storage_offset() * tensor.element_size();
}

at::Tensor Archive::read(const at::Tensor &tensor) const {
  at::Tensor copy = at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options());
  if (tensor.numel() > 0)
    reader->readData(*offsetOf(tensor), copy.data_ptr(), copy.storage().nbytes());
  return copy;
}

std::vector<TensorType> Archive::tracedInputs() const {
  std::vector<TensorType> types;
  caffe2::serialize::PyTorchStreamReader directory(path);
  if (!directory.hasRecord("traced_inputs.pkl"))
    return types;
  try {
    c10::IValue methods = torch::jit::readArchiveAndTensors(
        "traced_inputs", "", "traced_inputs/", std::nullopt, std::nullopt, std::nullopt, directory);
    for (const auto &entry : methods.toGenericDict())
      if (entry.key().toStringRef() == "forward")
        for (const c10::IValue &value : entry.value().toListRef())
          types.push_back(value.isTensor() ? tensorType(value.toTensor()) : TensorType());
  } catch (const std::exception &) {
    types.clear(); // they are only a hint
  }
  return types;
}
