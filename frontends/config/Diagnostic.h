/// A fault in a configuration, with its place.
#pragma once

#include <string>

namespace deepshard {

struct Diagnostic {
  std::string file; ///< the file's name, or "--set" for a key given on the command line
  int line = 0;     ///< counted from 1; 0: the place has no line
  std::string key;  ///< dotted path of the key, empty for the whole file
  std::string message;

  /// `file:line: key: message`, without the parts that are absent.
  std::string str() const;
};

} // namespace deepshard
