//===- Link.cpp - objects of kernels become one shared object ---------------------------------===//
//
// lld reads and writes files, so objects pass through a directory of temporary files. They are
// named by their position: the names do not reach the result.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/codegen/Link.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>
#include <vector>

LLD_HAS_DRIVER(elf)

using namespace llvm;

namespace deepshard {

namespace {

/// A directory for temporary files that goes with what is in it.
class TemporaryDirectory {
public:
  TemporaryDirectory() = default;
  TemporaryDirectory(const TemporaryDirectory &) = delete;
  TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;
  ~TemporaryDirectory() {
    if (!path.empty())
      sys::fs::remove_directories(path);
  }

  std::error_code create() { return sys::fs::createUniqueDirectory("deepshard-link", path); }

  std::string file(const Twine &name) const {
    SmallString<128> result = path;
    sys::path::append(result, name);
    return std::string(result);
  }

private:
  SmallString<128> path;
};

} // namespace

static Error failed(const Twine &what, std::error_code code) {
  return createStringError("kernels cannot be linked: " + what + ": " + code.message() +
                           " (TMPDIR says where temporary files are written)");
}

static Error write(const std::string &path, StringRef bytes) {
  std::error_code code;
  raw_fd_ostream stream(path, code);
  stream << bytes;
  stream.close();
  if (!code)
    code = stream.error();
  stream.clear_error();
  return code ? failed(path, code) : Error::success();
}

Expected<std::string> linkObjects(ArrayRef<std::string> objects) {
  TemporaryDirectory directory;
  if (std::error_code code = directory.create())
    return failed("there is no place for temporary files", code);
  const std::string output = directory.file("kernels.so");
  std::vector<std::string> arguments = {
      "ld.lld", "-shared", "-o", output,
      // Without what only debuggers and other libraries look for.
      "--build-id=none", "--strip-all", "--hash-style=gnu", "--gc-sections",
      // Small: code and constants may share pages, and nothing is relocated after loading.
      "-z", "noseparate-code", "-z", "norelro", "--no-rosegment",
      // A symbol that is missing is found here, not by the loader.
      "-z", "defs", "--threads=1"};
  for (auto [index, object] : enumerate(objects)) {
    std::string path = directory.file(Twine(index) + ".o");
    if (Error error = write(path, object))
      return error;
    arguments.push_back(std::move(path));
  }
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());

  std::string messages;
  raw_string_ostream errors(messages);
  {
    static std::mutex oneAtATime; // lld keeps its state in globals
    std::lock_guard lock(oneAtATime);
    lld::Result result = lld::lldMain(pointers, nulls(), errors, {{lld::Gnu, &lld::elf::link}});
    if (result.retCode != 0)
      return createStringError("kernels cannot be linked: " + StringRef(messages).trim());
  }
  ErrorOr<std::unique_ptr<MemoryBuffer>> linked = MemoryBuffer::getFile(output);
  if (!linked)
    return failed(output, linked.getError());
  return (*linked)->getBuffer().str();
}

} // namespace deepshard
