//===- TemporaryDirectory.cpp - a place for programs that work on files -----------------------===//

#include "passes/kernels/codegen/TemporaryDirectory.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace deepshard {

TemporaryDirectory::~TemporaryDirectory() {
  if (!path.empty())
    sys::fs::remove_directories(path);
}

Error TemporaryDirectory::failed(const Twine &what, std::error_code code) const {
  return createStringError("kernels cannot be " + Twine(verb) + ": " + what + ": " +
                           code.message() + " (TMPDIR says where temporary files are written)");
}

Error TemporaryDirectory::create(StringRef verb) {
  this->verb = verb;
  if (std::error_code code = sys::fs::createUniqueDirectory("deepshard-" + verb, path))
    return failed("there is no place for temporary files", code);
  return Error::success();
}

std::string TemporaryDirectory::file(const Twine &name) const {
  SmallString<128> result = path;
  sys::path::append(result, name);
  return std::string(result);
}

Error TemporaryDirectory::write(const std::string &path, StringRef bytes) const {
  std::error_code code;
  raw_fd_ostream stream(path, code);
  stream << bytes;
  stream.close();
  if (!code)
    code = stream.error();
  stream.clear_error();
  return code ? failed(path, code) : Error::success();
}

Expected<std::string> TemporaryDirectory::read(const std::string &path) const {
  ErrorOr<std::unique_ptr<MemoryBuffer>> file = MemoryBuffer::getFile(path);
  if (!file)
    return failed(path, file.getError());
  return (*file)->getBuffer().str();
}

} // namespace deepshard
