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
  Tuning,  ///< accepted without effect: concerns how DeepSpeed goes about work that has the same
           ///< result here
  NotYet,  ///< an error unless its value is the neutral one
  Dependent, ///< acts only through the switch of its section: accepted while that is off, and
             ///< checked with the switch where that is supported (Precision.cpp)
  Open,      ///< an object whose members are checked elsewhere (the parameters of an optimizer or a
             ///< scheduler, the patterns of pins)
};

/// One key. Adding a key to the schema is adding a row to SchemaTable.cpp. An object with rows
/// below it is a section: its members must be among them.
struct SchemaKey {
  std::string_view path; ///< dotted; the parameters of optimizer or scheduler type T lie under "@T"
  std::string_view types; ///< of bool, int, number, string, array, object, null; separated by '|'
  std::string_view defaultValue; ///< DeepSpeed's, as JSON; empty for objects and keys without one
  KeyStatus status;
  std::string_view neutral =
      {};            ///< NotYet: further values that ask for nothing, as JSON, separated by '|'
  int fromStage = 0; ///< the lowest ZeRO stage at which DeepSpeed acts on the key; below it, what
                     ///< is not Supported is accepted without a word
};

/// All rows. Order: root scalars first, then section by section.
std::span<const SchemaKey> schema();

/// Where an object that is checked stands in the schema and in the file.
struct SchemaPlace {
  std::string prefix = {}; ///< of the rows of its members: "" for the root, "@Adam" for the
                           ///< parameters of an optimizer
  std::string path = {};   ///< dotted path in the file, for messages
  int zeroStage = 0;       ///< in effect
};

/// Checks the members of `object` against the rows directly below its prefix and, through them,
/// everything below. Unknown keys, wrong types and keys that are not supported yet go to `errors`,
/// keys without effect to `notes`.
void checkAgainstSchema(const json::Value &object, const SchemaPlace &place,
                        std::vector<Diagnostic> &errors, std::vector<Diagnostic> &notes);

/// Whether the value is of one of the types (the form of SchemaKey::types).
bool hasType(const json::Value &value, std::string_view types);

} // namespace deepshard
