//===- Code.cpp - machine code loaded from memory ---------------------------------------------===//

#include "runtime/kernels/generated/Code.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

namespace deepshard::runtime {

namespace {

/// A file in memory that may be executed; -1 with errno if there is none.
int executableMemory() {
  constexpr unsigned kExecutable = 0x10; // MFD_EXEC, which Linux knows from 6.3 on
  int descriptor = ::memfd_create("deepshard-kernels", MFD_CLOEXEC | kExecutable);
  return descriptor < 0 && errno == EINVAL ? ::memfd_create("deepshard-kernels", MFD_CLOEXEC)
                                           : descriptor;
}

[[noreturn]] void fail(const std::string &reason) {
  throw std::runtime_error("the generated code cannot be loaded: " + reason);
}

bool writeAll(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR)
      return false;
    bytes.remove_prefix(written < 0 ? 0 : static_cast<size_t>(written));
  }
  return true;
}

} // namespace

// The descriptor stays open: the loader takes objects of equal path for the same, and a closed
// descriptor's number, which is the path, is given out again.
Code::Code(std::string_view object) : descriptor(executableMemory()) {
  if (descriptor < 0)
    fail(fmt::format("there is no memory file for it: {}", std::strerror(errno)));
  if (!writeAll(descriptor, object)) {
    int error = errno;
    ::close(descriptor);
    fail(fmt::format("its {} bytes cannot be written to memory: {}", object.size(),
                     std::strerror(error)));
  }
  handle = ::dlopen(fmt::format("/proc/self/fd/{}", descriptor).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle)
    return;
  std::string reason = ::dlerror();
  ::close(descriptor);
  fail(reason);
}

Code::~Code() {
  ::dlclose(handle);
  ::close(descriptor);
}

void *Code::find(const std::string &symbol) const { return ::dlsym(handle, symbol.c_str()); }

} // namespace deepshard::runtime
