/// DeepSpeed's configuration schema as data, and the check of a file against it.
///
/// DeepSpeed ignores unknown keys in most places and many known ones in some; here every key that a
/// file gives must be known, of the right type, and either in effect or switched off.
#pragma once

#include "frontends/config/Diagnostic.h"
#include "frontends/config/Json.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace deepshard {

enum class KeyStatus {
  Supported, ///< does what DeepSpeed's documentation says
  Ignored, ///< accepted without effect: concerns only logging, or Python objects that do not exist
           ///< here
  NotYet,  ///< an error unless its value is the neutral one
  Dependent, ///< acts only through the switch of its section, which is itself NotYet: accepted
             ///< while that is off
  Open,      ///< an object whose members are checked elsewhere (the parameters of an optimizer or a
             ///< scheduler)
};

/// One key. Adding a key to the schema is adding a row to SchemaTable.cpp. A section is a row of
/// type object that is Supported or Dependent, followed by rows for its members; an object with
/// another status has no rows below it.
struct SchemaKey {
  std::string_view path; ///< dotted; the parameters of optimizer or scheduler type T lie under "@T"
  std::string_view types; ///< of bool, int, number, string, array, object, null; separated by '|'
  std::string_view defaultValue; ///< DeepSpeed's, as JSON; empty for objects and keys without one
  KeyStatus status;
  std::string_view neutral =
      {}; ///< NotYet: further values that ask for nothing, as JSON, separated by '|'
};

/// All rows. Order: root scalars first, then section by section.
std::span<const SchemaKey> schema();

/// Checks the members of `object` against the rows directly below `prefix` ("" for the root,
/// "@AdamW" for the parameters of an optimizer) and, through them, everything below. `path` is
/// where `object` stands in the file, for messages. Unknown keys, wrong types and keys that are not
/// supported yet go to `errors`, ignored keys to `notes`.
void checkAgainstSchema(const json::Value &object, std::string_view prefix, const std::string &path,
                        std::vector<Diagnostic> &errors, std::vector<Diagnostic> &notes);

/// Whether the value is of one of the types (the form of SchemaKey::types).
bool hasType(const json::Value &value, std::string_view types);

} // namespace deepshard
