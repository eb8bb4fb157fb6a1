//===- Code.h - machine code loaded from memory -----------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_GENERATED_CODE_H
#define DEEPSHARD_RUNTIME_KERNELS_GENERATED_CODE_H

#include <string>
#include <string_view>

namespace deepshard::runtime {

/// A shared object that came as bytes, not as a file, open as long as this lives. Its symbols are
/// seen by nobody else.
class Code {
public:
  /// Throws std::runtime_error with the reason if `object` cannot be loaded.
  explicit Code(std::string_view object);
  ~Code();
  Code(const Code &) = delete;
  Code &operator=(const Code &) = delete;

  /// The address of a function; null if the object does not export it.
  void *find(const std::string &symbol) const;

private:
  int descriptor = -1;
  void *handle = nullptr;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_GENERATED_CODE_H
