//===- File.h - files that are read exactly and replaced whole --------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_FILE_H
#define DEEPSHARD_RUNTIME_PLAN_FILE_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace deepshard::runtime {

/// A file opened for reading. Reads are positional, so one File serves several threads.
class InputFile {
public:
  /// Throws Error if `path` cannot be opened or is not a regular file.
  explicit InputFile(std::string path);
  ~InputFile();
  InputFile(InputFile &&other) noexcept;
  InputFile(const InputFile &) = delete;
  InputFile &operator=(const InputFile &) = delete;
  InputFile &operator=(InputFile &&) = delete;

  /// Reads exactly `bytes` at `offset`. Throws Error if the file ends before or cannot be read.
  void read(uint64_t offset, void *to, size_t bytes) const;

  const std::string &path() const { return name; }
  uint64_t size() const { return bytes; }
  /// Time of the last modification, nanoseconds since 1970.
  uint64_t modifiedNs() const { return modified; }

private:
  std::string name;
  int descriptor = -1;
  uint64_t bytes = 0;
  uint64_t modified = 0;
};

/// A file that appears under its name only when it is complete: written under a temporary name in
/// the same directory, synchronised to disk, renamed by `commit`. Without `commit` nothing remains
/// and an older file stays as it was. Processes forked while it is open may write to it too; only
/// the one that opened it removes or renames it.
class OutputFile {
public:
  /// Throws Error if the directory cannot be written to.
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  /// Appends. Throws Error (disk full and the like) naming the file.
  void write(const void *from, size_t bytes);
  /// Writes at `offset`, also past the end. May be called by several threads. Throws as `write`.
  void writeAt(uint64_t offset, const void *from, size_t bytes) const;
  /// Makes the file durable and visible. Throws Error as `write` does.
  void commit();

  const std::string &path() const { return name; }

private:
  [[noreturn]] void fail(const char *action, int error) const;

  std::string name;
  std::string temporary;
  int descriptor = -1;
  int owner = 0; // process that opened it
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_FILE_H
