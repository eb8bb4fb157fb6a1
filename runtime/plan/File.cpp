//===- File.cpp - files that are read exactly and replaced whole ------------------------------===//

#include "runtime/plan/File.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace deepshard::runtime {

InputFile::InputFile(std::string path) : name(std::move(path)) {
  descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    throw Error(fmt::format("{}: cannot be opened: {}", name, std::strerror(errno)));
  struct stat status = {};
  bool isKnown = ::fstat(descriptor, &status) == 0;
  if (!isKnown || !S_ISREG(status.st_mode)) {
    ::close(std::exchange(descriptor, -1));
    throw Error(fmt::format("{}: is not a regular file", name));
  }
  bytes = static_cast<uint64_t>(status.st_size);
  modified = static_cast<uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000u +
             static_cast<uint64_t>(status.st_mtim.tv_nsec);
}

InputFile::InputFile(InputFile &&other) noexcept
    : name(std::move(other.name)), descriptor(std::exchange(other.descriptor, -1)),
      bytes(other.bytes), modified(other.modified) {}

InputFile::~InputFile() {
  if (descriptor >= 0)
    ::close(descriptor);
}

void InputFile::read(uint64_t offset, void *to, size_t count) const {
  char *position = static_cast<char *>(to);
  while (count > 0) {
    ssize_t got = ::pread(descriptor, position, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      throw Error(
          fmt::format("{}: cannot be read at byte {}: {}", name, offset, std::strerror(errno)));
    if (got == 0)
      throw Error(fmt::format("{}: ends before byte {}; {} more bytes were expected there", name,
                              offset, count));
    position += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<size_t>(got);
  }
}

/// The directory part of `path`, "." if it has none.
static std::string directoryOf(const std::string &path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

OutputFile::OutputFile(std::string path) : name(std::move(path)) {
  struct stat status = {};
  if (::stat(name.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    throw Error(fmt::format("{}: is a directory; a file name was expected", name));
  size_t slash = name.rfind('/');
  size_t base = slash == std::string::npos ? 0 : slash + 1;
  temporary = name.substr(0, base) + fmt::format(".{}.{}.part", name.substr(base), ::getpid());
  descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0)
    throw Error(fmt::format("{}: cannot be written: {}", name, std::strerror(errno)));
  owner = ::getpid();
}

OutputFile::~OutputFile() {
  if (descriptor < 0)
    return;
  ::close(descriptor);
  if (owner == ::getpid())
    ::unlink(temporary.c_str());
}

void OutputFile::fail(const char *action, int error) const {
  const char *advice =
      error == ENOSPC || error == EDQUOT ? "; make room or choose another place" : "";
  throw Error(fmt::format("{}: cannot be {}: {}{}; nothing was left behind, an older file of that "
                          "name is as it was",
                          name, action, std::strerror(error), advice));
}

// Linux writes at most 2 GiB in one call.
static constexpr size_t kMostBytesAtOnce = size_t{1} << 30;

void OutputFile::write(const void *from, size_t bytes) {
  const char *position = static_cast<const char *>(from);
  while (bytes > 0) {
    ssize_t put = ::write(descriptor, position, std::min(bytes, kMostBytesAtOnce));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      fail("written", errno);
    position += put;
    bytes -= static_cast<size_t>(put);
  }
}

void OutputFile::writeAt(uint64_t offset, const void *from, size_t bytes) const {
  const char *position = static_cast<const char *>(from);
  while (bytes > 0) {
    ssize_t put = ::pwrite(descriptor, position, std::min(bytes, kMostBytesAtOnce),
                           static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      fail("written", errno);
    position += put;
    offset += static_cast<uint64_t>(put);
    bytes -= static_cast<size_t>(put);
  }
}

void OutputFile::commit() {
  if (::fsync(descriptor) != 0)
    fail("written to disk", errno);
  if (::rename(temporary.c_str(), name.c_str()) != 0)
    fail("renamed into place", errno);
  // Errors of writing were reported by fsync.
  ::close(std::exchange(descriptor, -1));
  // The new name itself must survive a power cut; a file system without directory sync does no
  // harm.
  int directory = ::open(directoryOf(name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
}

} // namespace deepshard::runtime
